package starter

import (
	"net/http"

	"perdure/internal/connection"
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
	v, err := s.Connections.Create(r.Context(), caller(r, who), connection.Draft{Settings: settings, Secrets: secrets})
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showConnector(v))
}

// caller is the caller of a request as connections know them.
func caller(r *http.Request, who identity.Principal) connection.Caller {
	return connection.Caller{Principal: who, Address: actor(r, who).Address}
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
	all, next, err := s.Connections.List(r.Context(), caller(r, who), filter, page)
	if err != nil {
		return err
	}
	shown := make([]shownConnector, len(all))
	for i, v := range all {
		shown[i] = showConnector(v)
	}
	return s.writeValue(w, r, newList(shown, next, func(c shownConnector) string { return c.ID }))
}

// seen returns the connector of a request, if the caller sees it.
func (s *Starter) seen(r *http.Request, who identity.Principal) (connection.View, error) {
	id := r.PathValue("id")
	if !connector.IsID(id) {
		return connection.View{}, connector.ErrHidden
	}
	return s.Connections.Get(r.Context(), caller(r, who), id)
}

func (s *Starter) getConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	v, err := s.seen(r, who)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showConnector(v))
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
	c, err = s.Connections.Update(r.Context(), caller(r, who), c.ID, connection.Draft{Settings: settings, Secrets: secrets})
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showConnector(c))
}

// deleteConnector deletes a connector with its secrets and grants.
func (s *Starter) deleteConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.seen(r, who)
	if err != nil {
		return err
	}
	if err := s.Connections.Delete(r.Context(), caller(r, who), c.ID); err != nil {
		return err
	}
	return s.writeValue(w, r, deleted("connector", c.ID))
}
