package oauthtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	client, known := s.client(r.Context(), q.Get("client_id"))
	redirect := q.Get("redirect_uri")
	switch {
	case !known || !slices.Contains(client.RedirectURIs, redirect):
		s.wrong(w, "invalid_client", "an authorization for an unknown client, or for a redirect URI that is not its own")
		return
	case q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		s.wrong(w, "invalid_request", "an authorization without PKCE")
		return
	case len(q.Get("state")) < 32:
		s.wrong(w, "invalid_request", "an authorization without a state that is hard to guess")
		return
	case s.opts.Resource != "" && q.Get("resource") != s.opts.Resource:
		s.wrong(w, "invalid_target", "an authorization for another resource")
		return
	}
	back := url.Values{"state": {q.Get("state")}}
	if s.opts.IssuerInCallback {
		back.Set("iss", s.Issuer())
	}
	s.mu.Lock()
	unknownScope := s.opts.Scopes != nil && slices.ContainsFunc(strings.Fields(q.Get("scope")), func(scope string) bool {
		return !slices.Contains(s.opts.Scopes, scope)
	})
	switch {
	case s.denial != "":
		back.Set("error", s.denial)
		back.Set("error_description", "the user said\nno")
	case unknownScope:
		back.Set("error", "invalid_scope")
	default:
		code := s.nameLocked("code")
		s.codes[code] = &grant{
			client: client, redirectURI: redirect, challenge: q.Get("code_challenge"), resource: q.Get("resource"), scope: q.Get("scope"),
		}
		back.Set("code", code)
	}
	edit := s.editCallback
	s.mu.Unlock()
	if edit != nil {
		edit(back)
	}
	http.Redirect(w, r, redirect+"?"+back.Encode(), http.StatusFound)
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	client, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	if s.opts.Resource != "" && r.PostForm.Get("resource") != s.opts.Resource {
		s.wrong(w, "invalid_target", "a token request for another resource")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		g := s.codes[r.PostForm.Get("code")]
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if g == nil || g.used || g.client.ID != client.ID || g.redirectURI != r.PostForm.Get("redirect_uri") ||
			base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
			refuse(w, http.StatusBadRequest, "invalid_grant", "the code is not good")
			return
		}
		g.used = true
		refresh := ""
		if !s.opts.NoRefresh {
			refresh = s.nameLocked("refresh")
			s.refresh[refresh] = g
		}
		s.answerLocked(w, g, refresh)
	case "refresh_token":
		old := r.PostForm.Get("refresh_token")
		if g := s.spent[old]; g != nil {
			g.ended = true // taken for theft
		}
		g := s.refresh[old]
		if g == nil || g.ended || g.client.ID != client.ID {
			refuse(w, http.StatusBadRequest, "invalid_grant", "the refresh token is not good")
			return
		}
		refresh := ""
		if s.opts.Rotate {
			delete(s.refresh, old)
			s.spent[old] = g
			refresh = s.nameLocked("refresh")
			s.refresh[refresh] = g
		}
		s.answerLocked(w, g, refresh)
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "")
	}
}

func (s *Server) answerLocked(w http.ResponseWriter, g *grant, refresh string) {
	access := s.nameLocked("access")
	s.access[access] = &accessToken{grant: g, expires: time.Now().Add(s.opts.TTL)}
	answer := map[string]any{"access_token": access, "token_type": "bearer", "expires_in": int(s.opts.TTL.Seconds())}
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	if g.scope != "" {
		answer["scope"] = g.scope
	}
	writeJSON(w, http.StatusOK, answer)
}

// authenticate checks the form and who sends it.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (Client, bool) {
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.ParseForm() != nil || r.URL.RawQuery != "" {
		s.wrong(w, "invalid_request", "a token request that is not a form")
		return Client{}, false
	}
	id, secret, method := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), "none"
	if secret != "" {
		method = "client_secret_post"
	}
	if user, password, ok := r.BasicAuth(); ok {
		if method != "none" {
			s.wrong(w, "invalid_request", "a token request with two ways of authentication")
			return Client{}, false
		}
		var errID, errSecret error
		id, errID = url.QueryUnescape(user)
		secret, errSecret = url.QueryUnescape(password)
		if errID != nil || errSecret != nil {
			s.wrong(w, "invalid_request", "credentials that are not encoded as in a form")
			return Client{}, false
		}
		method = "client_secret_basic"
	}
	client, known := s.client(r.Context(), id)
	if !known || client.AuthMethod != method || subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1 {
		refuse(w, http.StatusUnauthorized, "invalid_client", "unknown client, or other credentials")
		return Client{}, false
	}
	return client, true
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	client, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := r.PostForm.Get("token")
	if g := s.refresh[token]; g != nil && g.client.ID == client.ID {
		g.ended = true
	}
	if t := s.access[token]; t != nil && t.grant.client.ID == client.ID {
		delete(s.access, token)
	}
	w.WriteHeader(http.StatusOK)
}

// Check tells a resource server about an access token: whether it is good there, and its scopes.
func (s *Server) Check(token, resource string) (scopes []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.access[token]
	if t == nil || t.grant.ended || time.Now().After(t.expires) || t.grant.resource != "" && t.grant.resource != resource {
		return nil, false
	}
	return strings.Fields(t.grant.scope), true
}
