package connection_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/oauth"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	v, err := w.Create(t.Context(), ann, oauthDraft(connector.Individual, p.URL(), ""))
	check(t, err)
	if v.Status.State != connector.NeedsAuth || v.Grant != connector.GrantMissing {
		t.Errorf("before: %+v, grant %s", v.Status, v.Grant)
	}
	if v = must(w.Probe(t.Context(), ann, v.ID)); v.Status.State != connector.NeedsAuth || v.Tag == connector.TagError {
		t.Errorf("a server that wants authorization is no failure: %s, %+v", v.Tag, v.Status)
	}
	w.authorize(t, ann, v.ID)
	if v = must(w.Get(t.Context(), ann, v.ID)); !v.Enabled || v.Tag != connector.TagConnected || v.Grant != connector.GrantActive || len(v.Probe.Tools) == 0 {
		t.Errorf("after: %s, %+v, grant %s", v.Tag, v.Status, v.Grant)
	}
	if p.as.Grants() != 1 {
		t.Fatalf("%d grants", p.as.Grants())
	}
	v, err = w.Disconnect(t.Context(), ann, v.ID)
	check(t, err)
	if v.Grant != connector.GrantMissing || v.Tag != connector.TagNeedsAuth || p.as.Grants() != 0 {
		t.Errorf("disconnected: %s, grant %s, %d at the server", v.Tag, v.Grant, p.as.Grants())
	}
}

// A callback is good once, for the person and the browser that were sent away.
func TestForeignCallbacks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	v := w.create(t, ada, oauthDraft(connector.Organization, p.URL(), connector.GrantEach))
	must(w.Share(t.Context(), ada, v.ID, true))
	refused := func(name string, by connection.Caller, browser string, query url.Values) {
		t.Helper()
		var explained *oauth.Error
		if _, err := w.Complete(t.Context(), by, browser, query); !errors.Is(err, oauth.ErrState) || !errors.As(err, &explained) || explained.Remedy == "" {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	query := w.browse(t, ann, v.ID, "ann's browser")
	refused("another browser", ann, "another", query)
	refused("another organization", eve, "ann's browser", query)
	wrong := url.Values{"state": {"wrong"}, "code": query["code"]}
	refused("a state that was never given out", ann, "ann's browser", wrong)
	must(w.Complete(t.Context(), ann, "ann's browser", query))
	refused("a state that was used", ann, "ann's browser", query)

	query = w.browse(t, ann, v.ID, "a shared browser")
	refused("another person", bob, "a shared browser", query)
	refused("after another person tried", ann, "a shared browser", query)
	if v := must(w.Get(t.Context(), bob, v.ID)); v.Grant != connector.GrantMissing {
		t.Errorf("bob's grant is %s", v.Grant)
	}
	query = w.browse(t, bob, v.ID, "bob's browser")
	must(w.Share(t.Context(), ada, v.ID, false))
	if _, err := w.Complete(t.Context(), bob, "bob's browser", query); !errors.Is(err, connector.ErrHidden) {
		t.Errorf("a connector that was unshared meanwhile: %v", err)
	}
}

// A callback that comes too late is one that nobody waits for any more.
func TestOldCallback(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.Service = w.servePatiently(t, w.open(t), time.Nanosecond)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
	query := w.browse(t, ann, v.ID, "ann's browser")
	if _, err := w.Complete(t.Context(), ann, "ann's browser", query); !errors.Is(err, oauth.ErrState) {
		t.Errorf("the error is %v", err)
	}
	if v = must(w.Get(t.Context(), ann, v.ID)); v.Grant != connector.GrantMissing {
		t.Errorf("it left grant %s", v.Grant)
	}
}

func TestWhoseGrant(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	state := func(by connection.Caller, id string) connector.GrantState {
		t.Helper()
		_, err := w.Usable(t.Context(), by.Principal, id)
		v := must(w.Get(t.Context(), by, id))
		if (err == nil) != (v.Grant == connector.GrantActive) {
			t.Errorf("with the grant %s a run gets %v", v.Grant, err)
		}
		return v.Grant
	}
	for mode, others := range map[connector.GrantMode]connector.GrantState{
		connector.GrantShared: connector.GrantActive, connector.GrantEach: connector.GrantMissing,
	} {
		id := w.create(t, ada, oauthDraft(connector.Organization, p.URL(), mode)).ID
		must(w.Share(t.Context(), ada, id, true))
		var denied *connector.Denied
		if _, err := w.Begin(t.Context(), ann, id, "browser"); errors.As(err, &denied) != (mode == connector.GrantShared) {
			t.Errorf("%s: a member who authorizes gets %v", mode, err)
		}
		w.authorize(t, ada, id)
		if got := state(ada, id); got != connector.GrantActive {
			t.Errorf("%s: the admin's grant is %s", mode, got)
		}
		if got := state(ann, id); got != others {
			t.Errorf("%s: a member's grant is %s, want %s", mode, got, others)
		}
	}
}

// One registration serves all connectors of an organization, until the server does not know it any more.
func TestRegistrationIsKeptAndForgotten(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	first := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), "")).ID
	second := w.create(t, bob, oauthDraft(connector.Individual, p.URL(), "")).ID
	w.authorize(t, ann, first)
	w.authorize(t, bob, second)
	if n := p.as.Count(oauthtest.Registration); n != 1 {
		t.Errorf("%d registrations", n)
	}
	query := w.browse(t, ann, first, "browser")
	p.as.ForgetClients()
	if _, err := w.Complete(t.Context(), ann, "browser", query); !errors.Is(err, oauth.ErrClientGone) {
		t.Errorf("the error is %v", err)
	}
	w.authorize(t, ann, first)
	if n := p.as.Count(oauthtest.Registration); n != 2 {
		t.Errorf("%d registrations", n)
	}
}

