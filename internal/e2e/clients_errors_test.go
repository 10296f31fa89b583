package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// errorType is an error's type in the stack's dialect.
func (c *sdk) errorType(agent string) string {
	if c.dialectOpenAI && slices.Contains([]string{"invalid_request", "unauthorized", "not_found", "conflict"}, agent) {
		return "invalid_request_error" // OpenAI's word for all that is the client's fault
	}
	return agent
}

// clientSeesConnectorError meets an MCP server that cannot be used: a status before the first event, also of a stream.
func clientSeesConnectorError(t *testing.T, c *sdk) {
	server := mcptest.NewServer(mcptest.ServerOptions{Bearer: "another token"})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	body := ask(t, modeltest.New(), `"input": "Hello.", "tools": [
		{"type": "mcp", "server_label": "closed", "server_url": "%s", "require_approval": "never"}]`, server.URL())
	for _, do := range []string{"create", "stream", "helper"} {
		if do == "helper" && !c.helpers {
			continue
		}
		got := c.call(t, command{Do: do, Body: body})
		c.wantError(t, got, "APIError", http.StatusFailedDependency, "external_connector_error", "tools")
		if e := got.Error; e != nil && (!strings.Contains(e.Message, "closed") || e.numeric() == c.dialectOpenAI) {
			t.Errorf("%s: got the code %v and the message %q", do, e.Code, e.Message)
		}
		if len(got.Events) > 0 {
			t.Errorf("%s: got the events %s before the error", do, got.Events)
		}
	}
}

func clientSeesErrors(t *testing.T, c *sdk) {
	model := modeltest.New() // which nobody asks
	tests := []struct {
		name   string
		do     command
		class  string
		status int
		kind   string
		param  string
	}{
		{
			"a value out of range",
			command{Do: "create", Body: ask(t, model, `"input": "x", "temperature": 3`)},
			"BadRequestError", http.StatusBadRequest, "invalid_request", "temperature",
		},
		{
			"the same of a stream",
			command{Do: "stream", Body: askAgain(t, `"input": "x", "temperature": 3`)},
			"BadRequestError", http.StatusBadRequest, "invalid_request", "temperature",
		},
		{
			"a conversation that nobody began",
			command{Do: "create", Body: askAgain(t, `"input": "x", "previous_response_id": "resp_0123"`)},
			"BadRequestError", http.StatusBadRequest, "invalid_request", "previous_response_id",
		},
		{
			"a wrong key",
			command{Do: "create", Body: askAgain(t, `"input": "x"`), Headers: map[string]string{"Authorization": "Bearer pd_wrong"}},
			"AuthenticationError", http.StatusUnauthorized, "unauthorized", "",
		},
		{
			"an unknown response",
			command{Do: "retrieve", ResponseID: unknownID},
			"NotFoundError", http.StatusNotFound, "not_found", "",
		},
		{
			"the stream of an unknown response",
			command{Do: "resume", ResponseID: unknownID},
			"NotFoundError", http.StatusNotFound, "not_found", "",
		},
		{
			"cancelling an unknown response",
			command{Do: "cancel", ResponseID: unknownID},
			"NotFoundError", http.StatusNotFound, "not_found", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c.wantError(t, c.call(t, test.do), test.class, test.status, c.errorType(test.kind), test.param)
		})
	}
}

const unknownID = "resp_00000000-0000-4000-8000-000000000000"

// newKey is a header with a key that no run of the tests has used before.
func newKey() map[string]string { return map[string]string{"Idempotency-Key": uuid.NewString()} }

// clientSendsKey sends a request three times, twice at once: the key makes them one run. None of the libraries has a parameter for
// the header, but all pass headers on.
func clientSendsKey(t *testing.T, c *sdk) {
	key := newKey()
	do := command{Do: "create", Body: ask(t, modeltest.New(modeltest.Text("Once.")), `"input": "Hello."`), Headers: key}
	first, second := c.begin(t, do), c.begin(t, do)
	want := c.wait(t, first).check(t).response(t)
	for _, got := range []response{c.wait(t, second).check(t).response(t), c.must(t, do).response(t)} {
		if got.ID != want.ID || got.text() != "Once." {
			t.Errorf("got %s with the text %q, want %s", got.ID, got.text(), want.ID)
		}
	}
	other := command{Do: "create", Body: askAgain(t, `"input": "Something else."`), Headers: key}
	c.wantError(t, c.call(t, other), "ConflictError", http.StatusConflict, c.errorType("conflict"), "Idempotency-Key")
}

// clientSendsKeyWithStream sends the request for a stream again, as a client does that lost it before it had read the ID.
func clientSendsKeyWithStream(t *testing.T, c *sdk) {
	do := command{Do: "stream", Body: mcpRun(t), Headers: newKey()}
	first, second := c.begin(t, do), c.begin(t, do)
	want := c.wait(t, first).check(t).Events
	checkMCPRun(t, checkEvents(t, want))
	sameEvents(t, want, c.wait(t, second).check(t).Events)
	sameEvents(t, want, c.must(t, do).Events)
}

// clientRetries breaks the connection before the first answer. The library tries again by itself, which must not start a second run.
func clientRetries(t *testing.T, c *sdk) {
	target, err := url.Parse(c.stack.url)
	if err != nil {
		t.Fatal(err)
	}
	var posts atomic.Int64
	var firstID atomic.Value
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if posts.Add(1) > 1 {
				return nil
			}
			var made response
			if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
				return err
			}
			firstID.Store(made.ID)
			return http.ErrAbortHandler
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(proxy.Close)
	got := c.must(t, command{
		Do: "create", Body: ask(t, modeltest.New(modeltest.Text("Once.")), `"input": "Hello."`),
		Headers: newKey(), BaseURL: proxy.URL, MaxRetries: 2,
	})
	if n := posts.Load(); n != 2 {
		t.Errorf("there were %d requests, want two", n)
	}
	if r := got.response(t); r.ID != firstID.Load() || got.OutputText != "Once." {
		t.Errorf("got %s with the text %q, want that of the first request, %v", r.ID, got.OutputText, firstID.Load())
	}
}
