package connection

import (
	"context"
	"errors"
	"net/url"

	"perdure/internal/connector"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/store"
)

// errNotOAuth is for connectors that nobody has to authorize.
var errNotOAuth = connector.Invalid{{Param: "auth.type", Message: "is not oauth: the connector needs no authorization; enable it"}}

// Begin returns the address to send the caller's browser to, so that its person authorizes the connector. Browser is a hash that binds what
// comes back to the browser's session. Its error may be an [oauth.Error], which says at which stage it failed and what to do.
func (s *Service) Begin(ctx context.Context, by Caller, id, browser string) (address string, err error) {
	c, err := s.allowed(ctx, by, id, connector.Authorize)
	if err != nil {
		return "", err
	}
	if c.Settings.Auth.Type != connector.AuthOAuth {
		return "", errNotOAuth
	}
	secrets, err := s.Store.ConnectorSecrets(ctx, c.Organization, c.ID)
	if err != nil {
		return "", hidden(err)
	}
	con := authorizing(c, secrets)
	prior, err := s.prior(ctx, grantKey(c, by.User))
	if err != nil {
		return "", err
	}
	challenge, err := s.challenge(ctx, c, secrets, prior)
	if err != nil {
		return "", err
	}
	discovery, err := s.OAuth.Discover(ctx, con, challenge)
	if err != nil {
		return "", err
	}
	registration, err := s.identify(ctx, c.Organization, con, discovery)
	if err != nil {
		return "", err
	}
	address, pending, err := s.OAuth.Begin(con, discovery, registration, challenge, prior)
	if err != nil {
		return "", err
	}
	content, err := plaintext(pending.Plaintext())
	if err != nil {
		return "", err
	}
	err = s.Store.AddAuthorization(ctx, connector.Authorization{
		StateHash: pending.StateHash, Organization: c.Organization, Connector: c.ID, User: c.Settings.GrantOf(by.User), By: by.User,
		Browser: browser, Content: content, Expires: pending.Expires,
	})
	return address, hidden(err)
}

// prior is the grant that there is, dead or alive: its permissions are asked for again.
func (s *Service) prior(ctx context.Context, key store.GrantKey) (*oauth.Grant, error) {
	stored, err := s.Store.Grant(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g, err := oauth.ParseGrant([]byte(stored.Content.Reveal()))
	return &g, err
}

// challenge asks the server what it wants. A server that answers a request without a token is content with none, which is no failure:
// what it wants may become clear with the first call.
func (s *Service) challenge(ctx context.Context, c connector.Connector, secrets connector.Secrets, prior *oauth.Grant) (oauth.Challenge, error) {
	target := server(probeLabel, c, secrets)
	if prior != nil {
		target.Header.Set("Authorization", "Bearer "+prior.Access.Reveal())
	}
	_, err := s.MCP.Probe(ctx, target)
	var fault *mcpclient.Error
	switch {
	case err == nil:
		return oauth.Challenge{}, nil
	case errors.As(err, &fault) && (fault.WantsToken() || fault.Challenge.InsufficientScope()):
		return fault.Challenge, nil
	default:
		return oauth.Challenge{}, err
	}
}

// identify decides which client we are at the authorization server. A client that we registered is stored before it is used, and serves
// all connectors of the organization that meet the same server.
func (s *Service) identify(ctx context.Context, organization string, con oauth.Connector, d oauth.Discovery) (oauth.Registration, error) {
	known, err := s.Store.OAuthClient(ctx, organization, d.Issuer, s.OAuth.RedirectURI())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return oauth.Registration{}, err
	}
	var stored *oauth.Registration
	if err == nil {
		r, err := oauth.ParseRegistration([]byte(known.Content.Reveal()))
		if err != nil {
			return oauth.Registration{}, err
		}
		stored = &r
	}
	r, err := s.OAuth.Identify(ctx, con, d, stored)
	if err != nil || r.Kind != oauth.KindDynamic || stored != nil && r.ClientID == stored.ClientID {
		return r, err
	}
	content, err := plaintext(r.Plaintext())
	if err != nil {
		return oauth.Registration{}, err
	}
	saved, err := s.Store.SaveOAuthClient(ctx, connector.Client{
		Organization: organization, Issuer: r.Issuer, RedirectURI: r.RedirectURI, Content: content, Version: known.Version,
	})
	if err != nil {
		return oauth.Registration{}, err
	}
	return oauth.ParseRegistration([]byte(saved.Content.Reveal()))
}