func TestAuthorizationServersThatFail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options oauthtest.Options
		prepare func(*oauthtest.Server)
		stage   oauth.Stage
	}{
		{"mixes issuers", oauthtest.Options{}, func(s *oauthtest.Server) {
			s.EditMetadata(func(m map[string]any) { m["issuer"] = "https://evil.example.com" })
		}, oauth.StageServer},
		{"answers with a page", oauthtest.Options{}, func(s *oauthtest.Server) { s.Override(oauthtest.Metadata, oauthtest.HTML(http.StatusOK)) }, oauth.StageServer},
		{"has no PKCE", oauthtest.Options{}, func(s *oauthtest.Server) {
			s.EditMetadata(func(m map[string]any) { delete(m, "code_challenge_methods_supported") })
		}, oauth.StageServer},
		{"does not register", oauthtest.Options{NoRegistration: true}, nil, oauth.StageRegistration},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			p := protect(t, tt.options, oauthtest.ResourceOptions{})
			if tt.prepare != nil {
				tt.prepare(p.as)
			}
			v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
			var explained *oauth.Error
			if _, err := w.Begin(t.Context(), ann, v.ID, "browser"); !errors.As(err, &explained) || explained.Stage != tt.stage || explained.Remedy == "" {
				t.Errorf("the error is %v", err)
			}
			if v = must(w.Get(t.Context(), ann, v.ID)); v.Grant != connector.GrantMissing {
				t.Errorf("the grant is %s", v.Grant)
			}
		})
	}
}

// An authorization server without metadata works with endpoints that a person entered.
func TestEnteredEndpoints(t *testing.T) {
	t.Parallel()
	w := setup(t)
	client := oauthtest.Client{ID: "by-hand", Secret: "shared", AuthMethod: "client_secret_basic", RedirectURIs: []string{publicURL + oauth.CallbackPath}}
	p := protect(t, oauthtest.Options{Clients: []oauthtest.Client{client}}, oauthtest.ResourceOptions{})
	p.as.Override(oauthtest.Metadata, oauthtest.HTML(http.StatusNotFound))
	d := oauthDraft(connector.Individual, p.URL(), "")
	d.Settings.Auth.OAuth.ClientID, d.Settings.Auth.OAuth.ClientAuth = client.ID, client.AuthMethod
	d.Secrets = connector.Secrets{connector.ClientSecret: secret.New(client.Secret)}
	v := w.create(t, ann, d)
	if _, err := w.Begin(t.Context(), ann, v.ID, "browser"); err == nil {
		t.Error("an authorization began without metadata")
	}
	at := p.as.Issuer()
	d.Settings.Auth.OAuth.Endpoints = connector.Endpoints{Authorization: at + oauthtest.Authorize, Token: at + oauthtest.Token}
	v, err := w.Update(t.Context(), ann, v.ID, d)
	check(t, err)
	w.authorize(t, ann, v.ID)
	if v = must(w.Get(t.Context(), ann, v.ID)); v.Tag != connector.TagConnected {
		t.Errorf("it is %s, %+v", v.Tag, v.Status)
	}
}

func TestDeclinedAuthorization(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	v, err := w.Create(t.Context(), ann, oauthDraft(connector.Individual, p.URL(), ""))
	check(t, err)
	p.as.Deny("access_denied")
	id, err := w.Complete(t.Context(), ann, "browser", w.browse(t, ann, v.ID, "browser"))
	if !errors.Is(err, oauth.ErrDenied) || id != v.ID {
		t.Errorf("Complete is %q, %v", id, err)
	}
	if v = must(w.Get(t.Context(), ann, v.ID)); v.Enabled || v.Grant != connector.GrantMissing {
		t.Errorf("enabled %v, grant %s", v.Enabled, v.Grant)
	}
}

// Another server, or another client, ends the authorizations that were made before, there as well as here.
func TestChangesThatEndAuthorizations(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
	w.authorize(t, ann, v.ID)
	d := oauthDraft(connector.Individual, p.URL(), "")
	d.Settings.Name = "Another name"
	if v = must(w.Update(t.Context(), ann, v.ID, d)); v.Grant != connector.GrantActive {
		t.Errorf("after another name the grant is %s", v.Grant)
	}
	d.Settings.Auth.OAuth.Scopes = []string{"other"}
	if v = must(w.Update(t.Context(), ann, v.ID, d)); v.Grant != connector.GrantMissing || p.as.Grants() != 0 {
		t.Errorf("after other scopes the grant is %s; %d at the server", v.Grant, p.as.Grants())
	}
	w.authorize(t, ann, v.ID)
	check(t, w.Delete(t.Context(), ann, v.ID))
	if p.as.Grants() != 0 {
		t.Errorf("after the deletion there are %d grants at the server", p.as.Grants())
	}
	if strings.Contains(w.log.String(), "could not be revoked") {
		t.Error(w.log.String())
	}
}
