package ui

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/starter"
)

// seenConnector is the connector that a person decided about, as they saw it.
type seenConnector struct {
	ID      string
	Version int64
	Found   time.Time
}

// connectorAction does something with a connector and says what has become of it.
type connectorAction = func(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error)

// connectorAct makes a handler of an action. Its person comes back to the list.
func (u *ui) connectorAct(s section, do connectorAction) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		c, err := readSeen(w, r)
		if err != nil {
			return err
		}
		v, what, err := do(r.Context(), u.api.Caller(r, who), c)
		if errors.Is(err, store.ErrConflict) {
			return done(w, r, s.Path+"/"+c.ID, page.Flash{Text: "It has changed since you looked at it: look again.", Failed: true})
		}
		if err != nil {
			return err
		}
		card := s.card(v)
		f := page.Flash{Text: v.Settings.Name + " " + what + "."}
		if card.Failed && v.Restricted == nil {
			f = page.Flash{Text: f.Text + " " + card.Message, Failed: true}
		}
		return done(w, r, s.Path, f)
	}
}

func readSeen(w http.ResponseWriter, r *http.Request) (c seenConnector, err error) {
	form, err := smallForm(w, r)
	if err != nil {
		return c, err
	}
	c.ID = r.PathValue("id")
	if text := form.Get("version"); text != "" {
		c.Version, err = strconv.ParseInt(text, 10, 64)
	}
	if err == nil {
		c.Found, err = readStamp(form.Get("found"))
	}
	if err != nil {
		return c, responses.Invalid("version", "is not what the page has sent: reload it")
	}
	return c, nil
}

func (u *ui) probeConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Probe(ctx, by, c.ID)
	what := "was verified"
	switch {
	case err != nil:
	case v.Status.State == connector.Failed:
		what = "could not be verified"
	case v.Status.State == connector.NeedsAuth, v.Status.State == connector.NeedsReauth:
		what = "answers, and wants to be authorized"
	case len(v.Probe.Tools) == 1:
		what = "was verified: it has 1 tool"
	default:
		what = "was verified: it has " + strconv.Itoa(len(v.Probe.Tools)) + " tools"
	}
	return v, what, err
}

func (u *ui) disconnectConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Disconnect(ctx, by, c.ID)
	return v, "was disconnected: its authorization has ended", err
}

func (u *ui) enableConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Enable(ctx, by, c.ID, true)
	return v, "is enabled", err
}

func (u *ui) disableConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Enable(ctx, by, c.ID, false)
	return v, "is disabled", err
}

func (u *ui) shareConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Share(ctx, by, c.ID, true)
	return v, "is shared with the organization", err
}

func (u *ui) unshareConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Share(ctx, by, c.ID, false)
	return v, "is not shared any more", err
}

func (u *ui) reviewConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Review(ctx, by, c.ID, c.Found)
	return v, "has its changed tools accepted", err
}

func (u *ui) vetConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Vet(ctx, by, c.ID, c.Version, c.Found)
	return v, "is marked as reviewed", err
}

func (u *ui) unrestrictConnector(ctx context.Context, by connection.Caller, c seenConnector) (connection.View, string, error) {
	v, err := u.api.Connections.Unrestrict(ctx, by, c.ID)
	return v, "is not restricted any more", err
}

// question is a page that asks before something is done.
type question struct {
	Heading, Text  string
	Action, Button string
	Back           string
	Reason         bool // the person may say why
	Given, Problem string
}

// ask shows a question as a page, or as what a dialog holds.
func (u *ui) ask(w http.ResponseWriter, r *http.Request, who identity.Principal, s section, q question) error {
	if isPart(r) {
		part := "sheet"
		if r.Method == http.MethodPost {
			part = "question"
		}
		return u.showPart(w, "connector_question", part, q)
	}
	status := http.StatusOK
	if q.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	return u.showStatus(w, status, "connector_question", u.connectorsFrame(w, r, who, q.Heading, s, q))
}

func (u *ui) askRemoval(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		v, err := u.api.Connections.Get(r.Context(), u.api.Caller(r, who), r.PathValue("id"))
		if err == nil {
			err = connector.May(who, v.Connector, connector.Delete)
		}
		if err != nil {
			return err
		}
		text := "Its settings, secrets and authorizations are deleted, and runs cannot use it any more. This cannot be undone."
		if v.Settings.Scope == connector.Organization && v.Shared {
			text = "It is shared with the organization: nobody will be able to use it any more. " + text
		}
		if v.Owner != who.User && v.Settings.Scope == connector.Individual {
			text = "It belongs to " + v.Owner + ". " + text
		}
		return u.ask(w, r, who, s, question{
			Heading: "Remove " + v.Settings.Name + "?", Text: text, Action: s.Path + "/" + v.ID + "/remove", Button: "Remove", Back: s.Path,
		})
	}
}

func (u *ui) removeConnector(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		by, id := u.api.Caller(r, who), r.PathValue("id")
		v, err := u.api.Connections.Get(r.Context(), by, id)
		if err != nil {
			return err
		}
		if err := u.api.Connections.Delete(r.Context(), by, id); err != nil {
			return err
		}
		return done(w, r, s.Path, page.Flash{Text: v.Settings.Name + " was removed."})
	}
}

func (u *ui) askRestriction(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	v, err := u.api.Connections.Get(r.Context(), u.api.Caller(r, who), r.PathValue("id"))
	if err == nil {
		err = connector.May(who, v.Connector, connector.Restrict)
	}
	if err != nil {
		return err
	}
	return u.ask(w, r, who, enterpriseSection, restriction(v))
}

func restriction(v connection.View) question {
	return question{
		Heading: "Restrict " + v.Settings.Name + "?", Reason: true, Button: "Restrict", Back: enterpriseSection.Path,
		Text:   "Nobody, " + v.Owner + " included, can use it until an admin lifts the restriction. Nothing is sent to its server meanwhile.",
		Action: enterpriseSection.Path + "/" + v.ID + "/restrict",
	}
}

func (u *ui) restrictConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	by, id := u.api.Caller(r, who), r.PathValue("id")
	v, err := u.api.Connections.Get(r.Context(), by, id)
	if err != nil {
		return err
	}
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	reason := oneLineBreak(form.Get("reason"))
	_, err = u.api.Connections.Restrict(r.Context(), by, id, reason)
	if wrong := asInvalid(err); wrong != nil {
		q := restriction(v)
		q.Given, q.Problem = reason, "The reason "+wrong[0].Message+"."
		return u.ask(w, r, who, enterpriseSection, q)
	}
	if err != nil {
		return err
	}
	return done(w, r, enterpriseSection.Path, page.Flash{Text: v.Settings.Name + " is restricted."})
}
