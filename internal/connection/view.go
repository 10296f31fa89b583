package connection

import (
	"context"
	"errors"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/store"
)

// View is a connector as one caller sees it. It holds no secret.
type View struct {
	connector.Connector
	Tag connector.Tag
	// Status is how things stand for the caller, whose authorization may differ from that of others.
	Status connector.Status
	// Grant is the state of the authorization that the caller works with; empty for connectors that need none.
	Grant connector.GrantState
	// Drift are the tools that are not what was reviewed.
	Drift []connector.Drift
	// May are the actions that the caller may take.
	May []connector.Action
}

var actions = []connector.Action{
	connector.See, connector.Use, connector.Edit, connector.Reprobe, connector.Review, connector.Enable, connector.Delete, connector.Share,
	connector.Restrict, connector.Vet, connector.Authorize,
}

func newView(p identity.Principal, c connector.Connector, grant connector.GrantState) View {
	v := View{Connector: c, Grant: grant, Drift: c.Probe.Drift()}
	v.Tag, v.Status = c.Shown(grant)
	for _, a := range actions {
		if connector.May(p, c, a) == nil {
			v.May = append(v.May, a)
		}
	}
	return v
}

// Get returns a connector.
func (s *Service) Get(ctx context.Context, by Caller, id string) (View, error) {
	c, err := s.allowed(ctx, by, id, connector.See)
	if err != nil {
		return View{}, err
	}
	return s.view(ctx, by, c)
}

// List returns a page of the connectors that the caller sees, the newest first, and the cursor of the next.
func (s *Service) List(ctx context.Context, by Caller, f store.ConnectorFilter, page store.Page) (views []View, next string, err error) {
	all, next, err := s.Store.Connectors(ctx, by.Principal, f, page)
	if err != nil {
		return nil, "", err
	}
	states, err := s.Store.GrantStates(ctx, by.Organization, by.User)
	if err != nil {
		return nil, "", err
	}
	for _, c := range all {
		grant := connector.GrantState("")
		if c.Settings.Auth.Type == connector.AuthOAuth {
			grant = connector.GrantMissing
			if state, ok := states[grantKey(c, by.User)]; ok {
				grant = state
			}
		}
		views = append(views, newView(by.Principal, c, grant))
	}
	return views, next, nil
}

func (s *Service) view(ctx context.Context, by Caller, c connector.Connector) (View, error) {
	grant, err := s.grantState(ctx, c, by.User)
	if err != nil {
		return View{}, err
	}
	return newView(by.Principal, c, grant), nil
}

// viewNow is view of a connector that was just changed.
func (s *Service) viewNow(ctx context.Context, by Caller, id string) (View, error) {
	c, err := s.Store.Connector(ctx, by.Organization, id)
	if err != nil {
		return View{}, hidden(err)
	}
	return s.view(ctx, by, c)
}

// grantState is the state of the grant that a user works with.
func (s *Service) grantState(ctx context.Context, c connector.Connector, user string) (connector.GrantState, error) {
	if c.Settings.Auth.Type != connector.AuthOAuth {
		return "", nil
	}
	g, err := s.Store.Grant(ctx, grantKey(c, user))
	if errors.Is(err, store.ErrNotFound) {
		return connector.GrantMissing, nil
	}
	return g.State, err
}

func grantKey(c connector.Connector, user string) store.GrantKey {
	return store.GrantKey{Organization: c.Organization, Connector: c.ID, User: c.Settings.GrantOf(user)}
}
