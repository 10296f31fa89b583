package connection_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
)

func TestWhoMayUseAConnectorInARun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	server := mcpServer(t, mcptest.ServerOptions{})
	own := w.create(t, ann, draft(connector.Individual, server.URL()))
	organization := w.create(t, ada, draft(connector.Organization, server.URL()))
	usable := func(by connection.Caller, v connection.View) error {
		_, err := w.Usable(t.Context(), by.Principal, v.ID)
		if _, openErr := w.Open(t.Context(), "label", by.Principal, v.ID); (openErr == nil) != (err == nil) {
			t.Errorf("Usable says %v, and Open %v", err, openErr)
		}
		return err
	}
	want := func(step string, by connection.Caller, v connection.View, kind string) {
		t.Helper()
		got := "yes"
		var denied *connector.Denied
		switch err := usable(by, v); {
		case errors.Is(err, connector.ErrHidden):
			got = "hidden"
		case errors.As(err, &denied):
			got = "denied"
		case err != nil:
			got = err.Error()
		}
		if got != kind {
			t.Errorf("%s: %s gets %s, want %s", step, by.User, got, kind)
		}
	}
	want("own", ann, own, "yes")
	want("another member's", bob, own, "hidden")
	want("another organization's", eve, own, "hidden")
	want("a member's, by an admin", ada, own, "denied")
	want("not shared", ann, organization, "hidden")
	must(w.Share(t.Context(), ada, organization.ID, true))
	want("shared", ann, organization, "yes")
	want("shared elsewhere", eve, organization, "hidden")
	must(w.Enable(t.Context(), ada, organization.ID, false))
	want("disabled", ann, organization, "denied")
	must(w.Enable(t.Context(), ada, organization.ID, true))
	must(w.Share(t.Context(), ada, organization.ID, false))
	want("unshared again", ann, organization, "hidden")
	must(w.Restrict(t.Context(), ada, own.ID, "under review"))
	want("restricted", ann, own, "denied")
	must(w.Unrestrict(t.Context(), ada, own.ID))
	want("unrestricted", ann, own, "yes")
}

// A new connector is disabled. Whoever could authorize and so enable it is told to; where that is not what is missing, the rule is told.
func TestNewConnectorNeedsAuthorization(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{}, oauthtest.ResourceOptions{})
	fresh := func(by connection.Caller, d connection.Draft) string {
		t.Helper()
		v, err := w.Create(t.Context(), by, d)
		check(t, err)
		if v.Enabled {
			t.Fatal("a new connector is enabled")
		}
		return v.ID
	}
	own, all := fresh(ann, oauthDraft(connector.Individual, p.URL(), "")), fresh(ada, oauthDraft(connector.Organization, p.URL(), connector.GrantEach))
	plain := fresh(ann, draft(connector.Individual, mcpServer(t, mcptest.ServerOptions{}).URL()))
	must(w.Share(t.Context(), ada, all, true))
	var unauthorized *connection.Unauthorized
	var denied *connector.Denied
	for _, tt := range []struct {
		by           connection.Caller
		id           string
		unauthorized bool
	}{{ann, own, true}, {ada, all, true}, {ann, all, false}, {ann, plain, false}} {
		_, err := w.Usable(t.Context(), tt.by.Principal, tt.id)
		if errors.As(err, &unauthorized) != tt.unauthorized || errors.As(err, &denied) == tt.unauthorized {
			t.Errorf("%s with %s gets %v", tt.by.User, tt.id, err)
		}
	}
	w.authorize(t, ann, own)
	must(w.Enable(t.Context(), ann, own, false))
	if _, err := w.Usable(t.Context(), ann.Principal, own); !errors.As(err, &denied) {
		t.Errorf("one that was disabled by hand and is authorized: %v", err)
	}
}

func TestCredentialsOfARun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	d := draft(connector.Individual, mcpServer(t, mcptest.ServerOptions{}).URL())
	d.Settings.Auth = connector.Auth{Type: connector.AuthAPIKey, Header: "X-Api-Key", Prefix: "Key"}
	d.Settings.Headers = []string{"X-Tenant"}
	d.Settings.Network = connector.CloudflareAccess
	d.Settings.AllowedTools = []string{"echo"}
	d.Secrets = connector.Secrets{
		connector.APIKey: secret.New("the-key"), connector.HeaderValue("X-Tenant"): secret.New("seven"),
		connector.CloudflareID: secret.New("cf-id"), connector.CloudflareSecret: secret.New("cf-secret"),
	}
	v := w.create(t, ann, d)
	use, err := w.Open(t.Context(), "label", ann.Principal, v.ID)
	check(t, err)
	for name, want := range map[string]string{
		"X-Api-Key": "Key the-key", "X-Tenant": "seven", "Cf-Access-Client-Id": "cf-id", "Cf-Access-Client-Secret": "cf-secret",
	} {
		if got := use.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if use.URL != d.Settings.URL || use.Label != "label" || use.Token != nil || use.Connector.Settings.OffersTool("add") {
		t.Errorf("the server is %v of %q", use.Server, use.Connector.Settings.AllowedTools)
	}
}

