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
	for _, base := range []string{"/v1/responses", agentPath} {
		mux.Handle("POST "+base, s.authenticated(s.createResponse))
		mux.Handle("GET "+base, s.authenticated(s.listOrConnect))
		mux.Handle("POST "+base+"/input_tokens", s.authenticated(s.countInputTokens))
		mux.Handle("POST "+base+"/compact", s.authenticated(s.compact))
		mux.Handle("GET "+base+"/{id}", s.authenticated(s.getResponse))
		mux.Handle("DELETE "+base+"/{id}", s.authenticated(s.deleteResponse))
		mux.Handle("POST "+base+"/{id}/cancel", s.authenticated(s.cancelResponse))
		mux.Handle("GET "+base+"/{id}/input_items", s.authenticated(s.listInputItems))
	}
	mux.Handle("GET /v1/models", s.handle(s.listModels))

	mux.Handle("POST /v1/conversations", s.authenticated(s.createConversation))
	mux.Handle("GET /v1/conversations/{id}", s.authenticated(s.getConversation))
	mux.Handle("POST /v1/conversations/{id}", s.authenticated(s.updateConversation))
	mux.Handle("DELETE /v1/conversations/{id}", s.authenticated(s.deleteConversation))
	mux.Handle("GET /v1/conversations/{id}/items", s.authenticated(s.listConversationItems))
	mux.Handle("POST /v1/conversations/{id}/items", s.authenticated(s.createConversationItems))
	mux.Handle("GET /v1/conversations/{id}/items/{item}", s.authenticated(s.getConversationItem))
	mux.Handle("DELETE /v1/conversations/{id}/items/{item}", s.authenticated(s.deleteConversationItem))

	mux.Handle("GET /healthz", s.handle(s.healthy))
	mux.Handle("GET /readyz", s.handle(s.ready))
	mux.Handle("/", s.handle(unmatched(mux)))
	return s.guarded(mux)
}

// agentPath is where only the Agent API is spoken.
const agentPath = "/v1/agent"

func isAgentPath(r *http.Request) bool {
	return r.URL.Path == agentPath || strings.HasPrefix(r.URL.Path, agentPath+"/")
}

// dialect is the one that a request is answered in.
func (s *Starter) dialect(r *http.Request) responses.Dialect {
	if isAgentPath(r) || s.Dialect == "" {
		return responses.DialectAgent
	}
	return s.Dialect
}

// unmatched answers what no route wants: with 405 where another method would do, else with 404.
func unmatched(mux *http.ServeMux) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
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
