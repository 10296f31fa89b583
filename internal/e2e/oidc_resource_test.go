package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/mcptest"
)

const (
	resourceScope    = "mcp:tools"
	resourceMetadata = "/.well-known/oauth-protected-resource/mcp"
)

// oidcResource is an MCP server that asks an authorization server about each token (RFC 7662).
type oidcResource struct {
	http   *httptest.Server
	mcp    *mcptest.Server
	issuer string

	mu       sync.Mutex
	tokens   []string // that were good, each once, in the order in which they came
	problems []error
}

// newOIDCResource returns a server whose address is known. It works from start on.
func newOIDCResource(t *testing.T) *oidcResource {
	t.Helper()
	r := &oidcResource{mcp: mcptest.NewServer(mcptest.ServerOptions{Stateless: true, JSONResponse: true})}
	target, err := url.Parse(r.mcp.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL, p.Out.Host = target, target.Host
		p.Out.Header.Del("Authorization")
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+resourceMetadata, r.serveMetadata)
	mux.Handle("/mcp", r.protect(proxy))
	r.http = httptest.NewUnstartedServer(mux)
	t.Cleanup(func() {
		r.http.CloseClientConnections()
		r.http.Close()
		if err := r.mcp.Close(); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, problem := range r.problems {
			t.Error(problem)
		}
	})
	return r
}

func (r *oidcResource) start(issuer string) {
	r.issuer = issuer
	r.http.Start()
}

func (r *oidcResource) origin() string { return "http://" + r.http.Listener.Addr().String() }
func (r *oidcResource) url() string    { return r.origin() + "/mcp" }

func (r *oidcResource) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"resource": r.url(), "authorization_servers": []string{r.issuer}, "scopes_supported": []string{resourceScope},
	})
}

func (r *oidcResource) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token, given := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		ok, err := r.good(req.Context(), token)
		if err != nil && req.Context().Err() == nil {
			r.mu.Lock()
			r.problems = append(r.problems, fmt.Errorf("introspection: %w", err))
			r.mu.Unlock()
		}
		if !given || !ok {
			challenge := fmt.Sprintf(`Bearer resource_metadata=%q, scope=%q`, r.origin()+resourceMetadata, resourceScope)
			if given {
				challenge += `, error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		r.mu.Lock()
		if !slices.Contains(r.tokens, token) {
			r.tokens = append(r.tokens, token)
		}
		r.mu.Unlock()
		next.ServeHTTP(w, req)
	})
}

// good asks the authorization server whether a token is good for this server.
func (r *oidcResource) good(ctx context.Context, token string) (bool, error) {
	if token == "" {
		return false, nil
	}
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.issuer+"/token/introspection", form)
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("mcp-server", oidcSecret)
	a, err := do(req)
	if err != nil {
		return false, err
	}
	var is struct {
		Active     bool
		Aud, Scope string
	}
	if err := json.Unmarshal(a.body, &is); err != nil || a.status != http.StatusOK {
		return false, fmt.Errorf("status %d, %w: %s", a.status, err, a.body)
	}
	return is.Active && is.Aud == r.url() && slices.Contains(strings.Fields(is.Scope), resourceScope), nil
}

// token is the last one that was good.
func (r *oidcResource) token(t *testing.T) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tokens) == 0 {
		t.Fatal("the MCP server has seen no good token")
	}
	return r.tokens[len(r.tokens)-1]
}

// awaitExpired waits until the authorization server stands by no token that was ever used here.
func (r *oidcResource) awaitExpired(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		ok, err := r.good(ctx, r.token(t))
		if err != nil {
			t.Fatalf("the token does not expire: %v", err)
		}
		if !ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("the token does not expire")
		case <-time.After(pollEvery):
		}
	}
}
