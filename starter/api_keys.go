package starter

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

type shownKey struct {
	ID         string   `json:"id"`
	Object     string   `json:"object"`
	CreatedAt  int64    `json:"created_at"`
	Name       string   `json:"name"`
	User       string   `json:"user"`
	Prefix     string   `json:"prefix"`
	Scopes     []string `json:"scopes"`
	ExpiresAt  *int64   `json:"expires_at"`
	RevokedAt  *int64   `json:"revoked_at"`
	LastUsedAt *int64   `json:"last_used_at"`
	// Key is in the answer that makes it, and nowhere else.
	Key string `json:"key,omitempty"`
}

func showKey(k identity.APIKey) shownKey {
	return shownKey{
		ID: k.ID, Object: "organization.api_key", CreatedAt: k.Created.Unix(), Name: k.Name, User: k.User, Prefix: k.Prefix,
		Scopes: k.Scopes.Names(), ExpiresAt: unixOrNull(k.Expires), RevokedAt: unixOrNull(k.Revoked), LastUsedAt: unixOrNull(k.LastUsed),
	}
}

func unixOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	seconds := t.Unix()
	return &seconds
}

// listKeys lists the caller's own keys, or for an admin those of all, or of one.
func (s *Starter) listKeys(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	page, params, err := storePage(r, "user")
	if err != nil {
		return err
	}
	user := params.Get("user")
	if who.Role != identity.Admin {
		if user != "" && user != who.User {
			return forbidden("only admins list the API keys of others")
		}
		user = who.User
	}
	keys, next, err := s.Store.Keys(r.Context(), who.Organization, user, page)
	if err != nil {
		return err
	}
	shown := make([]shownKey, len(keys))
	for i, k := range keys {
		shown[i] = showKey(k)
	}
	return s.writeValue(w, r, newList(shown, next, func(k shownKey) string { return k.ID }))
}

type givenKey struct {
	Name      string   `json:"name"`
	User      string   `json:"user"`
	Scopes    []string `json:"scopes"`
	ExpiresAt int64    `json:"expires_at"`
}

// createKey makes an API key and shows it, this once. Nobody makes a key that can do more than what it was made with: who finds one
// key could otherwise make a better one.
func (s *Starter) createKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireScope(who, identity.ScopeAdmin); err != nil {
		return err
	}
	given := givenKey{User: who.User, Scopes: identity.ScopeResponses.Names()}
	if err := s.readStrict(w, r, who, &given); err != nil {
		return err
	}
	if given.User != who.User && who.Role != identity.Admin {
		return forbidden("only admins make API keys for others")
	}
	scopes, err := identity.ParseScopes(strings.Join(given.Scopes, ","))
	if err != nil {
		return responses.Invalid("scopes", "must be some of %s", identity.AllScopes)
	}
	if err := requireScope(who, scopes); err != nil {
		return err
	}
	var expires time.Time
	if given.ExpiresAt != 0 {
		expires = time.Unix(given.ExpiresAt, 0)
	}
	key, text, err := identity.NewKey(who.Organization, given.User, given.Name, scopes, time.Now(), expires)
	if err != nil {
		param, message, _ := strings.Cut(err.Error(), ": ")
		if param == "expires" {
			param = "expires_at"
		}
		return responses.Invalid(param, "%s", message)
	}
	err = s.Store.AddKey(r.Context(), actor(r, who), key)
	if errors.Is(err, store.ErrNotFound) {
		return responses.Invalid("user", "%q is no member of the organization: an admin has to add them first", clip(given.User))
	}
	if err != nil {
		return err
	}
	shown := showKey(key)
	shown.Key = text.Reveal()
	return s.writeValue(w, r, shown)
}

// revokeKey ends a key for good.
func (s *Starter) revokeKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireScope(who, identity.ScopeAdmin); err != nil {
		return err
	}
	id := r.PathValue("id")
	key, err := s.Store.Key(r.Context(), who.Organization, id)
	if err != nil {
		return err
	}
	if key.User != who.User && who.Role != identity.Admin {
		return store.ErrNotFound // as if it were not there
	}
	if err := s.Store.RevokeKey(r.Context(), actor(r, who), id); err != nil {
		return err
	}
	s.callers.forget()
	return s.writeValue(w, r, deleted("organization.api_key", id))
}
