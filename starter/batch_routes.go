package starter

import (
	"net/http"

	"perdure/workflows"
)

// batchRoutes are OpenAI's, and behind them ours.
func (s *Starter) batchRoutes(handle func(pattern string, h http.Handler)) {
	const base, one = "/v1/batches", "/v1/batches/{id}"
	handle("POST "+base, s.durable(s.createBatch))
	handle("GET "+base, s.authenticated(s.listBatches))
	handle("GET "+one, s.authenticated(s.getBatch))
	handle("POST "+one+"/cancel", s.authenticated(s.controlled(workflows.BatchCancel)))
	handle("POST "+one+"/pause", s.authenticated(s.controlled(workflows.BatchPause)))
	handle("POST "+one+"/resume", s.authenticated(s.controlled(workflows.BatchResume)))
	handle("POST "+one+"/retry", s.durable(s.retryBatchLines))
}
