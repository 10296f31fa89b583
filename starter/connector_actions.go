package starter

import (
	"context"
	"net/http"
	"time"

	"perdure/internal/connection"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// connectorAction changes a connector that a caller sees, or finds that they may not.
type connectorAction = func(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error)

// acted makes a handler of an action that needs no more than the connector.
func (s *Starter) acted(act connectorAction) tenantHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		v, err := s.seen(r, who)
		if err != nil {
			return err
		}
		if v, err = act(r.Context(), caller(r, who), v); err != nil {
			return err
		}
		return s.writeValue(w, r, showConnector(v))
	}
}

// probe looks at the server now. That the look failed is no failure of the request: the status says at which stage, and what to do.
func (s *Starter) probe(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
	return s.Connections.Probe(ctx, by, v.ID)
}

func (s *Starter) share(shared bool) connectorAction {
	return func(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
		return s.Connections.Share(ctx, by, v.ID, shared)
	}
}

func (s *Starter) enable(enabled bool) connectorAction {
	return func(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
		return s.Connections.Enable(ctx, by, v.ID, enabled)
	}
}

func (s *Starter) unrestrict(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
	return s.Connections.Unrestrict(ctx, by, v.ID)
}

// vet notes that an admin has looked at a member's connector as it is.
func (s *Starter) vet(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
	return s.Connections.Vet(ctx, by, v.ID, v.Version, v.Probe.At)
}

func (s *Starter) deleteIcon(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
	return s.Connections.SetIcon(ctx, by, v.ID, nil)
}

// restrictConnector ends every use of a member's connector, for a reason that its owner gets to see.
func (s *Starter) restrictConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	var given struct {
		Reason string `json:"reason"`
	}
	return s.acted(func(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
		if err := s.readOptional(w, r, who, &given); err != nil {
			return v, err
		}
		return s.Connections.Restrict(ctx, by, v.ID, given.Reason)
	})(w, r, who)
}

// reviewConnector counts the tools as seen that were found at the time given, or else by the last look. With the time, tools that came
// while a person was reading are not.
func (s *Starter) reviewConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	var given struct {
		FoundAt int64 `json:"found_at"`
	}
	return s.acted(func(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
		if err := s.readOptional(w, r, who, &given); err != nil {
			return v, err
		}
		if given.FoundAt != 0 && given.FoundAt != v.Probe.At.Unix() {
			return v, conflict("another look has found tools since " + time.Unix(given.FoundAt, 0).UTC().Format(time.RFC3339) + ": look at them first")
		}
		return s.Connections.Review(ctx, by, v.ID, v.Probe.At)
	})(w, r, who)
}

// readOptional is readStrict for requests that need not have a body.
func (s *Starter) readOptional(w http.ResponseWriter, r *http.Request, who identity.Principal, into any) error {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	if len(body) == 0 {
		return nil
	}
	return responses.DecodeStrict(body, into)
}
