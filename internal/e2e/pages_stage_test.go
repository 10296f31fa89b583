package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/identity"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/store"
	"perdure/internal/temporaldev/temporaldevtest"
)

// person is who looks at a page.
type person struct{ organization, user string }

// The people of the stage. Those of acme have everything there is; umbrella has just begun, and has nothing.
var (
	acmeAdmin   = person{"acme", "alice"}
	acmeMember  = person{"acme", "bob"}
	emptyAdmin  = person{"umbrella", "mallory"}
	emptyMember = person{"umbrella", "trent"}
	stranger    = person{} // is not signed in
)

func (p person) String() string {
	if p == stranger {
		return "a stranger"
	}
	return p.user + " of " + p.organization
}

// pageStage is a stack with what pages show, and with people who are signed in.
type pageStage struct {
	*stack
	store *store.Store
	mcp   *mcptest.Server
	// made has the IDs of what there is, by the names that stand for them in the paths of pages.
	made map[string]string
	// adminKey is the API key of acme's admin.
	adminKey string

	browser  *browser
	mu       sync.Mutex
	visitors map[person]*visitor
}

func newPageStage(t *testing.T, o stackOptions) *pageStage {
	t.Helper()
	s := &pageStage{made: map[string]string{}, visitors: map[person]*visitor{}, mcp: mcptest.NewServer(mcptest.ServerOptions{})}
	held := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply { return stageReply(r, held) })
	t.Cleanup(func() {
		close(held)
		for _, end := range []func() error{model.Close, s.mcp.Close} {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
	o.Temporal, o.Model = temporaldevtest.Address(t), model.URL()
	s.stack = ownStack(t, o)
	s.openStore(t)
	for p, role := range map[person]identity.Role{
		acmeAdmin: identity.Admin, acmeMember: identity.Member, emptyAdmin: identity.Admin, emptyMember: identity.Member,
	} {
		s.join(t, p, role)
	}
	s.fill(t)
	s.browser = newBrowser(t)
	return s
}

// stageReply is the model of the stage: it does what the input names.
func stageReply(r modeltest.Request, held <-chan struct{}) modeltest.Reply {
	var input string
	for _, m := range r.Messages {
		if m.Role == "user" {
			input = m.Content
		}
	}
	switch {
	case strings.HasPrefix(input, "refuse"):
		return modeltest.Status(http.StatusBadRequest, nil, `{"error":{"message":"this model does not answer that","type":"invalid_request_error"}}`)
	case strings.HasPrefix(input, "wait"):
		return modeltest.Text("It takes a while.").Hold(held)
	case r.Turn() == 0 && len(r.Tools) > 0:
		return modeltest.Calls(
			modeltest.Call{Name: "files__echo", Arguments: `{"text": "hello"}`}, modeltest.Call{Name: "files__fail", Arguments: `{}`},
		)
	default:
		return modeltest.Text("The tool says *hello*.")
	}
}

// openStore opens the database of the stack, as any process of it does.
func (s *pageStage) openStore(t *testing.T) {
	t.Helper()
	var err error
	s.store, err = store.Open(t.Context(), store.Options{File: filepath.Join(s.dataDir(), "perdure.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// join makes a person a member.
func (s *pageStage) join(t *testing.T, p person, role identity.Role) {
	t.Helper()
	by := identity.Operator(p.organization)
	if _, err := s.store.EnsureOrganization(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.AddMember(t.Context(), by, p.user, p.user+"@"+p.organization+".example", role); err != nil {
		t.Fatal(err)
	}
}

// key makes an API key of a person.
func (s *pageStage) key(t *testing.T, p person, name string) string {
	t.Helper()
	key, text, err := identity.NewKey(p.organization, p.user, name, identity.AllScopes, time.Now(), time.Time{})
	if err == nil {
		err = s.store.AddKey(t.Context(), identity.Operator(p.organization), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.made[p.user+"'s key"] = key.ID
	return text.Reveal()
}

// session signs a person in, and returns what their browser has for it.
func (s *pageStage) session(t *testing.T, p person) string {
	t.Helper()
	session, token := identity.NewSession(p.organization, p.user, time.Now())
	if err := s.store.AddSession(t.Context(), identity.Actor{Organization: p.organization, User: p.user, Key: "test"}, session); err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

const sessionCookie = "perdure_session"

// visitor returns the tab of a person, who is signed in there.
func (s *pageStage) visitor(t *testing.T, p person) *visitor {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.visitors[p]; v != nil {
		return v
	}
	v := s.browser.visitor(t)
	if p != stranger {
		v.setSession(t, s.url, s.session(t, p))
	}
	s.visitors[p] = v
	return v
}

// fill makes what acme has.
func (s *pageStage) fill(t *testing.T) {
	t.Helper()
	s.adminKey = s.key(t, acmeAdmin, "laptop")
	s.key(t, acmeMember, "notebook")
	key := s.adminKey
	servers := fmt.Sprintf(`"tools": [{"type": "mcp", "server_label": "files", "server_url": %q}]`, s.mcp.URL())
	for name, body := range map[string]string{
		"completed run": fmt.Sprintf(`{"input": "say hello", %s}`, servers),
		"failed run":    `{"input": "refuse"}`,
		"running run":   `{"input": "wait", "background": true}`,
	} {
		s.made[name] = s.create(t, key, "/v1/responses", body)
	}
	for name, body := range map[string]string{
		"connector": fmt.Sprintf(`{"name": "Files", "description": "What is in our files", "url": %q, "scope": "organization",
			"acknowledged": true, "auth": {"type": "none"}}`, s.mcp.URL()),
		"broken connector": `{"name": "Broken", "url": "http://127.0.0.1:1/mcp", "acknowledged": true, "auth": {"type": "api_key", "api_key": "not-for-pages"}}`,
	} {
		s.made[name] = s.create(t, key, "/v1/connectors", body)
	}
	s.fillBatches(t)
}

// create makes something and returns its ID.
func (s *pageStage) create(t *testing.T, key, path, body string) string {
	t.Helper()
	a, err := send(t.Context(), http.MethodPost, s.url+path, key, body)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	if err := json.Unmarshal(a.body, &made); err != nil || made.ID == "" {
		t.Fatalf("POST %s: status %d: %s", path, a.status, a.body)
	}
	return made.ID
}

// path is the path of a page, with the IDs of what there is.
func (s *pageStage) path(t *testing.T, path string) string {
	t.Helper()
	return filled(t, s.made, path)
}
