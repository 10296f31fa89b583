package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/proxy"

	"perdure/internal/modeltest"
	"perdure/internal/payload"
	"perdure/internal/secret"
	"perdure/internal/temporaldev/temporaldevtest"
)

const email = "alice@acme.example"

// connectorStack is a stack with two workers, whose people sign in at an authorization server that we did not write, and an MCP server
// that takes that server's tokens.
type connectorStack struct {
	*stack
	workers   [2]*process
	as        *oidcServer
	mcp       *oidcResource
	key       string   // of alice, an admin
	connector string   // its ID
	ids       []string // of the runs that have completed
}

func newConnectorStack(t *testing.T) *connectorStack {
	t.Helper()
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return modeltest.Calls(modeltest.Call{Name: "acme__echo", Arguments: `{"text": "hello"}`})
		}
		return modeltest.Text("done")
	})
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	// Browsers have to know the address before the starter listens there.
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	public := "http://" + address
	c := &connectorStack{mcp: newOIDCResource(t)}
	c.as = startOIDC(t, c.mcp.url(), public+"/rest/auth/callback", email)
	c.mcp.start(c.as.issuer)
	var err error
	c.stack, err = prepareStack(stackOptions{
		Temporal: temporaldevtest.Address(t), Model: model.URL(), Env: []string{"E2E_OIDC_SECRET=" + oidcSecret},
		Auth: fmt.Sprintf("  oidc:\n    issuer: %s\n    client_id: perdure-sign-in\n    client_secret_env: E2E_OIDC_SECRET\n"+
			"    organizations: [{name: %s, domains: [acme.example]}]\n", c.as.issuer, organization),
		Settings: "http:\n  public_url: " + public + "\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
		for _, p := range c.processes {
			if t.Failed() {
				t.Logf("%s wrote:\n%s", p.name, p.output.since(0))
			}
		}
	})
	c.run(t, "member", "add", user, "--organization", organization, "--role", "admin", "--email", email, "--create-organization")
	c.key, _, _ = strings.Cut(c.run(t, "key", "create", "laptop", "--user", user, "--organization", organization), "\n")
	for i := range c.workers {
		err = errors.Join(err, c.startWorker())
		c.workers[i] = c.worker
	}
	if err := errors.Join(err, c.startStarterAt(t.Context(), address)); err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a command of perdure and returns what it prints.
func (c *connectorStack) run(t *testing.T, args ...string) string {
	t.Helper()
	p, err := c.start(args...)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.wait(); err != nil || code != 0 {
		t.Fatalf("perdure %v: exit code %d, %v\n%s", args, code, err, p.output.since(0))
	}
	return string(p.output.since(0))
}

// savedConnector is what tests read of a connector.
type savedConnector struct {
	ID     string
	Status struct{ State, Message string }
}

