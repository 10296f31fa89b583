package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// lenient takes whatever is entered: what may be entered is the connector package's to test.
var lenient = connector.Checks{URL: func(string) error { return nil }, Header: func(string, string) error { return nil }}

func settings(name string) connector.Settings {
	return connector.Settings{
		Name: name, URL: "https://mcp.acme.example/mcp?key=in-the-query", Network: connector.CloudflareAccess, Headers: []string{"X-Team"},
		Auth: connector.Auth{Type: connector.AuthAPIKey}, AllowedTools: []string{"a"}, Acknowledged: true,
		Retry: connector.Retry{Tools: map[string]string{"a": connector.RetryAlways}},
	}
}

// canary is in every secret: it must be nowhere in the database.
const canary = "CANARY-7f3a"

func given() connector.Secrets {
	return connector.Secrets{
		connector.APIKey: secret.New(canary + "-key"), connector.CloudflareID: secret.New(canary + "-id"),
		connector.CloudflareSecret: secret.New(canary + "-secret"), "headers.X-Team": secret.New(canary + "-team"),
	}
}

// add stores a connector of a user with secrets of all kinds.
func (w *world) add(t *testing.T, organization, user, name string, scope connector.Scope) connector.Connector {
	t.Helper()
	s := settings(name)
	s.Scope = scope
	p := identity.Principal{Organization: organization, User: user}
	change, err := connector.New(p, s, given(), lenient, time.Now().UTC().Truncate(time.Microsecond))
	ok(t, err)
	c, err := w.CreateConnector(t.Context(), p.Acts("192.0.2.7"), change, connector.Icon{})
	ok(t, err)
	return c
}

// addOAuth stores a connector that is authorized by OAuth.
func (w *world) addOAuth(t *testing.T, organization, user string) connector.Connector {
	t.Helper()
	s := connector.Settings{Name: "OAuth", URL: "https://mcp.acme.example/mcp", Auth: connector.Auth{Type: connector.AuthOAuth}, Acknowledged: true}
	p := identity.Principal{Organization: organization, User: user}
	change, err := connector.New(p, s, nil, lenient, time.Now().UTC().Truncate(time.Microsecond))
	ok(t, err)
	c, err := w.CreateConnector(t.Context(), p.Acts(""), change, connector.Icon{})
	ok(t, err)
	return c
}

func TestConnectorIsKept(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.acme(t)
		want := w.add(t, "acme", "ann", "Acme", connector.Individual)
		got, err := w.Connector(ctx, "acme", want.ID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("what was stored is not what is read: %v\n%s", err, diff)
		}
		if fmt.Sprint(got.Stored) != "[auth.api_key headers.X-Team network.client_id network.client_secret]" {
			t.Errorf("stored secrets are %v", got.Stored)
		}
		opened, err := w.ConnectorSecrets(ctx, "acme", want.ID)
		ok(t, err)
		for name, value := range given() {
			if !opened[name].Equal(value) {
				t.Errorf("%s is %q", name, opened[name].Reveal())
			}
		}
		if len(opened) != len(given()) {
			t.Errorf("%d secrets, want %d", len(opened), len(given()))
		}
		_, err = w.Connector(ctx, "acme", connector.NewID())
		wantKind(t, "another ID", err, store.ErrNotFound)
		p := identity.Principal{Organization: "none", User: "ann"}
		change, err := connector.New(p, settings("x"), given(), lenient, time.Now())
		ok(t, err)
		_, err = w.CreateConnector(ctx, p.Acts(""), change, connector.Icon{})
		wantKind(t, "in no organization", err, store.ErrNotFound)
	})
}

