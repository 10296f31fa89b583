package connection

import (
	"context"
	"errors"
	"fmt"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/store"
)

// Unauthorized says that a connector cannot be used before a person has authorized it, and where they can. Its text is for the caller.
type Unauthorized struct {
	Name  string // of the connector
	Again bool   // it was authorized, and that has ended
	Page  string
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
	if err != nil {
		return connector.Connector{}, err
	}
	grant, err := s.grantState(ctx, c, p.User)
	if err != nil {
		return connector.Connector{}, err
	}
	if grant == connector.GrantMissing || grant == connector.GrantDead {
		return connector.Connector{}, &Unauthorized{Name: c.Settings.Name, Again: grant == connector.GrantDead, Page: s.Page}
	}
	return c, nil
}

// Server returns the server of a connector that a caller uses in a run, with credentials that are good now and are renewed when they are
// not any more. Its error is an [mcpclient.Error]: nothing was sent.
func (s *Service) Server(ctx context.Context, label string, p identity.Principal, id string) (mcpclient.Server, error) {
	c, err := s.Usable(ctx, p, id)
	if err != nil {
		return mcpclient.Server{}, s.unusable(ctx, label, id, err)
	}
	secrets, err := s.Store.ConnectorSecrets(ctx, c.Organization, c.ID)
	if err != nil {
		return mcpclient.Server{}, s.unusable(ctx, label, id, hidden(err))
	}
	target := server(label, c, secrets)
	if c.Settings.Auth.Type == connector.AuthOAuth {
		target.Token = s.token(c, secrets, p.User)
	}
	return target, nil
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
