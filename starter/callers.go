package starter

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

const (
	// keyKept is how long a key of the database is taken for good without asking again: a revocation is effective everywhere after it.
	keyKept = 3 * time.Second
	// maxKeysKept bounds the memory of it. Only keys that are good are kept, so that a stranger cannot fill it.
	maxKeysKept = 10_000
)

// callers knows who is behind a key: one of the configuration or one of the database.
type callers struct {
	configured *identity.Keyring
	store      *store.Store // nil: there are no others
	limits     identity.Limits
	mu         sync.Mutex
	known      map[identity.KeyHash]knownKey
}

type knownKey struct {
	who   identity.Principal
	until time.Time
}

// forget makes the next request of each key ask the database again: whoever changes a role, or revokes a key, is to see it at once.
func (c *callers) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
}

// ofKey returns whom a key belongs to; false: nobody.
func (c *callers) ofKey(ctx context.Context, key string) (identity.Principal, bool, error) {
	if who, ok := c.configured.Authenticate(key); ok || c.store == nil {
		return who, ok, nil
	}
	hash, now := identity.HashKey(key), time.Now()
	if who, ok := c.kept(hash, now); ok {
		return who, true, nil
	}
	who, err := c.store.Authenticate(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return identity.Principal{}, false, nil
	}
	if err != nil {
		return identity.Principal{}, false, err
	}
	who.Limits = c.limits
	c.keep(hash, who, now.Add(keyKept))
	return who, true, nil
}

func (c *callers) kept(hash identity.KeyHash, now time.Time) (identity.Principal, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[hash]
	return known.who, ok && now.Before(known.until)
}

func (c *callers) keep(hash identity.KeyHash, who identity.Principal, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxKeysKept {
		c.known = map[identity.KeyHash]knownKey{}
	}
	c.known[hash] = knownKey{who, until}
}

// ofSession returns who is signed in with a token; false: nobody.
func (c *callers) ofSession(ctx context.Context, token string) (identity.Principal, bool, error) {
	if c.store == nil {
		return identity.Principal{}, false, nil
	}
	who, err := c.store.Session(ctx, token)
	if errors.Is(err, store.ErrNotFound) {
		return identity.Principal{}, false, nil
	}
	who.Limits = c.limits
	return who, err == nil, err
}

// bearer returns the key that a request shows, and whether it shows any credential there.
func bearer(r *http.Request) (key string, shown bool) {
	header := r.Header.Get("Authorization")
	scheme, key, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", header != ""
	}
	return strings.TrimSpace(key), true
}

// byKey returns the caller whose key a request shows.
func (s *Starter) byKey(w http.ResponseWriter, r *http.Request) (identity.Principal, error) {
	key, _ := bearer(r)
	who, ok, err := s.callers.ofKey(r.Context(), key)
	if err == nil && !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="perdure"`)
		err = unauthorized("the API key is missing, unknown or revoked; send it as Authorization: Bearer KEY")
	}
	return who, err
}

// byKeyOrSession also knows the browsers that are signed in. A browser sends its cookie for whichever page asks it to, so what changes
// something has to come from a page of ours.
func (s *Starter) byKeyOrSession(w http.ResponseWriter, r *http.Request) (identity.Principal, error) {
	token, ok := sessionToken(r)
	if _, shown := bearer(r); shown || !ok {
		return s.byKey(w, r)
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return identity.Principal{}, forbidden("a page of another origin may not send this with your session; use an API key")
	}
	who, ok, err := s.callers.ofSession(r.Context(), token)
	if err == nil && !ok {
		err = unauthorized("the session has ended; sign in again at " + signInPath)
	}
	return who, err
}

func unauthorized(message string) *responses.Error {
	return &responses.Error{Status: http.StatusUnauthorized, Type: responses.ErrUnauthorized, Message: message}
}

func forbidden(message string) *responses.Error {
	return &responses.Error{Status: http.StatusForbidden, Type: responses.ErrForbidden, Message: message}
}

// requireScope refuses a key that was not made for what is asked.
func requireScope(who identity.Principal, scope identity.Scopes) error {
	if !who.Scopes.Has(scope) {
		return forbidden("the API key lacks the scope " + scope.String() + ": use one that has it")
	}
	return nil
}

// actor is the caller of a request as the audit log names it. The address is that of the connection: what a proxy says of others, anyone
// can say.
func actor(r *http.Request, who identity.Principal) identity.Actor {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return who.Acts(host)
}
