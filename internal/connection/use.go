package connection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// Unauthorized says that a connector cannot be used before a person has authorized it, and where they can. Its text is for the caller.
type Unauthorized struct {
	Name  string // of the connector
	Again bool   // it was authorized, and that has ended
	Page  string // or the API's path
}

// Error says what to do.
func (u *Unauthorized) Error() string {
	if u.Again {
		return fmt.Sprintf("the authorization of connector %q has ended: authorize it again at %s", u.Name, u.Page)
	}
	return fmt.Sprintf("connector %q needs authorization: authorize it at %s", u.Name, u.Page)
}

// Usable returns a connector that a caller may use in a run, and whose authorization is there, if it needs one. Its error is one of the
// rules, an [Unauthorized], or of the store.
func (s *Service) Usable(ctx context.Context, p identity.Principal, id string) (connector.Connector, error) {
	c, err := s.allowed(ctx, Caller{Principal: p}, id, connector.Use)
	var denied *connector.Denied
	fresh := errors.As(err, &denied) && enabledByAuthorizing(p, c)
	if err != nil && !fresh {
		return connector.Connector{}, err
	}
	grant, grantErr := s.grantState(ctx, c, p.User)
	switch {
	case grantErr != nil:
		return connector.Connector{}, grantErr
	case grant == connector.GrantMissing, grant == connector.GrantDead && !fresh:
		return connector.Connector{}, &Unauthorized{Name: c.Settings.Name, Again: grant == connector.GrantDead, Page: s.page(id)}
	case fresh:
		return connector.Connector{}, err
	}
	return c, nil
}

// enabledByAuthorizing reports whether all that keeps a caller from using a connector is that it is disabled, as new ones are, and to
// authorize it would change that. Who is told to enable it instead would meet the missing authorization next.
func enabledByAuthorizing(p identity.Principal, c connector.Connector) bool {
	enabled := c
	enabled.Enabled = true
	return !c.Enabled && connector.May(p, c, connector.Enable) == nil && connector.May(p, c, connector.Authorize) == nil &&
		connector.May(p, enabled, connector.Use) == nil
}

// A Use is a connector in a run, with what it takes to reach its server.
type Use struct {
	mcpclient.Server
	Connector connector.Connector

	service *Service
	user    string
}

// Open returns a connector that a caller uses in a run, with credentials that are good now and are renewed when they are not any more. Its
// error is an [mcpclient.Error], and nothing was sent, or that of a context that has ended.
func (s *Service) Open(ctx context.Context, label string, p identity.Principal, id string) (*Use, error) {
	c, err := s.Usable(ctx, p, id)
	if err != nil {
		return nil, s.unusable(ctx, label, id, err)
	}
	secrets, err := s.Store.ConnectorSecrets(ctx, c.Organization, c.ID)
	if err != nil {
		return nil, s.unusable(ctx, label, id, hidden(err))
	}
	use := &Use{Server: server(label, c, secrets), Connector: c, service: s, user: p.User}
	if c.Settings.Auth.Type == connector.AuthOAuth {
		token := s.token(c, secrets, p.User)
		use.Token = func(ctx context.Context, refused secret.String) (secret.String, error) {
			access, err := token(ctx, refused)
			return access, s.whereTo(c, err)
		}
	}
	return use, nil
}

// whereTo adds to an error for which a person is needed where that person has to go.
func (s *Service) whereTo(c connector.Connector, err error) error {
	var reason *oauth.Error
	if !errors.Is(err, oauth.ErrReauth) || !errors.As(err, &reason) {
		return err
	}
	u := Unauthorized{Name: c.Settings.Name, Again: reason.Stage != oauth.StageAuthorization, Page: s.page(c.ID)}
	return &oauth.Error{Stage: reason.Stage, Message: u.Error()}
}

// Explain returns an error of the MCP client with what a person can do about it, if the server refused the authorization that the
// connector works with. What further permissions the server wants is kept for the next authorization. While it refuses even to list its
// tools without them, the grant is of no use; where one tool wants more than others, the grant stays good for those.
func (u *Use) Explain(ctx context.Context, err error) error {
	var fault *mcpclient.Error
	if u.Connector.Settings.Auth.Type != connector.AuthOAuth || !errors.As(err, &fault) {
		return err
	}
	explained := *fault
	page := u.service.page(u.Connector.ID)
	switch {
	case fault.Challenge.InsufficientScope():
		u.service.widen(ctx, grantKey(u.Connector, u.user), fault)
		explained.Message += fmt.Sprintf("; it wants further permissions: authorize connector %q again at %s", u.Connector.Settings.Name, page)
	case fault.WantsToken():
		explained.Message += fmt.Sprintf("; authorize connector %q again at %s", u.Connector.Settings.Name, page)
	}
	return &explained
}

// widen notes in a grant what further permissions a server has asked for.
func (s *Service) widen(ctx context.Context, key store.GrantKey, fault *mcpclient.Error) {
	_, err := s.Store.WithGrantLock(ctx, key, func(_ context.Context, stored connector.Grant) (connector.Grant, error) {
		g, err := oauth.ParseGrant([]byte(stored.Content.Reveal()))
		if err != nil {
			return stored, err
		}
		before := len(g.Asked)
		for _, scope := range fault.Challenge.Scopes {
			if !slices.Contains(g.Asked, scope) && len(g.Asked) < connector.MaxScopes {
				g.Asked = append(g.Asked, scope)
			}
		}
		if fault.Stage != mcpclient.StageCall {
			stored.State = connector.GrantDead
		}
		if len(g.Asked) > before {
			stored.Content, err = plaintext(g.Plaintext())
		}
		return stored, err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.Logger.WarnContext(ctx, "the permissions that a server wants could not be noted", "connector", key.Connector, "error", err)
	}
}

// unusable is why a connector cannot be used, in the words of the MCP client: for those who make steps of runs it is one failure of a
// server among others.
func (s *Service) unusable(ctx context.Context, label, id string, err error) error {
	fault := &mcpclient.Error{Label: label, Stage: mcpclient.StageAuth, Sent: mcpclient.NotSent}
	var denied *connector.Denied
	var unauthorized *Unauthorized
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, connector.ErrHidden):
		fault.Stage, fault.Message = mcpclient.StagePolicy, "its connector is not there any more, or is not shared with you"
	case errors.As(err, &denied):
		fault.Stage, fault.Message = mcpclient.StagePolicy, denied.Reason
	case errors.As(err, &unauthorized):
		fault.Message = unauthorized.Error()
	case errors.Is(err, store.ErrUnavailable):
		fault.Stage, fault.Message, fault.Temporary = mcpclient.StageConnect, "its connector could not be looked up: the database is away", true
	default:
		s.Logger.ErrorContext(ctx, "a connector cannot be used", "connector", id, "error", err)
		fault.Stage, fault.Message = mcpclient.StagePolicy, "its connector cannot be used; an operator must look at the log"
	}
	return fault
}
