package connection

import (
	"context"
	"errors"
	"sync"
	"time"

	"perdure/internal/connector"
	"perdure/internal/oauth"
	"perdure/internal/store"
)

// Disconnect ends the authorization that the caller works with, here and, as far as it can be reached, at the authorization server.
func (s *Service) Disconnect(ctx context.Context, by Caller, id string) (View, error) {
	c, err := s.allowed(ctx, by, id, connector.Authorize)
	if err != nil {
		return View{}, err
	}
	key := grantKey(c, by.User)
	g, err := s.prior(ctx, key)
	if err != nil {
		return View{}, err
	}
	if g != nil {
		con, err := s.authorizing(ctx, c)
		if err != nil {
			return View{}, err
		}
		s.revoke(ctx, c.ID, con, []oauth.Grant{*g})
	}
	if err := s.Store.DeleteGrant(ctx, by.actor(), id, key.User); err != nil && !errors.Is(err, store.ErrNotFound) {
		return View{}, err
	}
	return s.viewNow(ctx, by, id)
}

// grants are all authorizations of a connector. One that cannot be read cannot be revoked: it ends by itself.
func (s *Service) grants(ctx context.Context, c connector.Connector) []oauth.Grant {
	if c.Settings.Auth.Type != connector.AuthOAuth {
		return nil
	}
	keys, err := s.Store.GrantKeys(ctx, c.Organization, c.ID)
	if err != nil {
		s.notRevoked(ctx, c.ID, err)
	}
	var all []oauth.Grant
	for _, key := range keys {
		g, err := s.prior(ctx, key)
		if err != nil {
			s.notRevoked(ctx, c.ID, err)
		}
		if g != nil {
			all = append(all, *g)
		}
	}
	return all
}

const (
	// revokeFor bounds how long a person waits for authorization servers, however many grants there are.
	revokeFor    = 20 * time.Second
	revokeAtOnce = 8
	mayBeHonored = "an authorization could not be revoked at its server: it may be honored there until it expires"
)

// revoke ends grants at their authorization server, as far as it can be reached: they are forgotten here whatever comes of it.
func (s *Service) revoke(ctx context.Context, id string, con oauth.Connector, grants []oauth.Grant) {
	ctx, cancel := context.WithTimeout(ctx, revokeFor)
	defer cancel()
	slots := make(chan struct{}, revokeAtOnce)
	var all sync.WaitGroup
	for _, g := range grants {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := s.OAuth.Revoke(ctx, con, g); err != nil && !errors.Is(err, oauth.ErrNoRevocation) {
				s.notRevoked(ctx, id, err)
			}
		})
	}
	all.Wait()
}

func (s *Service) notRevoked(ctx context.Context, id string, err error) {
	s.Logger.WarnContext(ctx, mayBeHonored, "connector", id, "error", err)
}

// authorizing is a stored connector as the OAuth client needs it.
func (s *Service) authorizing(ctx context.Context, c connector.Connector) (oauth.Connector, error) {
	secrets, err := s.Store.ConnectorSecrets(ctx, c.Organization, c.ID)
	return authorizing(c, secrets), hidden(err)
}
