package starter

import (
	"net/http"

	"perdure/internal/responses"
)

// routes is the whole API surface.
func (s *Starter) routes() http.Handler {
	mux := http.NewServeMux()

	// OpenAI's SDKs call /v1/responses. Perplexity's do too, and its documents name /v1/agent.
	mux.Handle("POST /v1/responses", s.authenticated(s.createResponse))
	mux.Handle("POST /v1/agent", s.authenticated(s.createResponse))
	mux.Handle("GET /v1/models", s.handle(s.listModels))

	mux.Handle("GET /healthz", s.handle(s.healthy))
	mux.Handle("GET /readyz", s.handle(s.ready))
	mux.Handle("/", s.handle(notFound))
	return s.guarded(mux)
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return &responses.Error{
		Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "no such endpoint: " + r.Method + " " + r.URL.Path,
	}
}
