package starter

import (
	"net/http"
	"strings"

	"perdure/internal/page"
	"perdure/internal/responses"
)

// routes is all that is served.
func (s *Starter) routes() http.Handler {
	mux := http.NewServeMux()
	s.apiRoutes(mux.Handle)
	s.codecRoutes(mux)
	if s.Store != nil && s.Pages != nil {
		s.Pages(s, mux.Handle)
	}
	mux.Handle("GET "+page.StaticPath, page.Static())
	mux.Handle("/", s.handle(s.unmatched(mux)))
	return s.guarded(mux)
}

// apiRoutes are the API. openapi.yaml has each.
func (s *Starter) apiRoutes(handle func(pattern string, h http.Handler)) {
	s.tenantRoutes(handle)
	handle("GET /v1/models", s.handle(s.listModels))
	if s.Store != nil {
		s.managedRoutes(handle)
		s.browserRoutes(handle)
		if s.Files != nil {
			s.fileRoutes(handle)
			s.batchRoutes(handle)
		}
	}
	handle("GET /openapi.yaml", s.handle(s.getOpenAPI))
	handle("GET /healthz", s.handle(s.healthy))
	handle("GET /readyz", s.handle(s.ready))
}

// tenantRoutes are those that act for an organization and show nothing of another. TestTenants has a case for each, docs/api.md a line.
func (s *Starter) tenantRoutes(handle func(pattern string, h http.Handler)) {
	// OpenAI's SDKs call /v1/responses. Perplexity's do too, and its documents name /v1/agent.
	for _, base := range []string{"/v1/responses", agentPath} {
		handle("POST "+base, s.durable(s.createResponse))
		handle("GET "+base, s.durable(s.listOrConnect))
		handle("POST "+base+"/input_tokens", s.authenticated(s.countInputTokens))
		handle("POST "+base+"/compact", s.durable(s.compact))
		handle("GET "+base+"/{id}", s.durable(s.getResponse))
		handle("DELETE "+base+"/{id}", s.durable(s.deleteResponse))
		handle("POST "+base+"/{id}/cancel", s.durable(s.cancelResponse))
		handle("GET "+base+"/{id}/input_items", s.durable(s.listInputItems))
	}
	s.scheduleRoutes(handle)
	handle("POST /v1/conversations", s.durable(s.createConversation))
	handle("GET /v1/conversations/{id}", s.durable(s.getConversation))
	handle("POST /v1/conversations/{id}", s.durable(s.updateConversation))
	handle("DELETE /v1/conversations/{id}", s.durable(s.deleteConversation))
	handle("GET /v1/conversations/{id}/items", s.durable(s.listConversationItems))
	handle("POST /v1/conversations/{id}/items", s.durable(s.createConversationItems))
	handle("GET /v1/conversations/{id}/items/{item}", s.durable(s.getConversationItem))
	handle("DELETE /v1/conversations/{id}/items/{item}", s.durable(s.deleteConversationItem))
}

// agentPath is where only the Agent API is spoken.
const agentPath = "/v1/agent"

func isAgentPath(r *http.Request) bool {
	return r.URL.Path == agentPath || strings.HasPrefix(r.URL.Path, agentPath+"/")
}

// dialect is the one that a request is answered in.
func (s *Starter) dialect(r *http.Request) responses.Dialect {
	if isAgentPath(r) {
		return responses.DialectAgent
	}
	return s.ownDialect()
}

// unmatched answers what no route wants: with 405 where another method would do, else with 404. A person is shown a page.
func (s *Starter) unmatched(mux *http.ServeMux) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.wantsPage(r) && !strings.HasPrefix(r.URL.Path, "/v1/") {
			return s.showPage(w, r, http.StatusNotFound, notice{
				Title: "Not found", Text: "There is no page at this address.", Remedy: "It may have been mistyped, or what it showed is gone.",
				Link: "/", LinkText: "Go to the start page",
			})
		}
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete} {
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