func TestUpdateConnector(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		c := w.add(t, "acme", "ann", "Acme", connector.Individual)
		s := c.Settings
		s.Name, s.Headers = "Renamed", []string{"X-New"}
		change, err := c.Apply(s, connector.Secrets{"headers.X-New": secret.New("new"), connector.APIKey: secret.New("other")}, lenient, time.Now().UTC().Truncate(time.Microsecond))
		ok(t, err)
		updated, err := w.UpdateConnector(ctx, by, change)
		ok(t, err)
		got, err := w.Connector(ctx, "acme", c.ID)
		if diff := cmp.Diff(updated, got); diff != "" || err != nil || got.Version != 2 || got.Settings.Name != "Renamed" {
			t.Errorf("what was changed is not what is read: %v\n%s", err, diff)
		}
		opened, err := w.ConnectorSecrets(ctx, "acme", c.ID)
		ok(t, err)
		_, dropped := opened["headers.X-Team"]
		if opened["headers.X-New"].Reveal() != "new" || opened[connector.APIKey].Reveal() != "other" || dropped || opened[connector.CloudflareID].Reveal() != canary+"-id" {
			t.Errorf("secrets are %v", len(opened))
		}
		_, err = w.UpdateConnector(ctx, by, change)
		wantKind(t, "a change of what is not there any more", err, store.ErrConflict)

		// Of many who change the same at the same time, one does.
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				next, err := got.Apply(s, nil, lenient, time.Now())
				if err == nil {
					_, err = w.UpdateConnector(ctx, by, next)
				}
				results <- err
			}()
		}
		won := 0
		for range cap(results) {
			if err := <-results; err == nil {
				won++
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d changes of the same version", won)
		}
	})
}

func TestSwitches(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		c := w.add(t, "acme", "ada", "Acme", connector.Organization)
		ok(t, w.ShareConnector(ctx, by, c.ID, true))
		ok(t, w.EnableConnector(ctx, by, c.ID, true))
		ok(t, w.RestrictConnector(ctx, by, c.ID, "unknown vendor"))
		got, err := w.Connector(ctx, "acme", c.ID)
		if err != nil || !got.Shared || !got.Enabled || got.Restricted == nil || got.Restricted.By != "ada" || got.Restricted.Reason != "unknown vendor" || got.Version != 4 {
			t.Errorf("all on: %+v, %v", got, err)
		}
		ok(t, w.ShareConnector(ctx, by, c.ID, false))
		ok(t, w.EnableConnector(ctx, by, c.ID, false))
		ok(t, w.UnrestrictConnector(ctx, by, c.ID))
		got, err = w.Connector(ctx, "acme", c.ID)
		if err != nil || got.Shared || got.Enabled || got.Restricted != nil {
			t.Errorf("all off: %+v, %v", got, err)
		}
		wantKind(t, "none to share", w.ShareConnector(ctx, by, connector.NewID(), true), store.ErrNotFound)

		ok(t, w.SetIcon(ctx, by, c.ID, connector.Icon{PNG: []byte("picture"), Hash: "h1"}))
		ok(t, w.SetIcon(ctx, by, c.ID, connector.Icon{PNG: []byte("better picture"), Hash: "h2"}))
		if png, err := w.Icon(ctx, "acme", c.ID); err != nil || string(png) != "better picture" {
			t.Errorf("the icon is %q, %v", png, err)
		}
		if got, err = w.Connector(ctx, "acme", c.ID); err != nil || got.Icon != "h2" {
			t.Errorf("the icon's hash is %q, %v", got.Icon, err)
		}
		ok(t, w.SetIcon(ctx, by, c.ID, connector.Icon{}))
		_, err = w.Icon(ctx, "acme", c.ID)
		wantKind(t, "no icon", err, store.ErrNotFound)

		ok(t, w.DeleteConnector(ctx, by, c.ID))
		_, err = w.Connector(ctx, "acme", c.ID)
		wantKind(t, "deleted", err, store.ErrNotFound)
		wantKind(t, "deleted twice", w.DeleteConnector(ctx, by, c.ID), store.ErrNotFound)
		if left, err := w.ConnectorSecrets(ctx, "acme", c.ID); err != nil || len(left) != 0 {
			t.Errorf("%d secrets are left, %v", len(left), err)
		}
	})
}

