package oauthtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Endpoints of a [Server], below its issuer, for Override and Count.
const (
	Metadata     = "/.well-known/oauth-authorization-server"
	OpenID       = "/.well-known/openid-configuration"
	Authorize    = "/authorize"
	Token        = "/token"
	Registration = "/register"
	Revocation   = "/revoke"
)

// Options configures a [Server]. The zero value registers clients, publishes metadata by RFC 8414, gives tokens for an hour and refresh
// tokens that stay the same.
type Options struct {
	Path             string        // of the issuer, such as "/tenant"
	OpenID           bool          // the metadata is only that of OpenID Connect
	TTL              time.Duration // of access tokens: 1 h
	Rotate           bool          // each refresh brings a new refresh token; a used one ends the grant
	NoRefresh        bool          // no refresh tokens
	NoRegistration   bool          // no dynamic registration
	RegisterStatus   int           // of a successful registration: 201
	ClientDocuments  bool          // takes the address of a client-metadata document as a client ID
	AuthMethods      []string      // of the token endpoint: all three
	GiveAuthMethod   string        // what registered clients get, whatever they ask for
	Scopes           []string      // that it knows; a request for another is refused; empty: any
	IssuerInCallback bool          // RFC 9207
	Resource         string        // if set, tokens are for this alone, and each request has to say so
	Clients          []Client      // made by hand
}

// A Client is one that the server knows.
type Client struct {
	ID, Secret, AuthMethod string
	RedirectURIs           []string
}

// A Server is an authorization server whose user agrees to everything at once.
type Server struct {
	http *httptest.Server
	opts Options

	mu           sync.Mutex
	clients      map[string]Client
	codes        map[string]*grant
	access       map[string]*accessToken
	refresh      map[string]*grant
	spent        map[string]*grant // refresh tokens that were replaced
	counts       map[string]int
	overrides    map[string]http.HandlerFunc
	editMetadata func(map[string]any)
	editCallback func(url.Values)
	denial       string
	problems     []error
	issued       int
}

// A grant is what the user agreed to.
type grant struct {
	client                           Client
	redirectURI, challenge, resource string
	scope                            string
	used, ended                      bool
}

type accessToken struct {
	grant   *grant
	expires time.Time
}

// NewServer starts a server over plain HTTP.
func NewServer(opts Options) *Server {
	if opts.TTL == 0 {
		opts.TTL = time.Hour
	}
	if opts.RegisterStatus == 0 {
		opts.RegisterStatus = http.StatusCreated
	}
	if opts.AuthMethods == nil {
		opts.AuthMethods = []string{"client_secret_basic", "client_secret_post", "none"}
	}
	s := &Server{
		opts: opts, clients: map[string]Client{}, codes: map[string]*grant{}, access: map[string]*accessToken{}, refresh: map[string]*grant{},
		spent: map[string]*grant{}, counts: map[string]int{}, overrides: map[string]http.HandlerFunc{},
	}
	for _, c := range opts.Clients {
		s.clients[c.ID] = c
	}
	mux := http.NewServeMux()
	if opts.OpenID {
		s.handle(mux, http.MethodGet, OpenID+opts.Path, OpenID, s.metadata)
		if opts.Path != "" {
			s.handle(mux, http.MethodGet, opts.Path+OpenID, OpenID, s.metadata)
		}
	} else {
		s.handle(mux, http.MethodGet, Metadata+opts.Path, Metadata, s.metadata)
	}
	s.handle(mux, http.MethodGet, opts.Path+Authorize, Authorize, s.authorize)
	s.handle(mux, http.MethodPost, opts.Path+Token, Token, s.token)
	s.handle(mux, http.MethodPost, opts.Path+Revocation, Revocation, s.revoke)
	if !opts.NoRegistration {
		s.handle(mux, http.MethodPost, opts.Path+Registration, Registration, s.register)
	}
	s.http = httptest.NewServer(mux)
	return s
}

// handle counts requests and lets Override take them.
func (s *Server) handle(mux *http.ServeMux, method, path, name string, h http.HandlerFunc) {
	mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.counts[name]++
		override := s.overrides[name]
		s.mu.Unlock()
		if override != nil {
			override(w, r)
			return
		}
		h(w, r)
	})
}

// Issuer is the server's name.
func (s *Server) Issuer() string { return s.http.URL + s.opts.Path }

// Close stops the server and reports what clients did that they should not.
func (s *Server) Close() error {
	s.http.CloseClientConnections()
	s.http.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.problems...)
}

// Count returns how many requests an endpoint got.
func (s *Server) Count(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[endpoint]
}

// Override answers requests to an endpoint with h from now on, or as usual if h is nil.
func (s *Server) Override(endpoint string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overrides[endpoint] = h
}

// EditMetadata changes the metadata before each answer.
func (s *Server) EditMetadata(edit func(map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.editMetadata = edit
}

// EditCallback changes the parameters of each callback.
func (s *Server) EditCallback(edit func(url.Values)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.editCallback = edit
}

// Deny makes the user decline with this error code from now on; "" makes them agree.
func (s *Server) Deny(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denial = code
}

// ExpireTokens ends all access tokens. Refresh tokens stay.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// EndGrants ends all grants with all their tokens, as a user does who withdraws them.
func (s *Server) EndGrants() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.refresh {
		g.ended = true
	}
	for _, t := range s.access {
		t.grant.ended = true
	}
}

