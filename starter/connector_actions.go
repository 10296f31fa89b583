package starter

import (
	"net/http"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// maxReason bounds why a connector is restricted: bytes.
const maxReason = 500

// switched makes a handler of a change that the database alone makes, for callers who may act so.
func (s *Starter) switched(action connector.Action, change func(r *http.Request, by identity.Actor, c connector.Connector) error) tenantHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		c, err := s.seen(r, who)
		if err != nil {
			return err
		}
		if err := connector.May(who, c, action); err != nil {
			return err
		}
		if err := change(r, actor(r, who), c); err != nil {
			return err
		}
		if c, err = s.Store.Connector(r.Context(), who.Organization, c.ID); err != nil {
			return err
		}
		return s.answerConnector(w, r, who, c)
	}
}

func (s *Starter) share(shared bool) tenantHandler {
	return s.switched(connector.Share, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		return s.Store.ShareConnector(r.Context(), by, c.ID, shared)
	})
}

func (s *Starter) enable(enabled bool) tenantHandler {
	return s.switched(connector.Enable, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		return s.Store.EnableConnector(r.Context(), by, c.ID, enabled)
	})
}

func (s *Starter) unrestrict() tenantHandler {
	return s.switched(connector.Restrict, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		return s.Store.UnrestrictConnector(r.Context(), by, c.ID)
	})
}

// reviewTools counts the tools as seen that the last look found. Tools that a later look finds are not: the store compares.
func (s *Starter) reviewTools() tenantHandler {
	return s.switched(connector.Review, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		return s.Store.ReviewTools(r.Context(), by, c.ID, c.Probe.At)
	})
}

// restrictConnector ends every use of a member's connector, for a reason that its owner gets to see.
func (s *Starter) restrictConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	var given struct {
		Reason string `json:"reason"`
	}
	return s.switched(connector.Restrict, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		if r.ContentLength != 0 {
			if err := s.readStrict(w, r, who, &given); err != nil {
				return err
			}
		}
		if len(given.Reason) > maxReason {
			return responses.Invalid("reason", "is longer than %d bytes", maxReason)
		}
		return s.Store.RestrictConnector(r.Context(), by, c.ID, given.Reason)
	})(w, r, who)
}