// Two processes that find the same token ended spend its refresh token once: at a server that rotates, a second use would end the grant.
func TestTwoProcessesRefreshOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		p := protect(t, oauthtest.Options{Rotate: true}, oauthtest.ResourceOptions{})
		v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
		w.authorize(t, ann, v.ID)
		processes := []*connection.Service{w.Service, w.another(t)}
		for round := range 3 {
			p.as.ExpireTokens()
			before := p.as.Count(oauthtest.Token)
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					s := processes[i%2]
					use, err := s.Open(t.Context(), "label", ann.Principal, v.ID)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := s.MCP.ListTools(t.Context(), "run", use.Server); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := p.as.Count(oauthtest.Token) - before; n != 1 {
				t.Errorf("round %d took %d token requests", round, n)
			}
		}
		if p.as.Grants() != 1 {
			t.Errorf("%d grants are left", p.as.Grants())
		}
	})
}

// A token whose end is known is renewed before it is used, without a request that is refused.
func TestStaleTokenIsRenewedBeforeItsUse(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{Rotate: true, TTL: 5 * time.Second}, oauthtest.ResourceOptions{})
	v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
	w.authorize(t, ann, v.ID)
	use, err := w.Open(t.Context(), "label", ann.Principal, v.ID)
	check(t, err)
	first := must(use.Token(t.Context(), secret.String{}))
	refused := p.Refused()
	for {
		next, err := use.Token(t.Context(), secret.String{})
		check(t, err)
		if !next.Equal(first) {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	if _, err := w.MCP.ListTools(t.Context(), "run", use.Server); err != nil {
		t.Error(err)
	}
	if p.Refused() != refused {
		t.Errorf("%d requests were refused", p.Refused()-refused)
	}
}

func TestRevokedGrant(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{Rotate: true}, oauthtest.ResourceOptions{})
	v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
	w.authorize(t, ann, v.ID)
	use, err := w.Open(t.Context(), "label", ann.Principal, v.ID)
	check(t, err)
	p.as.EndGrants()
	_, err = w.MCP.ListTools(t.Context(), "run", use.Server)
	where := publicURL + connection.AuthorizePath + "?connector=" + v.ID
	var fault *mcpclient.Error
	if !errors.As(use.Explain(t.Context(), err), &fault) || fault.Stage != mcpclient.StageAuth || fault.Temporary ||
		!strings.Contains(fault.Message, "has ended") || !strings.Contains(fault.Message, where) {
		t.Errorf("the error is %v", err)
	}
	var unauthorized *connection.Unauthorized
	if _, err := w.Usable(t.Context(), ann.Principal, v.ID); !errors.As(err, &unauthorized) || !unauthorized.Again || unauthorized.Page != where {
		t.Errorf("the next run gets %v", err)
	}
	shown, err := w.Get(t.Context(), ann, v.ID)
	check(t, err)
	if shown.Tag != connector.TagNeedsReauth || shown.Status.State != connector.NeedsReauth || shown.Grant != connector.GrantDead {
		t.Errorf("it is shown as %s, %+v", shown.Tag, shown.Status)
	}
	w.authorize(t, ann, v.ID)
	if _, err := w.Usable(t.Context(), ann.Principal, v.ID); err != nil {
		t.Errorf("after another authorization: %v", err)
	}
}

// A refusal for permissions is remembered: the next authorization asks for them as well as for those that there were.
func TestFurtherPermissions(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := protect(t, oauthtest.Options{Scopes: []string{"read", "write"}}, oauthtest.ResourceOptions{Scopes: []string{"read"}})
	v := w.create(t, ann, oauthDraft(connector.Individual, p.URL(), ""))
	w.authorize(t, ann, v.ID)
	use, err := w.Open(t.Context(), "label", ann.Principal, v.ID)
	check(t, err)
	p.Require("write")
	_, err = w.MCP.ListTools(t.Context(), "run", use.Server)
	var fault *mcpclient.Error
	if !errors.As(use.Explain(t.Context(), err), &fault) || !strings.Contains(fault.Message, "further permissions") ||
		!strings.Contains(fault.Message, v.ID) {
		t.Errorf("the error is %v", fault)
	}
	if shown := must(w.Get(t.Context(), ann, v.ID)); shown.Status.State != connector.NeedsReauth {
		t.Errorf("it is shown as %+v", shown.Status)
	}
	address, err := w.Begin(t.Context(), ann, v.ID, "browser")
	check(t, err)
	if !strings.Contains(address, "scope=write+read") && !strings.Contains(address, "scope=read+write") {
		t.Errorf("the authorization does not ask for both: %s", address)
	}
	query := must(oauthtest.Browse(t.Context(), address))
	must(w.Complete(t.Context(), ann, "browser", query))
	if use, err = w.Open(t.Context(), "label", ann.Principal, v.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.MCP.ListTools(t.Context(), "another run", use.Server); err != nil {
		t.Error(err)
	}
}
