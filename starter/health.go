package starter

import (
	"context"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"
)

// readyTimeout bounds a readiness check.
const readyTimeout = 2 * time.Second

// healthy says that the process lives.
func (s *Starter) healthy(w http.ResponseWriter, r *http.Request) error {
	s.writeJSON(w, r, http.StatusOK, []byte(`{"status":"ok"}`))
	return nil
}

// ready says that a request would be accepted.
func (s *Starter) ready(w http.ResponseWriter, r *http.Request) error {
	if s.stopping.Err() != nil {
		return unavailable("this server is stopping")
	}
	if err := s.checkTemporal(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if _, err := s.Temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		s.Logger.WarnContext(r.Context(), "not ready", "error", err)
		return unavailable("the workflow service cannot be reached")
	}
	s.writeJSON(w, r, http.StatusOK, []byte(`{"status":"ready"}`))
	return nil
}