// The store's list and the rule for one connector are the same rule.
func TestListIsWhatSees(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		var all []connector.Connector
		for _, organization := range []string{"acme", "umbrella"} {
			by := w.organization(t, organization)
			for i, user := range []string{"ada", "ann", "bob", "gone"} {
				for _, scope := range []connector.Scope{connector.Individual, connector.Organization} {
					for _, shared := range []bool{false, true} {
						c := w.add(t, organization, user, fmt.Sprint(i), scope)
						ok(t, w.ShareConnector(ctx, by, c.ID, shared))
						c.Shared = shared
						all = append(all, c)
					}
				}
			}
		}
		seen := 0
		for _, organization := range []string{"acme", "umbrella", "none"} {
			for _, user := range []string{"ada", "ann", "bob", "nobody", ""} {
				for _, role := range []identity.Role{identity.Admin, identity.Member, ""} {
					p := identity.Principal{Organization: organization, User: user, Role: role}
					var want, got []string
					for _, c := range all {
						if connector.Sees(p, c) {
							want = append(want, c.ID)
						}
					}
					page := store.Page{Limit: 3}
					for {
						list, next, err := w.Connectors(ctx, p, store.ConnectorFilter{}, page)
						ok(t, err)
						for _, c := range list {
							got = append(got, c.ID)
						}
						if page.After = next; next == "" {
							break
						}
					}
					slices.Sort(want)
					slices.Sort(got)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%+v (-want +got):\n%s", p, diff)
					}
					seen += len(got)
				}
			}
		}
		if seen == 0 {
			t.Error("nobody sees anything")
		}
		admin := identity.Principal{Organization: "acme", User: "ada", Role: identity.Admin}
		if list, _, err := w.Connectors(ctx, admin, store.ConnectorFilter{Scope: connector.Individual, Owner: "ann"}, store.Page{}); err != nil || len(list) != 2 {
			t.Errorf("ann's own: %d, %v", len(list), err)
		}
	})
}

func TestRemovedMemberLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		own := w.add(t, "acme", "ann", "own", connector.Individual)
		other := w.add(t, "acme", "bob", "other", connector.Individual)
		shared := w.add(t, "acme", "ann", "shared", connector.Organization)
		for _, user := range []string{"ann", "bob", ""} {
			ok(t, w.PutGrant(ctx, by, connector.Grant{Connector: shared.ID, User: user, State: connector.GrantActive, Content: secret.New("t")}))
		}
		ok(t, w.RemoveMember(ctx, by, "ann"))
		_, err := w.Connector(ctx, "acme", own.ID)
		wantKind(t, "her own", err, store.ErrNotFound)
		must(t)(w.Connector(ctx, "acme", other.ID))
		must(t)(w.Connector(ctx, "acme", shared.ID))
		keys, err := w.GrantKeys(ctx, "acme", shared.ID)
		if err != nil || len(keys) != 2 || keys[0].User != "" || keys[1].User != "bob" {
			t.Errorf("grants are left: %v, %v", keys, err)
		}
	})
}

func TestProbes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		c := w.add(t, "acme", "ann", "Acme", connector.Individual)
		at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
		found := func(at time.Time, descriptions ...string) *connector.Probe {
			p := connector.Probe{At: at, Protocol: "2025-11-25", ServerName: "acme"}
			for i, d := range descriptions {
				p.Tools = append(p.Tools, connector.NewTool(fmt.Sprint(i), d, nil, false))
			}
			return &p
		}
		connected := connector.Status{State: connector.Connected, At: at}
		ok(t, w.RecordProbe(ctx, "acme", c.ID, c.Version, connected, found(at, "one")))
		failed := connector.Status{State: connector.Failed, Stage: "dns", Message: "there is no such host", At: at}
		ok(t, w.RecordProbe(ctx, "acme", c.ID, c.Version, failed, nil))
		got, err := w.Connector(ctx, "acme", c.ID)
		if err != nil || got.Status != failed || len(got.Probe.Tools) != 1 || got.Version != c.Version || len(got.Probe.Drift()) != 0 {
			t.Errorf("after a look that failed: %+v, %v", got, err)
		}
		later := at.Add(time.Hour)
		ok(t, w.RecordProbe(ctx, "acme", c.ID, c.Version, connected, found(later, "other")))
		wantKind(t, "a review of what is not there any more", w.ReviewTools(ctx, by, c.ID, at), store.ErrConflict)
		if got, err = w.Connector(ctx, "acme", c.ID); err != nil || len(got.Probe.Drift()) != 1 {
			t.Errorf("tools that changed: %v, %v", got.Probe.Drift(), err)
		}
		ok(t, w.ReviewTools(ctx, by, c.ID, later))
		if got, err = w.Connector(ctx, "acme", c.ID); err != nil || len(got.Probe.Drift()) != 0 || got.Probe.ReviewedBy != "ada" {
			t.Errorf("reviewed: %+v, %v", got.Probe, err)
		}
		// A look at what it was before somebody changed it says nothing of what it is.
		ok(t, w.EnableConnector(ctx, by, c.ID, true))
		wantKind(t, "a late look", w.RecordProbe(ctx, "acme", c.ID, c.Version, failed, nil), store.ErrConflict)
		wantKind(t, "a look at none", w.RecordProbe(ctx, "acme", connector.NewID(), 1, failed, nil), store.ErrNotFound)
	})
}

