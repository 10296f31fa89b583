package connection

import (
	"context"
	"errors"

	"perdure/internal/connector"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/store"
)

// probeLabel is how servers are called in errors of a probe, which no person sees.
const probeLabel = "connector"

// Probe looks at a connector's server now, as the caller would use it, and notes what comes of it.
func (s *Service) Probe(ctx context.Context, by Caller, id string) (View, error) {
	c, err := s.allowed(ctx, by, id, connector.Reprobe)
	if err != nil {
		return View{}, err
	}
	return s.lookAndView(ctx, by, c)
}

func (s *Service) lookAndView(ctx context.Context, by Caller, c connector.Connector) (View, error) {
	if err := s.look(ctx, by, c); err != nil {
		return View{}, err
	}
	return s.viewNow(ctx, by, c.ID)
}

// look connects to a connector's server and notes what comes of it. Its error is one of the store: what is wrong with the server is what it
// notes. If the connector was changed meanwhile, whoever changed it looks, too.
func (s *Service) look(ctx context.Context, by Caller, c connector.Connector) error {
	if c.Restricted != nil {
		return nil // it may still be edited, but nothing is sent to its server
	}
	secrets, err := s.Store.ConnectorSecrets(ctx, c.Organization, c.ID)
	if err != nil {
		return hidden(err)
	}
	grant, err := s.grantState(ctx, c, by.User)
	if err != nil {
		return err
	}
	target := server(probeLabel, c, secrets)
	if grant == connector.GrantActive {
		target.Token = s.token(c, secrets, by.User)
	}
	listing, err := s.MCP.Probe(ctx, target)
	var fault *mcpclient.Error
	if grant == connector.GrantActive && errors.As(err, &fault) && fault.Challenge.InsufficientScope() {
		s.widen(ctx, grantKey(c, by.User), fault)
	}
	status, found := s.found(c, grant, listing, err)
	err = s.Store.RecordProbe(ctx, c.Organization, c.ID, c.Version, status, found)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return hidden(err)
}

// found is what a look has come to.
func (s *Service) found(c connector.Connector, grant connector.GrantState, l mcpclient.Listing, err error) (connector.Status, *connector.Probe) {
	now := s.now()
	if err == nil {
		probe := connector.Probe{At: now, Protocol: l.ProtocolVersion, ServerName: l.ServerName, ServerVersion: l.ServerVersion}
		for _, t := range l.Tools {
			probe.Tools = append(probe.Tools, connector.NewTool(t.Name, t.Description, t.InputSchema, t.ReadOnly != nil && *t.ReadOnly))
		}
		return connector.Status{State: connector.Connected, At: now}, &probe
	}
	status := connector.Status{State: connector.Failed, Stage: string(mcpclient.StageConnect), Message: "the server could not be reached", At: now}
	var fault *mcpclient.Error
	if errors.As(err, &fault) {
		status.Stage, status.Message = string(fault.Stage), withRemedy(fault.Message, fault.Remedy)
	}
	if c.Settings.Auth.Type != connector.AuthOAuth {
		return status, nil
	}
	switch {
	case errors.Is(err, oauth.ErrReauth), fault != nil && fault.Challenge.InsufficientScope():
		status.State = connector.NeedsReauth
	case fault != nil && fault.WantsToken() && grant == connector.GrantActive:
		// A token that was just renewed is refused: that another authorization helps is a hope, so the failure is shown.
		status.OfGrant = true
	case fault != nil && fault.WantsToken():
		status.State, status.Message = connector.NeedsAuth, "the server wants authorization: authorize it"
	}
	return status, nil
}

// withRemedy is what happened and what to do about it.
func withRemedy(message, remedy string) string {
	if remedy == "" {
		return message
	}
	return message + "; " + remedy
}
