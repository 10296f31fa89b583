package ui

import (
	"strings"

	"perdure/internal/identity"
	"perdure/internal/store"
)

// phrase is a part of a sentence: words of ours, or what something is called.
type phrase struct {
	Text  string
	Named bool
}

// auditWords are the predicates of what can be done. {it} is what it was done to, {ID} its ID, and {NAME} a detail of that name.
var auditWords = map[string]string{
	store.ActOrganizationCreate:  "founded the organization",
	store.ActOrganizationUpdate:  "changed the settings of the organization",
	store.ActMemberAdd:           "added {it} as {role}",
	store.ActMemberRole:          "made {it} {role}",
	store.ActMemberRemove:        "removed the member {it}",
	store.ActKeyCreate:           "made the API key {it} for {user}",
	store.ActKeyRevoke:           "revoked the API key {it}",
	store.ActSessionStart:        "signed in",
	store.ActSessionEnd:          "signed out",
	store.ActConnectorCreate:     "added the connector {it}",
	store.ActConnectorUpdate:     "changed the connector {it}",
	store.ActConnectorIcon:       "changed the icon of the connector {it}",
	store.ActConnectorShare:      "shared the connector {it} with the organization",
	store.ActConnectorUnshare:    "stopped sharing the connector {it}",
	store.ActConnectorEnable:     "enabled the connector {it}",
	store.ActConnectorDisable:    "disabled the connector {it}",
	store.ActConnectorRestrict:   "restricted the connector {it}",
	store.ActConnectorUnrestrict: "lifted the restriction of the connector {it}",
	store.ActConnectorReview:     "accepted the tools of the connector {it}",
	store.ActConnectorVet:        "reviewed the connector {it}",
	store.ActConnectorDelete:     "removed the connector {it}",
	store.ActGrantCreate:         "authorized the connector {it} for {for}",
	store.ActGrantDelete:         "withdrew the authorization of the connector {it} for {for}",
	store.ActBatchCreate:         "started the batch {it}",
	store.ActBatchPause:          "paused the batch {it}",
	store.ActBatchResume:         "let the batch {it} go on",
	store.ActBatchCancel:         "cancelled the batch {it}",
	store.ActFileCreate:          "uploaded the file {filename}",
	store.ActFileDelete:          "deleted the file {filename}",
	store.ActResponseCancel:      "cancelled the run {it} of {user}",
	store.ActResponseDelete:      "deleted the run {it} of {user}",
}

// detailWords say a detail as a person would.
var detailWords = map[string]map[string]string{"role": {"admin": "an admin", "member": "a member"}}

// sentenceOf is an event in words; name is what its target is called, if that is known.
func sentenceOf(e identity.Event, name string) []phrase {
	if name == "" {
		name = e.Target
	}
	words, known := auditWords[e.Action]
	if !known {
		return []phrase{{e.Action + " ", false}, {name, true}}
	}
	if e.Action == store.ActSessionEnd && e.Target != e.Actor.User {
		words = "signed {it} out"
	}
	var out []phrase
	for words != "" {
		before, rest, found := strings.Cut(words, "{")
		if before != "" {
			out = append(out, phrase{before, false})
		}
		if !found {
			break
		}
		var place string
		place, words, _ = strings.Cut(rest, "}")
		switch said := detailWords[place][e.Detail[place]]; {
		case place == "it":
			out = append(out, phrase{name, true})
		case said != "":
			out = append(out, phrase{said, false})
		case e.Detail[place] != "":
			out = append(out, phrase{e.Detail[place], true})
		default:
			out = append(out, phrase{"somebody", false}) // an event of an older release
		}
	}
	return out
}

// kindOf is the first part of an action: what it is done to.
func kindOf(action string) string {
	kind, _, _ := strings.Cut(action, ".")
	return kind
}