// Whoever acts for another organization finds nothing and changes nothing, whatever IDs they know.
func TestOrganizationsAreApart(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		eve := w.organization(t, "umbrella")
		c := w.add(t, "acme", "ann", "Acme", connector.Organization)
		ok(t, w.PutGrant(ctx, by, connector.Grant{Connector: c.ID, User: "ann", State: connector.GrantActive, Content: secret.New(canary)}))
		ok(t, w.SetIcon(ctx, by, c.ID, connector.Icon{PNG: []byte("x"), Hash: "h"}))
		key, _, err := identity.NewKey("acme", "ann", "k", identity.AllScopes, time.Now(), time.Time{})
		ok(t, err)
		ok(t, w.AddKey(ctx, by, key))
		must(t)(w.SaveOAuthClient(ctx, connector.Client{Organization: "acme", Issuer: "https://as", RedirectURI: "r", Content: secret.New("c")}))
		ok(t, w.AddAuthorization(ctx, connector.Authorization{StateHash: "s", Organization: "acme", Connector: c.ID, User: "ann", Browser: "b", Expires: time.Now().Add(time.Hour)}))
		before, err := w.Connector(ctx, "acme", c.ID)
		ok(t, err)
		change, err := before.Apply(before.Settings, given(), lenient, time.Now())
		ok(t, err)
		foreign := store.GrantKey{Organization: "umbrella", Connector: c.ID, User: "ann"}
		for what, attempt := range map[string]func() error{
			"Connector":         func() error { _, err := w.Connector(ctx, "umbrella", c.ID); return err },
			"UpdateConnector":   func() error { _, err := w.UpdateConnector(ctx, eve, change); return err },
			"ShareConnector":    func() error { return w.ShareConnector(ctx, eve, c.ID, true) },
			"EnableConnector":   func() error { return w.EnableConnector(ctx, eve, c.ID, true) },
			"RestrictConnector": func() error { return w.RestrictConnector(ctx, eve, c.ID, "") },
			"Unrestrict":        func() error { return w.UnrestrictConnector(ctx, eve, c.ID) },
			"SetIcon":           func() error { return w.SetIcon(ctx, eve, c.ID, connector.Icon{}) },
			"Icon":              func() error { _, err := w.Icon(ctx, "umbrella", c.ID); return err },
			"DeleteConnector":   func() error { return w.DeleteConnector(ctx, eve, c.ID) },
			"RecordProbe":       func() error { return w.RecordProbe(ctx, "umbrella", c.ID, 1, connector.Status{}, nil) },
			"VetConnector":      func() error { return w.VetConnector(ctx, eve, c.ID, 1, time.Time{}) },
			"ReviewTools":       func() error { return w.ReviewTools(ctx, eve, c.ID, time.Time{}) },
			"Grant":             func() error { _, err := w.Grant(ctx, foreign); return err },
			"PutGrant": func() error {
				return w.PutGrant(ctx, eve, connector.Grant{Connector: c.ID, User: "ann", State: connector.GrantActive})
			},
			"DeleteGrant":   func() error { return w.DeleteGrant(ctx, eve, c.ID, "ann") },
			"WithGrantLock": func() error { _, err := w.WithGrantLock(ctx, foreign, nil); return err },
			"Member":        func() error { return w.SetRole(ctx, identity.Operator("none"), "ann", identity.Admin) },
			"Key":           func() error { _, err := w.Key(ctx, "umbrella", key.ID); return err },
			"RevokeKey":     func() error { return w.RevokeKey(ctx, eve, key.ID) },
			"OAuthClient":   func() error { _, err := w.OAuthClient(ctx, "umbrella", "https://as", "r"); return err },
			"DeleteOAuthClient": func() error {
				return w.DeleteOAuthClient(ctx, connector.Client{Organization: "umbrella", Issuer: "https://as", RedirectURI: "r", Version: 1})
			},
			"AddAuthorization": func() error {
				return w.AddAuthorization(ctx, connector.Authorization{StateHash: "t", Organization: "umbrella", Connector: c.ID})
			},
			"TakeAuthorization": func() error { _, err := w.TakeAuthorization(ctx, "umbrella", "s", "b"); return err },
		} {
			wantKind(t, what, attempt(), store.ErrNotFound)
		}
		if opened, err := w.ConnectorSecrets(ctx, "umbrella", c.ID); err != nil || len(opened) != 0 {
			t.Errorf("%d secrets, %v", len(opened), err)
		}
		if states, err := w.GrantStates(ctx, "umbrella", "ann"); err != nil || len(states) != 0 {
			t.Errorf("grants %v, %v", states, err)
		}
		if keys, err := w.GrantKeys(ctx, "umbrella", c.ID); err != nil || len(keys) != 0 {
			t.Errorf("grants %v, %v", keys, err)
		}
		events, _, err := w.Events(ctx, "umbrella", store.EventFilter{}, store.Page{Limit: 200})
		for _, e := range events {
			if e.Target == c.ID {
				t.Errorf("the log has %+v", e)
			}
		}
		ok(t, err)
		after, err := w.Connector(ctx, "acme", c.ID)
		if diff := cmp.Diff(before, after); diff != "" || err != nil {
			t.Errorf("something has changed: %v\n%s", err, diff)
		}
		must(t)(w.Grant(ctx, store.GrantKey{Organization: "acme", Connector: c.ID, User: "ann"}))
		must(t)(w.TakeAuthorization(ctx, "acme", "s", "b"))
	})
}

