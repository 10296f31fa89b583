package ui

import (
	"net/http"
	"net/url"
	"regexp"
	"time"

	"perdure/internal/connection"
	"perdure/internal/identity"
	"perdure/internal/store"
)

const auditPath = "/enterprise/audit-log"

// auditPage is a part of the audit log.
type auditPage struct {
	Filter   auditFilter
	Events   []auditRow
	Next     string
	Kinds    []auditKind
	Filtered bool
}

// auditFilter is the form above the log as it was filled in. Dates are days, in UTC.
type auditFilter struct{ Action, User, From, To, Problem string }

// auditKind is a choice of actions: one, or all that begin alike.
type auditKind struct{ Value, Text string }

var auditKinds = []auditKind{
	{"connector.", "Connectors"},
	{"grant.", "Authorizations of connectors"},
	{"key.", "API keys"},
	{"member.", "Members"},
	{"organization.", "Organization"},
	{"session.", "Sign-ins"},
	{"batch.", "Batches"},
	{"file.", "Files"},
	{"response.", "Runs"},
}

// auditRow is an event as a person reads it.
type auditRow struct {
	identity.Event
	Sentence []phrase
}

// action is what actions look like. What is entered into an address by hand is not searched for.
var action = regexp.MustCompile(`^[a-z_]{1,40}\.[a-z_]{0,40}$`)

func readAuditFilter(query url.Values) (auditFilter, store.EventFilter) {
	f := auditFilter{Action: query.Get("action"), User: query.Get("user"), From: query.Get("from"), To: query.Get("to")}
	if !action.MatchString(f.Action) {
		f.Action = ""
	}
	if identity.CheckName(f.User) != nil {
		if f.User != "" {
			f.Problem = "Nobody can be called so: a user's name has letters, digits and . _ @ + -"
		}
		f.User = ""
	}
	filter := store.EventFilter{Action: f.Action, User: f.User}
	var ok bool
	if filter.From, ok = day(f.From); !ok {
		f.Problem = "Enter days as 2026-01-31."
	}
	if filter.Before, ok = day(f.To); !ok {
		f.Problem = "Enter days as 2026-01-31."
	} else if !filter.Before.IsZero() {
		filter.Before = filter.Before.AddDate(0, 0, 1) // that day is included
	}
	return f, filter
}

// day reads a date; the empty one is none.
func day(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.DateOnly, text)
	return t, err == nil
}

func (u *ui) auditLog(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	shown, filter := readAuditFilter(r.URL.Query())
	events, next, err := u.api.AuditLog(r.Context(), who, filter, store.Page{After: r.URL.Query().Get("page")})
	if err != nil {
		return err
	}
	c := auditPage{Filter: shown, Next: nextPage(r, next), Kinds: auditKinds, Filtered: filter != store.EventFilter{}}
	names := u.namesOf(r, who, events)
	for _, e := range events {
		c.Events = append(c.Events, auditRow{e, sentenceOf(e, names[e.Target])})
	}
	status := http.StatusOK
	if shown.Problem != "" {
		status = http.StatusBadRequest
	}
	return u.showStatus(w, status, "audit", u.frame(w, r, who, "Audit log", auditPath, c))
}

// namesOf finds the names of the connectors and keys that events are about. What is gone, or not for the person to see, keeps its ID.
func (u *ui) namesOf(r *http.Request, who identity.Principal, events []identity.Event) map[string]string {
	names := map[string]string{}
	for _, e := range events {
		if e.Detail["name"] != "" {
			names[e.Target] = e.Detail["name"]
		}
	}
	for _, e := range events {
		if _, known := names[e.Target]; known {
			continue
		}
		names[e.Target] = ""
		switch kindOf(e.Action) {
		case "connector", "grant":
			caller := connection.Caller{Principal: who}
			if c, err := u.api.Connections.Get(r.Context(), caller, e.Target); err == nil {
				names[e.Target] = c.Settings.Name
			}
		case "key":
			if k, err := u.api.APIKey(r.Context(), who, e.Target); err == nil {
				names[e.Target] = k.Name
			}
		}
	}
	return names
}
