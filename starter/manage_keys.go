package starter

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// What follows is what callers do with API keys: over the API, and on pages.

// APIKeys lists the caller's own keys, or for an admin those of all, or of the user that is named.
func (s *Starter) APIKeys(ctx context.Context, who identity.Principal, user string, page store.Page) (keys []identity.APIKey, next string, err error) {
	if who.Role != identity.Admin {
		if user != "" && user != who.User {
			return nil, "", forbidden("only admins list the API keys of others")
		}
		user = who.User
	}
	return s.Store.Keys(ctx, who.Organization, user, page)
}

// APIKey returns a key that the caller may revoke: one of their own, or for an admin any of the organization.
func (s *Starter) APIKey(ctx context.Context, who identity.Principal, id string) (identity.APIKey, error) {
	key, err := s.Store.Key(ctx, who.Organization, id)
	if err == nil && key.User != who.User && who.Role != identity.Admin {
		return identity.APIKey{}, store.ErrNotFound // as if it were not there
	}
	return key, err
}

// NewAPIKey is a key to be made.
type NewAPIKey struct {
	Name    string
	User    string // empty: the caller's own
	Scopes  identity.Scopes
	Expires time.Time // zero: never
}

// CreateAPIKey makes an API key. The text is the key itself, which cannot be had again. Nobody makes a key that can do more than what it
// was made with: who finds one key could otherwise make a better one.
func (s *Starter) CreateAPIKey(r *http.Request, who identity.Principal, given NewAPIKey) (identity.APIKey, secret.String, error) {
	none := secret.String{}
	if err := requireScope(who, identity.ScopeAdmin|given.Scopes); err != nil {
		return identity.APIKey{}, none, err
	}
	if given.User == "" {
		given.User = who.User
	}
	if given.User != who.User && who.Role != identity.Admin {
		return identity.APIKey{}, none, forbidden("only admins make API keys for others")
	}
	key, text, err := identity.NewKey(who.Organization, given.User, given.Name, given.Scopes, time.Now(), given.Expires)
	if err != nil {
		param, message, _ := strings.Cut(err.Error(), ": ")
		if param == "expires" {
			param = "expires_at"
		}
		return identity.APIKey{}, none, responses.Invalid(param, "%s", message)
	}
	err = s.Store.AddKey(r.Context(), actor(r, who), key)
	if errors.Is(err, store.ErrNotFound) {
		err = responses.Invalid("user", "%q is no member of the organization: an admin has to add them first", clip(given.User))
	}
	return key, text, err
}

// RevokeAPIKey ends a key for good.
func (s *Starter) RevokeAPIKey(r *http.Request, who identity.Principal, id string) error {
	if err := requireScope(who, identity.ScopeAdmin); err != nil {
		return err
	}
	if _, err := s.APIKey(r.Context(), who, id); err != nil {
		return err
	}
	if err := s.Store.RevokeKey(r.Context(), actor(r, who), id); err != nil {
		return err
	}
	s.callers.forget()
	return nil
}