// Each change is one line of the log, and an attempt that failed is none.
func TestAudit(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		c := w.add(t, "acme", "ann", "Acme", connector.Organization)
		skip, _, err := w.Events(ctx, "acme", store.EventFilter{}, store.Page{})
		ok(t, err)
		change, err := c.Apply(c.Settings, given(), lenient, time.Now())
		ok(t, err)
		key, _, err := identity.NewKey("acme", "ann", "k", identity.ScopeResponses, time.Now(), time.Time{})
		ok(t, err)
		session, token := identity.NewSession("acme", "ann", time.Now())
		grant := connector.Grant{Connector: c.ID, User: "ann", State: connector.GrantActive, Content: secret.New(canary)}
		steps := []struct {
			action, target string
			do             func() error
		}{
			{store.ActConnectorUpdate, c.ID, func() error { _, err := w.UpdateConnector(ctx, by, change); return err }},
			{store.ActConnectorShare, c.ID, func() error { return w.ShareConnector(ctx, by, c.ID, true) }},
			{store.ActConnectorUnshare, c.ID, func() error { return w.ShareConnector(ctx, by, c.ID, false) }},
			{store.ActConnectorEnable, c.ID, func() error { return w.EnableConnector(ctx, by, c.ID, true) }},
			{store.ActConnectorDisable, c.ID, func() error { return w.EnableConnector(ctx, by, c.ID, false) }},
			{store.ActConnectorRestrict, c.ID, func() error { return w.RestrictConnector(ctx, by, c.ID, "why") }},
			{store.ActConnectorUnrestrict, c.ID, func() error { return w.UnrestrictConnector(ctx, by, c.ID) }},
			{store.ActConnectorIcon, c.ID, func() error { return w.SetIcon(ctx, by, c.ID, connector.Icon{PNG: []byte("x"), Hash: "h"}) }},
			{store.ActConnectorVet, c.ID, func() error {
				v, err := w.Connector(ctx, "acme", c.ID)
				ok(t, err)
				return w.VetConnector(ctx, by, c.ID, v.Version, v.Probe.At)
			}},
			{store.ActConnectorReview, c.ID, func() error { return w.ReviewTools(ctx, by, c.ID, time.Time{}) }},
			{store.ActGrantCreate, c.ID, func() error { return w.PutGrant(ctx, by, grant) }},
			{store.ActGrantDelete, c.ID, func() error { return w.DeleteGrant(ctx, by, c.ID, "ann") }},
			{store.ActConnectorDelete, c.ID, func() error { return w.DeleteConnector(ctx, by, c.ID) }},
			{store.ActOrganizationUpdate, "acme", func() error { return w.UpdateOrganization(ctx, by, identity.OrganizationSettings{}) }},
			{store.ActMemberAdd, "eve", func() error { _, err := w.AddMember(ctx, by, "eve", "", identity.Member); return err }},
			{store.ActMemberRole, "eve", func() error { return w.SetRole(ctx, by, "eve", identity.Admin) }},
			{store.ActMemberRemove, "eve", func() error { return w.RemoveMember(ctx, by, "eve") }},
			{store.ActKeyCreate, key.ID, func() error { return w.AddKey(ctx, by, key) }},
			{store.ActKeyRevoke, key.ID, func() error { return w.RevokeKey(ctx, by, key.ID) }},
			{store.ActSessionStart, "ann", func() error { return w.AddSession(ctx, by, session) }},
			{store.ActSessionEnd, by.User, func() error { return w.EndSession(ctx, by, token.Reveal()) }},
			{"connector.denied", c.ID, func() error { return w.Record(ctx, by, "connector.denied", c.ID, map[string]string{"what": "use"}) }},
		}
		for _, step := range steps {
			ok(t, step.do())
		}
		for _, failing := range []func() error{
			func() error { return w.ShareConnector(ctx, by, c.ID, true) },
			func() error { return w.RevokeKey(ctx, by, key.ID) },
			func() error { return w.AddKey(ctx, by, key) },
			func() error { return w.RemoveMember(ctx, by, "ada") },
			func() error { return w.PutGrant(ctx, by, grant) },
		} {
			if failing() == nil {
				t.Error("what cannot succeed did")
			}
		}
		var events []identity.Event
		for page := (store.Page{Limit: 4}); ; {
			some, next, err := w.Events(ctx, "acme", store.EventFilter{}, page)
			ok(t, err)
			events = append(events, some...)
			if page.After = next; next == "" {
				break
			}
		}
		slices.SortStableFunc(events, func(a, b identity.Event) int { return a.At.Compare(b.At) })
		events = events[len(skip):]
		if len(events) != len(steps) {
			t.Fatalf("%d events, want %d", len(events), len(steps))
		}
		for i, e := range events {
			if e.Action != steps[i].action || e.Target != steps[i].target || e.Actor != by || time.Since(e.At) > time.Minute {
				t.Errorf("event %d is %+v, want %s of %s", i, e, steps[i].action, steps[i].target)
			}
			if text := fmt.Sprint(e); strings.Contains(text, canary) || strings.Contains(text, "in-the-query") {
				t.Errorf("a secret is in the log: %v", e)
			}
		}
		if got := events[0].Detail["secrets_set"]; got != "auth.api_key,headers.X-Team,network.client_id,network.client_secret" {
			t.Errorf("the update's detail is %v", events[0].Detail)
		}
	})
}

func TestConcurrentWritersWait(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		c := w.add(t, "acme", "ann", "Acme", connector.Individual)
		var all sync.WaitGroup
		for i := range 4 {
			s := w.open(t)
			all.Go(func() {
				for range 10 {
					if err := s.EnableConnector(ctx, by, c.ID, i%2 == 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if got, err := w.Connector(ctx, "acme", c.ID); err != nil || got.Version != c.Version+40 {
			t.Errorf("version %d after 40 changes, %v", got.Version, err)
		}
	})
}