// forgetClientOf forgets the client with which a grant was made.
func (s *Service) forgetClientOf(ctx context.Context, key store.GrantKey) {
	g, err := s.prior(ctx, key)
	if err != nil {
		s.Logger.WarnContext(ctx, "a client registration that is gone could not be forgotten", "connector", key.Connector, "error", err)
	}
	if g != nil {
		s.forgetClient(ctx, key.Organization, g.Client)
	}
}

// forgetClient forgets a client that its authorization server does not know any more, so that the next authorization registers anew.
func (s *Service) forgetClient(ctx context.Context, organization string, gone oauth.Registration) {
	if gone.Kind != oauth.KindDynamic {
		return
	}
	err := func() error {
		known, err := s.Store.OAuthClient(ctx, organization, gone.Issuer, gone.RedirectURI)
		if err != nil {
			return err
		}
		if r, err := oauth.ParseRegistration([]byte(known.Content.Reveal())); err != nil || r.ClientID != gone.ClientID {
			return err
		}
		return s.Store.DeleteOAuthClient(ctx, known)
	}()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.Logger.WarnContext(ctx, "a client registration that is gone could not be forgotten", "issuer", gone.Issuer, "error", err)
	}
}

// Complete takes what a browser has brought back from an authorization server, stores the grant, enables the connector and looks at its
// server. The connector's ID is returned with an error, too, once it is known. A state that was never given out, was used, is over, or
// belongs to another browser or person is an [oauth.ErrState]: nothing is changed then.
func (s *Service) Complete(ctx context.Context, by Caller, browser string, query url.Values) (id string, err error) {
	pending, err := s.Store.TakeAuthorization(ctx, by.Organization, oauth.HashState(query.Get("state")), browser)
	if errors.Is(err, store.ErrNotFound) || err == nil && pending.By != by.User {
		return "", oauth.UnknownState()
	}
	if err != nil {
		return "", err
	}
	c, err := s.allowed(ctx, by, pending.Connector, connector.Authorize)
	if err != nil {
		return "", err
	}
	if c.Settings.Auth.Type != connector.AuthOAuth || c.Settings.GrantOf(by.User) != pending.User {
		return c.ID, oauth.UnknownState() // it was changed meanwhile
	}
	if err := s.complete(ctx, by, c, pending, query); err != nil {
		return c.ID, err
	}
	return c.ID, s.lookAfter(ctx, by, c)
}

func (s *Service) complete(ctx context.Context, by Caller, c connector.Connector, a connector.Authorization, query url.Values) error {
	secrets, err := s.Store.ConnectorSecrets(ctx, c.Organization, c.ID)
	if err != nil {
		return hidden(err)
	}
	pending, err := oauth.ParsePending([]byte(a.Content.Reveal()))
	if err != nil {
		return err
	}
	grant, err := s.OAuth.Complete(ctx, authorizing(c, secrets), pending, query)
	if err != nil {
		if errors.Is(err, oauth.ErrClientGone) {
			s.forgetClient(ctx, c.Organization, pending.Client)
		}
		return err
	}
	content, err := plaintext(grant.Plaintext())
	if err != nil {
		return err
	}
	now := s.now()
	return hidden(s.Store.PutGrant(ctx, by.actor(), connector.Grant{
		Organization: c.Organization, Connector: c.ID, User: a.User, State: connector.GrantActive, Content: content,
		AuthorizedBy: by.User, Created: now, Updated: now,
	}))
}

// lookAfter enables a connector that was just authorized by one who may, and looks at its server.
func (s *Service) lookAfter(ctx context.Context, by Caller, c connector.Connector) error {
	if !c.Enabled && connector.May(by.Principal, c, connector.Enable) == nil {
		if err := s.Store.EnableConnector(ctx, by.actor(), c.ID, true); err != nil {
			return hidden(err)
		}
	}
	c, err := s.Store.Connector(ctx, c.Organization, c.ID)
	if err != nil {
		return hidden(err)
	}
	return s.look(ctx, by, c)
}