func (c *connectorStack) call(t *testing.T, method, path, body string) answer {
	t.Helper()
	a, err := send(t.Context(), method, c.url+"/v1"+path, c.key, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// add saves the connector, whose server wants an authorization that nobody has given yet.
func (c *connectorStack) add(t *testing.T) {
	t.Helper()
	a := c.call(t, http.MethodPost, "/connectors",
		fmt.Sprintf(`{"name": "Acme CRM", "url": %q, "acknowledged": true, "auth": {"type": "oauth"}}`, c.mcp.url()))
	var saved savedConnector
	if err := json.Unmarshal(a.body, &saved); err != nil || saved.ID == "" {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	c.connector = saved.ID
}

func (c *connectorStack) checkState(t *testing.T, want string) {
	t.Helper()
	a := c.call(t, http.MethodGet, "/connectors/"+c.connector, "")
	var saved savedConnector
	if err := json.Unmarshal(a.body, &saved); err != nil || saved.Status.State != want {
		t.Errorf("status %d, %v: the connector is %q, want %s: %s", a.status, err, saved.Status.State, want, a.body)
	}
}

// authorizationPage is where the API sends people who are to authorize the connector.
func (c *connectorStack) authorizationPage(t *testing.T) string {
	t.Helper()
	a := c.call(t, http.MethodPost, "/connectors/"+c.connector+"/authorize", "")
	var to struct {
		URL string `json:"authorization_url"`
	}
	if err := json.Unmarshal(a.body, &to); err != nil || to.URL != c.authorizeURL() {
		t.Fatalf("status %d, %v: the page is %q, want %s", a.status, err, to.URL, c.authorizeURL())
	}
	return to.URL
}

func (c *connectorStack) authorizeURL() string {
	return c.url + "/rest/connections/authorize?connector=" + c.connector
}

// request is one for a run with the connector.
func (c *connectorStack) request(more string) string {
	return fmt.Sprintf(`{"input": "x", "tools": [{"type": "mcp", "server_label": "acme", "connector_id": %q}]%s}`, c.connector, more)
}

// runs makes a run that has to complete with the tool's answer.
func (c *connectorStack) runs(t *testing.T) {
	t.Helper()
	c.checkRun(t, c.call(t, http.MethodPost, "/responses", c.request("")).decode(t))
}

func (c *connectorStack) checkRun(t *testing.T, r response) {
	t.Helper()
	c.ids = append(c.ids, r.ID)
	if r.Status != "completed" || r.text() != "done" || len(r.Output) != 3 || r.Output[1].Output != "hello" || r.Output[1].Error != nil {
		t.Fatalf("the run is %s with %+v, %+v", r.Status, r.Error, r.Output)
	}
}

// checkNeedsAuthorization wants a run to be refused with where to authorize.
func (c *connectorStack) checkNeedsAuthorization(t *testing.T) {
	t.Helper()
	refused(t, c.call(t, http.MethodPost, "/responses", c.request("")), http.StatusFailedDependency, c.authorizeURL())
}

// checkGrants wants the authorization server to have had no reason for a complaint.
func (c *connectorStack) checkGrants(t *testing.T) oidcJournal {
	t.Helper()
	j := c.as.journal(t)
	if len(j.Refused) != 0 || j.Revoked != 0 {
		t.Fatalf("the authorization server has refused %q and ended %d grants", j.Refused, j.Revoked)
	}
	return j
}

// TestConnectorAuthorization is the life of an authorization: a person gives it in a browser, its tokens expire and are renewed, by two
// workers at once, too, the person withdraws it, and gives it again.
func TestConnectorAuthorization(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	c := newConnectorStack(t)
	c.add(t)
	c.checkState(t, "needs_auth")
	c.checkNeedsAuthorization(t)

	b.open(t, c.authorizationPage(t))
	b.logIn(t, user)
	b.consent(t, "email") // to signing in at Perdure
	b.consent(t, resourceScope)
	b.awaitFlash(t, "Acme CRM is authorized and connected.")
	c.checkState(t, "connected")

	c.runs(t)
	first, before := c.mcp.token(t), c.checkGrants(t)
	c.mcp.awaitExpired(t)
	c.runs(t)
	if after := c.checkGrants(t); after.Refreshed <= before.Refreshed || c.mcp.token(t) == first {
		t.Errorf("the token was not renewed: %d refreshes, and %d before", after.Refreshed, before.Refreshed)
	}

	c.checkRefreshAtOnce(t)

	c.as.revoke(t)
	c.checkNeedsAuthorization(t)
	c.checkState(t, "needs_reauth")
	c.checkNeedsAuthorization(t)
	if j := c.as.journal(t); len(j.Refused) != 1 || !strings.HasPrefix(j.Refused[0], "refresh_token: invalid_grant") {
		t.Errorf("the authorization server has refused %q, want one refresh", j.Refused)
	}

	b.open(t, c.authorizationPage(t)) // the browser is signed in
	b.consent(t, resourceScope)
	b.awaitFlash(t, "Acme CRM is authorized and connected.")
	c.checkState(t, "connected")
	c.runs(t)
	c.checkSecrets(t)
}

// checkSecrets looks for tokens where none may be: in what the processes wrote, and in what Temporal has of the runs.
func (c *connectorStack) checkSecrets(t *testing.T) {
	t.Helper()
	places := map[string]string{}
	for i, p := range c.processes {
		places[fmt.Sprintf("the output of %s, process %d,", p.name, i)] = string(p.output.since(0))
	}
	for _, id := range c.ids {
		checkReplay(t, c.stack, id)
		text := c.historyText(t, id)
		if !strings.Contains(text, c.connector) {
			t.Errorf("the history of %s does not name the connector: it was not read", id)
		}
		places["the history of "+id] = text
	}
	c.mcp.mu.Lock()
	secrets := append(slices.Clone(c.mcp.tokens), oidcSecret)
	c.mcp.mu.Unlock()
	for place, text := range places {
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has secret %d of %d", place, i+1, len(secrets))
			}
		}
	}
}

// historyText is what the payloads of a run's history hold.
func (c *connectorStack) historyText(t *testing.T, id string) string {
	t.Helper()
	h, err := c.history(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := secret.OpenKeysetFile(filepath.Join(c.dataDir(), "keyset.json"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	codec := payload.NewCodec(sealer, false)
	var text strings.Builder
	visit := func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
		decoded, err := codec.Decode(payloads)
		for _, p := range decoded {
			text.Write(p.GetData())
		}
		return payloads, err
	}
	if err := proxy.VisitPayloads(t.Context(), h, proxy.VisitPayloadsOptions{Visitor: visit, SkipSearchAttributes: true}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// checkRefreshAtOnce has many runs on both workers need a new token at the same time. One refresh serves them all: a second one with the
// same refresh token would end the grant.
func (c *connectorStack) checkRefreshAtOnce(t *testing.T) {
	t.Helper()
	c.mcp.awaitExpired(t)
	c.as.liveLong(t) // for no second refresh to be right
	c.as.shut(t)
	before := c.checkGrants(t)
	var ids []string
	begin := func() {
		ids = append(ids, c.call(t, http.MethodPost, "/responses", c.request(`, "background": true`)).decode(t).ID)
	}
	for range 8 {
		begin()
	}
	deadline := time.After(startTimeout)
	for {
		waiting := c.as.journal(t).Waiting
		first, second := c.stepsOf(t, c.workers[0], ids), c.stepsOf(t, c.workers[1], ids)
		if waiting > 1 {
			t.Fatalf("%d requests for a token at once, from %d and %d steps", waiting, first, second)
		}
		if waiting == 1 && first > 0 && second > 0 {
			t.Logf("%d and %d steps wait for one refresh", first, second)
			break
		}
		if max(first, second) == len(ids) {
			begin() // all have gone to one worker
		}
		select {
		case <-deadline:
			t.Fatalf("after %v %d requests for a token, from %d and %d steps of the workers", startTimeout, waiting, first, second)
		case <-time.After(pollEvery):
		}
	}
	c.as.open(t)
	for _, id := range ids {
		c.checkRun(t, c.awaitRun(t, id))
	}
	if after := c.checkGrants(t); after.Refreshed != before.Refreshed+1 {
		t.Errorf("%d refreshes for %d runs at once, want 1", after.Refreshed-before.Refreshed, len(ids))
	}
}

func (c *connectorStack) awaitRun(t *testing.T, id string) response {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		r := c.call(t, http.MethodGet, "/responses/"+id, "").decode(t)
		if r.Status != "queued" && r.Status != "in_progress" {
			return r
		}
		select {
		case <-deadline:
			t.Fatalf("the run %s is %s after %v", id, r.Status, startTimeout)
		case <-time.After(pollEvery):
		}
	}
}
