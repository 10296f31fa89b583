package connection

import (
	"context"
	"errors"

	"perdure/internal/connector"
	"perdure/internal/oauth"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// token returns what gives the access token of the grant that a user works with. Its errors are [oauth.ErrReauth] where only a person can
// help; others pass, or are those of the store.
func (s *Service) token(c connector.Connector, secrets connector.Secrets, user string) func(context.Context, secret.String) (secret.String, error) {
	key := grantKey(c, user)
	return func(ctx context.Context, refused secret.String) (secret.String, error) {
		stored, err := s.Store.Grant(ctx, key)
		if err != nil {
			return secret.String{}, needed(err)
		}
		grant, err := active(stored)
		if err != nil {
			return secret.String{}, err
		}
		if !grant.Stale(s.now()) && (refused.IsZero() || !grant.Access.Equal(refused)) {
			return grant.Access, nil
		}
		return s.renew(ctx, key, authorizing(c, secrets), refused)
	}
}

// renew refreshes a grant under its lock, or marks it as dead.
func (s *Service) renew(ctx context.Context, key store.GrantKey, con oauth.Connector, refused secret.String) (secret.String, error) {
	var access secret.String
	var dead error
	_, err := s.Store.WithGrantLock(ctx, key, func(ctx context.Context, stored connector.Grant) (connector.Grant, error) {
		grant, err := active(stored)
		if err != nil {
			return stored, err
		}
		next, changed, err := s.OAuth.Refresh(ctx, con, grant, refused)
		if errors.Is(err, oauth.ErrReauth) {
			dead = err
			stored.State = connector.GrantDead
			return stored, nil
		}
		if err != nil {
			return stored, err
		}
		access = next.Access
		if changed {
			stored.Content, err = plaintext(next.Plaintext())
		}
		return stored, err
	})
	switch {
	case err != nil:
		return secret.String{}, needed(err)
	case dead != nil:
		s.Logger.InfoContext(ctx, "an authorization has ended", "connector", key.Connector, "organization", key.Organization, "user", key.User, "error", dead)
		if errors.Is(dead, oauth.ErrClientGone) {
			s.forgetClientOf(ctx, key)
		}
		return secret.String{}, dead
	default:
		return access, nil
	}
}

// active returns the grant in a stored one.
func active(stored connector.Grant) (oauth.Grant, error) {
	if stored.State != connector.GrantActive {
		return oauth.Grant{}, oauth.GrantEnded()
	}
	return oauth.ParseGrant([]byte(stored.Content.Reveal()))
}

// needed is err, but for a grant that is not there.
func needed(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return oauth.GrantMissing()
	}
	return err
}

// plaintext is what a value of package oauth is stored as. The store seals it.
func plaintext(text []byte, err error) (secret.String, error) {
	return secret.New(string(text)), err
}
