package mcpclient_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

func brokenAnswers(t *testing.T) {
	t.Parallel()
	result := `"result":{"content":[],"tools":[]}`
	protocol := mcpclient.Error{Stage: mcpclient.StageProtocol}
	tests := map[string]struct {
		answer mcptest.Answer
		want   mcpclient.Error
	}{
		"wrong response id":          {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":"other",`+result+`}`), protocol},
		"no response id":             {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0",`+result+`}`), protocol},
		"batch":                      {mcptest.Body(200, "application/json", `[{"jsonrpc":"2.0","id":$ID,`+result+`}]`), protocol},
		"empty body":                 {mcptest.Body(200, "application/json", ``), protocol},
		"not JSON":                   {mcptest.Body(200, "application/json", `<html>`), protocol},
		"cut JSON":                   {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID,`), protocol},
		"deep JSON":                  {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID,"result":`+strings.Repeat("[", 100_000)), protocol},
		"result and error":           {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID,`+result+`,"error":{"code":1,"message":"m"}}`), protocol},
		"neither result nor error":   {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID}`), protocol},
		"JSON-RPC 1.0":               {mcptest.Body(200, "application/json", `{"id":$ID,`+result+`}`), protocol},
		"member in capitals":         {mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID,"RESULT":{}}`), protocol},
		"HTML page":                  {mcptest.Body(200, "text/html", `<html>`), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 200}},
		"no content type":            {mcptest.Status(202), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 202}},
		"event is not JSON":          {mcptest.Events(`<html>`), protocol},
		"event is a batch":           {mcptest.Events(`[]`), protocol},
		"stream without answer":      {mcptest.Events(`{"jsonrpc":"2.0","method":"notifications/message"}`), mcpclient.Error{Stage: mcpclient.StageProtocol, Temporary: true}},
		"stream answers another":     {mcptest.Events(`{"jsonrpc":"2.0","id":"other",` + result + `}`), mcpclient.Error{Stage: mcpclient.StageProtocol, Temporary: true}},
		"stream cut":                 {mcptest.Cut("text/event-stream", "data: {"), mcpclient.Error{Stage: mcpclient.StageConnect, Temporary: true}},
		"JSON body cut":              {mcptest.Cut("application/json", `{"jsonrpc":`), mcpclient.Error{Stage: mcpclient.StageConnect, Temporary: true}},
		"connection cut, no answer":  {mcptest.Cut("", ""), mcpclient.Error{Stage: mcpclient.StageConnect, Temporary: true}},
		"content type in bad syntax": {mcptest.Body(200, `;;;`, `{}`), mcpclient.Error{Stage: mcpclient.StageProtocol, Status: 200}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			ok := mcptest.Result(`{"content":[{"type":"text","text":"ok"}]}`)
			h.On("tools/call", mcptest.InTurn(test.answer, ok))
			_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
			e := wantError(t, err, test.want)
			if strings.Contains(e.Error(), "html") || strings.Contains(e.Error(), "jsonrpc") {
				t.Errorf("error %q quotes the body", e)
			}
			// The session survives.
			if result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil || result.Output != "ok" {
				t.Errorf("the next call gave %v, %v", result, err)
			}
			if got := h.Count("initialize"); got != 1 {
				t.Errorf("%d sessions were opened, want 1", got)
			}

			h.On("tools/list", test.answer)
			_, err = c.ListTools(t.Context(), "run", at(h.URL()))
			wantError(t, err, test.want)

			h.On("initialize", test.answer)
			_, err = c.CallTool(t.Context(), "another run", at(h.URL()), callT)
			want := test.want
			want.Sent = mcpclient.NotSent
			wantError(t, err, want)
		})
	}
}

func brokenAnswerHarmsNoParallelCall(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	release := make(chan struct{})
	var n atomic.Int64
	h.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		if n.Add(1) == 1 {
			<-release
			mcptest.Events(mcptest.ResultEvent(`{"content":[{"type":"text","text":"ok"}]}`))(w, r, m)
			return
		}
		mcptest.Body(200, "application/json", "garbage")(w, r, m)
	})
	type outcome struct {
		result mcpclient.Result
		err    error
	}
	first := make(chan outcome)
	go func() {
		result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		first <- outcome{result, err}
	}()
	if err := h.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageProtocol})
	close(release)
	if got := <-first; got.err != nil || got.result.Output != "ok" {
		t.Errorf("the parallel call gave %v, %v", got.result, got.err)
	}
}

func statuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		answer mcptest.Answer
		want   mcpclient.Error
		after  time.Duration
	}{
		{answer: mcptest.Status(400), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 400, Sent: mcpclient.Refused}},
		{answer: mcptest.Status(401), want: mcpclient.Error{Stage: mcpclient.StageAuth, Status: 401, Sent: mcpclient.Refused}},
		{answer: mcptest.Status(403), want: mcpclient.Error{Stage: mcpclient.StageAuth, Status: 403, Sent: mcpclient.Refused}},
		{answer: mcptest.Status(404), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 404, Sent: mcpclient.Refused}},
		{answer: mcptest.Status(418), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 418}},
		{answer: mcptest.Status(429, "Retry-After", "7"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 429, Sent: mcpclient.Refused, Temporary: true}, after: 7 * time.Second},
		{answer: mcptest.Status(429, "Retry-After", "86400"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 429, Sent: mcpclient.Refused, Temporary: true}, after: time.Hour},
		{answer: mcptest.Status(429, "Retry-After", "-3"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 429, Sent: mcpclient.Refused, Temporary: true}},
		{answer: mcptest.Status(500), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 500, Temporary: true}},
		{answer: mcptest.Status(502), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 502, Temporary: true}},
		{answer: mcptest.Status(503), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Temporary: true}},
		{answer: mcptest.Status(503, "Retry-After", "soon"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Temporary: true}},
		{answer: mcptest.Status(503, "Retry-After", "7"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Sent: mcpclient.Refused, Temporary: true}, after: 7 * time.Second},
		{answer: mcptest.Status(503, "Retry-After", "0"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Sent: mcpclient.Refused, Temporary: true}},
		{answer: mcptest.Status(503, "Retry-After", "7", "Server", "istio-envoy"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 503, Temporary: true}, after: 7 * time.Second},
		{answer: mcptest.Status(504), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 504, Temporary: true}},
		{answer: mcptest.Status(302, "Location", "/elsewhere"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 302}},
		{answer: mcptest.Status(307, "Location", "/elsewhere"), want: mcpclient.Error{Stage: mcpclient.StageStatus, Status: 307, Sent: mcpclient.Refused}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.want.Status), func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			h.On("tools/call", mcptest.InTurn(test.answer, mcptest.Result(`{"content":[{"type":"text","text":"ok"}]}`)))
			_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
			if e := wantError(t, err, test.want); e.RetryAfter != test.after {
				t.Errorf("RetryAfter is %v, want %v", e.RetryAfter, test.after)
			}
			if got := h.Count("tools/call"); got != 1 {
				t.Errorf("the call was sent %d times, want once", got)
			}
			if result, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil || result.Output != "ok" {
				t.Errorf("the next call gave %v, %v", result, err)
			}
			if got := h.Count("initialize"); got != 1 {
				t.Errorf("%d sessions were opened, want 1", got)
			}
		})
	}
}

func unauthorizedHandshake(t *testing.T) {
	t.Parallel()
	s, c := newServer(t, mcptest.ServerOptions{Bearer: "right-token-0123"}), newClient(t, mcpclient.Options{})
	server := at(s.URL())
	server.Header = http.Header{"Authorization": {"Bearer wrong-token-0123"}}
	_, err := c.ListTools(t.Context(), "run", server)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageAuth, Status: 401, Sent: mcpclient.NotSent})
	server.Header = http.Header{"Authorization": {"Bearer right-token-0123"}}
	if _, err := c.ListTools(t.Context(), "run", server); err != nil {
		t.Error(err)
	}
}

func TestJSONRPCErrors(t *testing.T) {
	t.Parallel()
	canary := "token-0123456789"
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	server := at(h.URL())
	server.Header = http.Header{"Authorization": {"Bearer " + canary}}

	message := "no such tool\u202e\n" + canary + strings.Repeat("x", 5000)
	h.On("tools/call", mcptest.Error(-32602, message))
	_, err := c.CallTool(t.Context(), "run", server, callT)
	e := wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.Answered})
	if got, want := e.ServerMessage, "no such tool [redacted]xxx"; !strings.HasPrefix(got, want) {
		t.Errorf("ServerMessage is %.40q, want it to begin with %q", got, want)
	}
	if len(e.ServerMessage) > 2<<10 {
		t.Errorf("ServerMessage has %d bytes, want at most 2048", len(e.ServerMessage))
	}
	if strings.Contains(e.Error(), "no such tool") {
		t.Errorf("error %q repeats the server's text", e)
	}

	h.On("tools/call", mcptest.ErrorStatus(400, -32602, "bad arguments"))
	_, err = c.CallTool(t.Context(), "run", server, callT)
	e = wantError(t, err, mcpclient.Error{Stage: mcpclient.StageCall, Sent: mcpclient.Answered, Status: 400})
	if diff := cmp.Diff("bad arguments", e.ServerMessage); diff != "" {
		t.Error(diff)
	}

	h.On("tools/list", mcptest.Error(-32603, "secret detail"))
	_, err = c.ListTools(t.Context(), "run", server)
	e = wantError(t, err, mcpclient.Error{Stage: mcpclient.StageList, Sent: mcpclient.Answered, Temporary: true})
	if e.ServerMessage != "" || strings.Contains(e.Error(), "secret") {
		t.Errorf("error %q, %q repeats the server's text", e, e.ServerMessage)
	}

	h.On("initialize", mcptest.Error(-32000, "secret detail"))
	_, err = c.ListTools(t.Context(), "another run", server)
	e = wantError(t, err, mcpclient.Error{Stage: mcpclient.StageProtocol, Sent: mcpclient.NotSent})
	if e.ServerMessage != "" || strings.Contains(fmt.Sprintf("%v %+v", e, e.Unwrap()), "secret") {
		t.Errorf("error %q, %q repeats the server's text", e, e.ServerMessage)
	}
}
