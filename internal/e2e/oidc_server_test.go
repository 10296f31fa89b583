package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

const (
	oidcSecret  = "e2e-canary-of-the-authorization-server"
	oidcProgram = "npm/oidc/server.mjs"
)

var oidcReady = regexp.MustCompile(`authorization server (\S+) control (\S+)`)

// oidcServer is npm's oidc-provider, an authorization server that we did not write.
type oidcServer struct {
	issuer  string
	control string // where a test is told things and does things that no client can
}

// oidcJournal is what a server has to tell of its token endpoint.
type oidcJournal struct {
	Refreshed int      // refreshes that were granted
	Refused   []string // requests that were not, with the reasons
	Revoked   int      // grants that were ended because a refresh token was shown twice
	Waiting   int      // requests at the gate
}

// startOIDC starts a server that gives tokens for a resource, and lets people sign in who come back at a redirect URI.
func startOIDC(t *testing.T, resource, redirectURI, email string) *oidcServer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: the authorization server of this test needs Node.js", err)
	}
	if matches, _ := filepath.Glob("npm/node_modules/oidc-provider/package.json"); matches == nil {
		t.Fatal("internal/e2e/npm/node_modules is not up to date: run `npm ci` in internal/e2e/npm")
	}
	program, err := filepath.Abs(oidcProgram)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"RESOURCE=" + resource, "REDIRECT_URI=" + redirectURI, "CLIENT_SECRET=" + oidcSecret, "EMAIL=" + email}
	p, err := startProcess("oidc-provider", node, env, program)
	if err != nil {
		t.Fatal(err)
	}
	p.showOnFailure(t)
	t.Cleanup(p.kill)
	match, err := p.await(t.Context(), oidcReady)
	if err != nil {
		t.Fatal(err)
	}
	return &oidcServer{issuer: match[1], control: match[2]}
}

func (s *oidcServer) journal(t *testing.T) oidcJournal {
	t.Helper()
	var j oidcJournal
	s.ask(t, http.MethodGet, "journal", &j)
	return j
}

// revoke ends all grants of the MCP server's clients, as whoever gave them can. There has to be one.
func (s *oidcServer) revoke(t *testing.T) {
	t.Helper()
	var done struct{ Ended int }
	if s.ask(t, http.MethodPost, "revoke", &done); done.Ended == 0 {
		t.Fatal("the authorization server has no grant that could be revoked")
	}
}

// shut makes all requests for tokens wait until the gate is opened.
func (s *oidcServer) shut(t *testing.T) { s.ask(t, http.MethodPost, "shut", nil) }
func (s *oidcServer) open(t *testing.T) { s.ask(t, http.MethodPost, "open", nil) }

// liveLong lets access tokens from now on live longer than a test.
func (s *oidcServer) liveLong(t *testing.T) { s.ask(t, http.MethodPost, "long-lived", nil) }

func (s *oidcServer) ask(t *testing.T, method, what string, to any) {
	t.Helper()
	a, err := request(t.Context(), method, s.control+"/"+what, "", "")
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("status %d", a.status)
	}
	if err == nil && to != nil {
		decoder := json.NewDecoder(bytes.NewReader(a.body))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(to)
	}
	if err != nil {
		t.Fatalf("%s of the authorization server: %v: %s", what, err, a.body)
	}
}
