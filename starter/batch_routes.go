package starter

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

// batchRoutes are OpenAI's, and behind them ours.
func (s *Starter) batchRoutes(handle func(pattern string, h http.Handler)) {
	const base, one = "/v1/batches", "/v1/batches/{id}"
	handle("POST "+base, s.durable(s.withFiles(s.createBatch)))
	handle("GET "+base, s.authenticated(s.withFiles(s.listBatches)))
	handle("GET "+one, s.authenticated(s.withFiles(s.getBatch)))
	handle("POST "+one+"/cancel", s.authenticated(s.withFiles(s.controlled(workflows.BatchCancel))))
	handle("POST "+one+"/pause", s.authenticated(s.withFiles(s.controlled(workflows.BatchPause))))
	handle("POST "+one+"/resume", s.authenticated(s.withFiles(s.controlled(workflows.BatchResume))))
	handle("POST "+one+"/retry", s.durable(s.withFiles(s.retryBatchLines)))
}

// withFiles says why there are no files and no batches where there is no database.
func (s *Starter) withFiles(h tenantHandler) tenantHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		if s.Store == nil || s.Files == nil {
			return &responses.Error{
				Status: http.StatusNotImplemented, Type: responses.ErrNotFound,
				Message: "this server keeps no files and no batches: its operator has to set database.url or data.dir",
			}
		}
		return h(w, r, who)
	}
}