// ForgetClients removes all clients.
func (s *Server) ForgetClients() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.clients)
}

// Grants reports how many grants have a refresh token that works.
func (s *Server) Grants() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, g := range s.refresh {
		if !g.ended {
			n++
		}
	}
	return n
}

// HTML answers with a page, as a server does that is something else.
func HTML(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, "<!doctype html><title>SECRET-PAGE</title><p>Something went wrong.")
	}
}

// JSON answers with a document.
func JSON(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, status, body) }
}

// Hang does not answer before the client gives up.
func Hang() http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does net/http notice that the client is gone
		<-r.Context().Done()
	}
}

func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	issuer := s.Issuer()
	m := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + Authorize, "token_endpoint": issuer + Token,
		"revocation_endpoint": issuer + Revocation, "response_types_supported": []string{"code"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported": s.opts.AuthMethods,
		"code_challenge_methods_supported":      []string{"S256"},
	}
	if !s.opts.NoRegistration {
		m["registration_endpoint"] = issuer + Registration
	}
	if s.opts.ClientDocuments {
		m["client_id_metadata_document_supported"] = true
	}
	if s.opts.IssuerInCallback {
		m["authorization_response_iss_parameter_supported"] = true
	}
	if s.opts.Scopes != nil {
		m["scopes_supported"] = s.opts.Scopes
	}
	s.mu.Lock()
	edit := s.editMetadata
	s.mu.Unlock()
	if edit != nil {
		edit(m)
	}
	writeJSON(w, http.StatusOK, m)
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		RedirectURIs    []string `json:"redirect_uris"`
		GrantTypes      []string `json:"grant_types"`
		AuthMethod      string   `json:"token_endpoint_auth_method"`
		ApplicationType string   `json:"application_type"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.RedirectURIs) == 0 {
		s.wrong(w, "invalid_client_metadata", "a registration without redirect URIs")
		return
	}
	if !slices.Contains(asked.GrantTypes, "refresh_token") || asked.ApplicationType == "" {
		s.wrong(w, "invalid_client_metadata", "a registration without the refresh_token grant or an application type")
		return
	}
	if !slices.Contains(s.opts.AuthMethods, asked.AuthMethod) {
		s.wrong(w, "invalid_client_metadata", "a registration with an authentication method that is not supported")
		return
	}
	for _, raw := range asked.RedirectURIs {
		u, err := url.Parse(raw)
		local := err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1")
		if err != nil || local != (asked.ApplicationType == "native") {
			s.wrong(w, "invalid_redirect_uri", "an application type that does not fit the redirect URI")
			return
		}
	}
	if s.opts.GiveAuthMethod != "" {
		asked.AuthMethod = s.opts.GiveAuthMethod
	}
	s.mu.Lock()
	c := Client{ID: s.nameLocked("client"), AuthMethod: asked.AuthMethod, RedirectURIs: asked.RedirectURIs}
	answer := map[string]any{"client_id": c.ID, "redirect_uris": c.RedirectURIs, "token_endpoint_auth_method": c.AuthMethod}
	if c.AuthMethod != "none" {
		c.Secret = s.nameLocked("secret+/&") // has to be encoded with care
		answer["client_secret"], answer["client_secret_expires_at"] = c.Secret, 0
	}
	s.clients[c.ID] = c
	s.mu.Unlock()
	writeJSON(w, s.opts.RegisterStatus, answer)
}

// client returns the client with this ID, whose document it fetches if the ID is an address.
func (s *Server) client(ctx context.Context, id string) (Client, bool) {
	s.mu.Lock()
	c, ok := s.clients[id]
	s.mu.Unlock()
	if ok || !s.opts.ClientDocuments {
		return c, ok
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return Client{}, false
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		return Client{}, false
	}
	defer resp.Body.Close()
	var document struct {
		ClientID     string   `json:"client_id"`
		RedirectURIs []string `json:"redirect_uris"`
		AuthMethod   string   `json:"token_endpoint_auth_method"`
	}
	if json.NewDecoder(resp.Body).Decode(&document) != nil || document.ClientID != id {
		return Client{}, false
	}
	return Client{ID: id, AuthMethod: document.AuthMethod, RedirectURIs: document.RedirectURIs}, true
}

// wrong refuses a request that no correct client makes, and remembers it.
func (s *Server) wrong(w http.ResponseWriter, code, what string) {
	s.mu.Lock()
	s.problems = append(s.problems, errors.New("oauthtest: "+what))
	s.mu.Unlock()
	refuse(w, http.StatusBadRequest, code, what)
}

func (s *Server) nameLocked(kind string) string {
	s.issued++
	return fmt.Sprintf("%s-%d-%08x", kind, s.issued, time.Now().UnixNano()&0xffffffff)
}

func refuse(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]any{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}
