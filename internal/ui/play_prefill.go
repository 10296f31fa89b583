package ui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"perdure/internal/page"
	"perdure/internal/responses"
)

// repeat fills the form with what an earlier run was asked. What is not kept of a request is said in the notes.
func (f *playForm) repeat(r *responses.Response, input []responses.Item) (notes []string) {
	notes = f.settingsOf(r)
	f.Previous = valueOf(r.PreviousResponseID)
	prompt, whole := promptOf(input)
	f.Prompt = prompt
	if !whole {
		notes = append(notes, "The request had more than one message of text: only its last message is here.")
	}
	if r.Conversation != nil {
		notes = append(notes, "The run belongs to a conversation of the API, which the playground does not go on with.")
	}
	return notes
}

// goOn makes the form one that goes on with an earlier run, with its settings.
func (f *playForm) goOn(r *responses.Response) (notes []string) {
	notes = f.settingsOf(r)
	f.Previous = r.ID
	return notes
}

// settingsOf takes over all but the prompt.
func (f *playForm) settingsOf(r *responses.Response) (notes []string) {
	f.Model, f.Instructions, f.Store = r.Model, valueOf(r.Instructions), r.Store
	if r.MaxSteps != nil {
		f.MaxSteps = strconv.Itoa(*r.MaxSteps)
	}
	if r.Temperature != 1 { // which also stands where none was asked for
		f.Temperature = strconv.FormatFloat(r.Temperature, 'g', -1, 64)
	}
	f.Effort = valueOf(r.Reasoning.Effort)
	functions := 0
	var approvals []string
	for _, tool := range r.Tools {
		switch t := tool.(type) {
		case responses.MCPToolEcho:
			approvals = append(approvals, approvalOf(t.RequireApproval))
			if note := f.serverOf(t); note != "" {
				notes = append(notes, note)
			}
		case responses.FunctionToolEcho:
			functions++
		}
	}
	f.Approval = strictest(approvals)
	if slices.ContainsFunc(approvals, func(word string) bool { return word != f.Approval }) {
		notes = append(notes, "The servers had different rules for approval: the strictest of them is chosen, for all.")
	}
	if functions > 0 {
		notes = append(notes, fmt.Sprintf("The request offered the model %d functions of the client, which the playground cannot run.", functions))
	}
	return notes
}

// serverOf takes over a server. Of one that stood in the request alone, only the origin of its address is known, and no secret.
func (f *playForm) serverOf(t responses.MCPToolEcho) (note string) {
	var names []string
	if t.AllowedTools != nil {
		names = t.AllowedTools.Names
		if t.AllowedTools.ReadOnly {
			note = fmt.Sprintf("The server %q was limited to read-only tools, which the playground cannot ask for.", t.ServerLabel)
		}
	}
	if t.ConnectorID == "" {
		f.addServer()
		s := &f.Servers[len(f.Servers)-1]
		s.Label, s.Tools, s.Again = t.ServerLabel, strings.Join(names, ", "), true
		s.URL, s.Partial = strings.CutSuffix(t.ServerURL, redactedPath)
		return note
	}
	for i := range f.Connectors {
		c := &f.Connectors[i]
		if c.ID == t.ConnectorID {
			c.choose(names)
			return note
		}
	}
	return fmt.Sprintf("The connector behind %q is not there any more, or not yours to use.", t.ServerLabel)
}

// redactedPath stands in a response for what of an address may be a secret.
const redactedPath = "/<redacted>"

// approvalOf is the word for a policy of the API: the strictest where there is none for it.
func approvalOf(p responses.ApprovalPolicy) string {
	switch {
	case p.Mode == responses.ApproveNever:
		return approvalNever
	case p.Mode == "" && p.Always == nil && p.Never != nil && p.Never.ReadOnly && len(p.Never.Names) == 0:
		return approvalWrites
	default:
		return approvalAlways
	}
}

// strictest is the word that lets no call run unasked which one of the others would not. Of none it is the default.
func strictest(approvals []string) string {
	for _, word := range []string{approvalAlways, approvalWrites, approvalNever} {
		if slices.Contains(approvals, word) {
			return word
		}
	}
	return approvalAlways
}

// promptOf is the text of the last message of a user, and whether that is all of the input.
func promptOf(input []responses.Item) (text string, whole bool) {
	for _, item := range slices.Backward(input) {
		m, ok := item.(*responses.Message)
		if !ok || m.Role != responses.RoleUser {
			continue
		}
		whole = len(input) == 1
		var parts []string
		for _, p := range m.Content {
			if p.Type == responses.PartInputText {
				parts = append(parts, p.Text)
			} else {
				whole = false
			}
		}
		return strings.Join(parts, "\n"), whole
	}
	return "", len(input) == 0
}

// playExchange is the run that a form goes on with, as far as a page without scripts shows it.
type playExchange struct {
	ID, Prompt, Status, Answer string
	Whole                      bool // the answer is not cut
	Running, Stored            bool
	Earlier                    string // the response before
	Asked                      []playAsked
}

// playAsked is an approval request that nobody has answered.
type playAsked struct{ ID, Server, Tool, Arguments string }

// maxPlayAnswer bounds how much of an answer stands in a page that a script has not filled: bytes.
const maxPlayAnswer = 20_000

func newPlayExchange(r *responses.Response, input []responses.Item) *playExchange {
	x := &playExchange{ID: r.ID, Status: r.Status, Stored: r.Store, Earlier: valueOf(r.PreviousResponseID)}
	x.Running = r.Status == responses.ResponseQueued || r.Status == responses.ResponseInProgress
	x.Prompt, _ = promptOf(input)
	var texts []string
	for _, item := range r.Output {
		switch it := item.(type) {
		case *responses.Message:
			for _, p := range it.Content {
				texts = append(texts, p.Text)
			}
		case *responses.MCPApprovalRequest:
			arguments, _ := page.Clip(it.Arguments, maxPlayAnswer)
			x.Asked = append(x.Asked, playAsked{ID: it.ID, Server: it.ServerLabel, Tool: it.Name, Arguments: arguments})
		}
	}
	x.Answer, x.Whole = page.Clip(strings.Join(texts, "\n\n"), maxPlayAnswer)
	return x
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
