package oauthtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// ResourceOptions configures a [Resource]. The zero value says in its challenge where its metadata is.
type ResourceOptions struct {
	NoHint     bool     // the challenge does not say where the metadata is
	AtRoot     bool     // the metadata is only at the root, and names the origin
	NoMetadata bool     // there is none: the MCP server is its own authorization server
	Scopes     []string // that tokens need; named in challenges
	Supported  []string // scopes in the metadata
	// AccessID and AccessSecret are those of a Cloudflare Access service token without which no request passes.
	AccessID, AccessSecret string
}

// A Resource is a protected MCP server: it lets requests with good tokens through to another.
type Resource struct {
	http  *httptest.Server
	opts  ResourceOptions
	as    *Server
	proxy *httputil.ReverseProxy // to the MCP server
	own   *httputil.ReverseProxy // to the authorization server, as if that were here

	transport *http.Transport

	mu       sync.Mutex
	scopes   []string
	metadata func(map[string]any)
	refused  int
}

// NewResource starts a server that protects the MCP server at the address mcp and trusts as.
func NewResource(as *Server, mcp string, opts ResourceOptions) (*Resource, error) {
	target, err := url.Parse(mcp)
	if err != nil {
		return nil, err
	}
	r := &Resource{opts: opts, as: as, scopes: opts.Scopes}
	r.proxy = &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL, p.Out.Host = target, target.Host
		p.Out.Header.Del("Authorization") // tokens are not passed through
	}}
	issuer, err := url.Parse(as.http.URL)
	if err != nil {
		return nil, err
	}
	r.own = httputil.NewSingleHostReverseProxy(issuer)
	// Not the default transport, whose connections every test server that closes takes down.
	r.transport = &http.Transport{}
	r.own.Transport, r.proxy.Transport = r.transport, r.transport
	r.http = httptest.NewServer(http.HandlerFunc(r.serve))
	return r, nil
}

// URL is the MCP endpoint.
func (r *Resource) URL() string { return r.http.URL + "/mcp" }

// Origin is what the server calls itself if it is its own authorization server.
func (r *Resource) Origin() string { return r.http.URL }

// Close stops the server.
func (r *Resource) Close() {
	r.http.CloseClientConnections()
	r.http.Close()
	r.transport.CloseIdleConnections()
}

// Require changes the scopes that tokens need.
func (r *Resource) Require(scopes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scopes = scopes
}

// EditMetadata changes the resource metadata before each answer.
func (r *Resource) EditMetadata(edit func(map[string]any)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metadata = edit
}

// Refused returns how many requests to the MCP endpoint were turned away for their token.
func (r *Resource) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

func (r *Resource) serve(w http.ResponseWriter, req *http.Request) {
	if r.opts.AccessID != "" && (req.Header.Get("CF-Access-Client-Id") != r.opts.AccessID || req.Header.Get("CF-Access-Client-Secret") != r.opts.AccessSecret) {
		http.Redirect(w, req, "https://team.cloudflareaccess.com/cdn-cgi/access/login/host?kid=SECRET-KID", http.StatusFound)
		return
	}
	const wellKnown = "/.well-known/oauth-protected-resource"
	switch path := req.URL.Path; {
	case path == "/mcp":
		r.protect(w, req)
	case r.opts.NoMetadata && !strings.HasPrefix(path, wellKnown):
		r.own.ServeHTTP(w, req)
	case r.opts.NoMetadata:
		http.NotFound(w, req)
	case path == wellKnown && r.opts.AtRoot:
		r.serveMetadata(w, r.http.URL)
	case path == wellKnown+"/mcp" && !r.opts.AtRoot:
		r.serveMetadata(w, r.URL())
	default:
		http.NotFound(w, req)
	}
}

func (r *Resource) serveMetadata(w http.ResponseWriter, resource string) {
	m := map[string]any{"resource": resource, "authorization_servers": []string{r.as.Issuer()}}
	if r.opts.Supported != nil {
		m["scopes_supported"] = r.opts.Supported
	}
	r.mu.Lock()
	edit := r.metadata
	r.mu.Unlock()
	if edit != nil {
		edit(m)
	}
	writeJSON(w, http.StatusOK, m)
}

func (r *Resource) protect(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	needed := r.scopes
	r.mu.Unlock()
	token, isBearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	resource := r.URL()
	if r.opts.AtRoot {
		resource = r.http.URL
	}
	scopes, ok := r.as.Check(token, resource)
	lacks := slices.ContainsFunc(needed, func(s string) bool { return !slices.Contains(scopes, s) })
	switch {
	case !isBearer:
		r.challenge(w, http.StatusUnauthorized, "", needed)
	case !ok:
		r.challenge(w, http.StatusUnauthorized, "invalid_token", needed)
	case lacks:
		r.challenge(w, http.StatusForbidden, "insufficient_scope", needed)
	default:
		r.proxy.ServeHTTP(w, req)
	}
}

func (r *Resource) challenge(w http.ResponseWriter, status int, code string, scopes []string) {
	r.mu.Lock()
	r.refused++
	r.mu.Unlock()
	params := []string{`realm="mcp"`}
	if code != "" {
		params = append(params, fmt.Sprintf("error=%q", code))
	}
	if len(scopes) > 0 {
		params = append(params, fmt.Sprintf("scope=%q", strings.Join(scopes, " ")))
	}
	if !r.opts.NoHint && !r.opts.NoMetadata && !r.opts.AtRoot {
		params = append(params, fmt.Sprintf("resource_metadata=%q", r.http.URL+"/.well-known/oauth-protected-resource/mcp"))
	}
	w.Header().Set("WWW-Authenticate", "Bearer "+strings.Join(params, ", "))
	w.WriteHeader(status)
}
