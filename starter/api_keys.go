package starter

import (
	"net/http"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/responses"
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
	keys, next, err := s.APIKeys(r.Context(), who, params.Get("user"), page)
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

// createKey makes an API key and shows it, this once.
func (s *Starter) createKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireScope(who, identity.ScopeAdmin); err != nil {
		return err
	}
	given := givenKey{Scopes: identity.ScopeResponses.Names()}
	if err := s.readStrict(w, r, who, &given); err != nil {
		return err
	}
	scopes, err := identity.ParseScopes(strings.Join(given.Scopes, ","))
	if err != nil {
		return responses.Invalid("scopes", "must be some of %s", identity.AllScopes)
	}
	var expires time.Time
	if given.ExpiresAt != 0 {
		expires = time.Unix(given.ExpiresAt, 0)
	}
	key, text, err := s.CreateAPIKey(r, who, NewAPIKey{Name: given.Name, User: given.User, Scopes: scopes, Expires: expires})
	if err != nil {
		return err
	}
	shown := showKey(key)
	shown.Key = text.Reveal()
	return s.writeValue(w, r, shown)
}

func (s *Starter) revokeKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	if err := s.RevokeAPIKey(r, who, id); err != nil {
		return err
	}
	return s.writeValue(w, r, deleted("organization.api_key", id))
}
