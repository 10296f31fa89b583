package starter

import (
	"net/http"
	"strings"

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
	mux.Handle("/", s.handle(unmatched(mux)))
	return s.guarded(mux)
}

// unmatched answers what no route wants: with 405 where another method would do, else with 404.
func unmatched(mux *http.ServeMux) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			probe := r.WithContext(r.Context())
			probe.Method = method
			if _, pattern := mux.Handler(probe); pattern != "/" {
				allowed = append(allowed, method)
			}
		}
		if allowed == nil {
			return &responses.Error{
				Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "no such endpoint: " + r.Method + " " + r.URL.Path,
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &responses.Error{
			Status: http.StatusMethodNotAllowed, Type: responses.ErrMethodNotAllowed,
			Message: r.URL.Path + " does not take " + r.Method + " but " + strings.Join(allowed, " or "),
		}
	}
}
