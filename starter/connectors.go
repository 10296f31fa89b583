package starter

import (
	"net/http"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// connectorBody bounds what says everything of a connector: bytes. The icon has its own.
const connectorBody = 1 << 20

// readConnectorBody reads a body that describes a connector.
func (s *Starter) readConnectorBody(w http.ResponseWriter, r *http.Request, who identity.Principal) ([]byte, func(), error) {
	m := s.metered(r.Body, who)
	body, err := s.readUpTo(w, r, m, min(connectorBody, s.Limits.Body))
	if err != nil {
		m.done()
		return nil, nil, err
	}
	return body, m.done, nil
}

// createConnector adds a connector. Its server is looked at before the answer: what is the matter with it stands in the status.
func (s *Starter) createConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	body, done, err := s.readConnectorBody(w, r, who)
	if err != nil {
		return err
	}
	defer done()
	settings, secrets, err := decodeConnector(body)
	if err != nil {
		return err
	}
	c, err := s.Connections.Create(r.Context(), who, actor(r, who), settings, secrets)
	if err != nil {
		return err
	}
	return s.answerConnector(w, r, who, c)
}

// listConnectors lists those that the caller sees, the latest first.
func (s *Starter) listConnectors(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	page, params, err := storePage(r, "scope", "owner")
	if err != nil {
		return err
	}
	filter := store.ConnectorFilter{Scope: connector.Scope(params.Get("scope")), Owner: params.Get("owner")}
	if filter.Scope != "" && filter.Scope != connector.Individual && filter.Scope != connector.Organization {
		return responses.Invalid("scope", "must be %s or %s", connector.Individual, connector.Organization)
	}
	all, next, err := s.Store.Connectors(r.Context(), who, filter, page)
	if err != nil {
		return err
	}
	grants, err := s.Store.GrantStates(r.Context(), who.Organization, who.User)
	if err != nil {
		return err
	}
	shown := make([]shownConnector, len(all))
	for i, c := range all {
		shown[i] = showConnector(who, c, grants[grantKey(who, c)])
	}
	return s.writeValue(w, r, newList(shown, next, func(c shownConnector) string { return c.ID }))
}

// grantKey names the grant that a caller works with.
func grantKey(who identity.Principal, c connector.Connector) store.GrantKey {
	return store.GrantKey{Organization: c.Organization, Connector: c.ID, User: c.Settings.GrantOf(who.User)}
}

// seen returns the connector of a request, if the caller sees it.
func (s *Starter) seen(r *http.Request, who identity.Principal) (connector.Connector, error) {
	id := r.PathValue("id")
	if !connector.IsID(id) {
		return connector.Connector{}, connector.ErrHidden
	}
	c, err := s.Store.Connector(r.Context(), who.Organization, id)
	if err != nil {
		return connector.Connector{}, err
	}
	return c, connector.May(who, c, connector.See)
}

func (s *Starter) getConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.seen(r, who)
	if err != nil {
		return err
	}
	return s.answerConnector(w, r, who, c)
}

// answerConnector shows a connector with how things stand for the caller.
func (s *Starter) answerConnector(w http.ResponseWriter, r *http.Request, who identity.Principal, c connector.Connector) error {
	grants, err := s.Store.GrantStates(r.Context(), who.Organization, who.User)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showConnector(who, c, grants[grantKey(who, c)]))
}

// updateConnector changes the settings that are given.
func (s *Starter) updateConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	// Before anything is said of the body: of a connector that the caller does not see, nothing is to be learned.
	c, err := s.seen(r, who)
	if err != nil {
		return err
	}
	body, done, err := s.readConnectorBody(w, r, who)
	if err != nil {
		return err
	}
	defer done()
	settings, secrets, err := decodeConnectorChange(body, c.Settings)
	if err != nil {
		return err
	}
	c, err = s.Connections.Update(r.Context(), who, actor(r, who), c.ID, settings, secrets)
	if err != nil {
		return err
	}
	return s.answerConnector(w, r, who, c)
}

// deleteConnector deletes a connector with its secrets and grants.
func (s *Starter) deleteConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.seen(r, who)
	if err != nil {
		return err
	}
	if err := s.Connections.Delete(r.Context(), who, actor(r, who), c.ID); err != nil {
		return err
	}
	return s.writeValue(w, r, deleted("connector", c.ID))
}
