package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// unavailable wants a refusal that says when to come again.
func unavailable(t *testing.T, a answer) {
	t.Helper()
	if p := readProblem(t, a); a.status != http.StatusServiceUnavailable || p.Error.Type != "service_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("got status %d, want 503 with Retry-After: %s", a.status, a.body)
	}
}

// TestTemporalAwayAtStart: starter and worker start without Temporal, refuse what they cannot do, and work when it comes.
func TestTemporalAwayAtStart(t *testing.T) {
	t.Parallel()
	link := linkTo(t, "http://"+temporaldevtest.Address(t))
	model := modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") })
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	s := ownStack(t, stackOptions{Temporal: link.Address(), Model: model.URL()})
	s.starter.kill()
	s.worker.kill()
	link.Cut()
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.starter, err = s.start("starter", "--http", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	match, err := s.starter.await(t.Context(), listening)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + match[1]
	for _, r := range []struct{ method, path, body string }{
		{http.MethodGet, "/readyz", ""},
		{http.MethodPost, "/v1/responses", `{"input": "x"}`},
		{http.MethodGet, "/v1/agent?limit=1", ""},
		{http.MethodPost, "/v1/conversations", "{}"},
	} {
		a, err := request(t.Context(), r.method, s.url+r.path, apiKey, r.body)
		if err != nil {
			t.Fatal(err)
		}
		unavailable(t, a)
	}
	if a, err := request(t.Context(), http.MethodGet, s.url+"/healthz", "", ""); err != nil || a.status != http.StatusOK {
		t.Errorf("the process is taken for dead: status %d, error %v", a.status, err)
	}
	restore(t, link)
	if err := awaitReady(t.Context(), s.url); err != nil {
		t.Fatal(err)
	}
	completes(t, s.respondLater(t.Context(), `{"input": "x"}`), time.Now())
}

// longOutage is longer than everything that waits for Temporal: heartbeats, requests that ask it, and the steps of a worker that report
// what they have done.
const longOutage = 15 * time.Second

// TestTemporalAwayForLong: what is under way while Temporal cannot be reached by anybody is finished when it is back, whoever waits in
// whichever way gets the answer, and a write that was being made is not made again.
func TestTemporalAwayForLong(t *testing.T) {
	t.Parallel()
	link := linkTo(t, "http://"+temporaldevtest.Address(t))
	release, released := make(chan struct{}), make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if len(r.Tools) > 0 {
			return callThenText(r)
		}
		select {
		case <-released:
			return modeltest.Text("done")
		default:
			return modeltest.Text("done").HoldAfter(1, release)
		}
	})
	mcp := mcptest.NewHostile()
	t.Cleanup(func() {
		for _, double := range []interface{ Close() error }{model, mcp} {
			if err := double.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	mcp.On("tools/list", mcptest.Result(writeTool))
	mcp.On("tools/call", mcptest.Held(release, mcptest.Result(`{"content":[{"type":"text","text":"written"}]}`)))
	s := ownStack(t, stackOptions{Temporal: link.Address(), Model: model.URL()})
	waits := s.respondLater(t.Context(), `{"input": "waits"}`)
	polled := s.create(t, []byte(`{"input": "polls", "background": true}`)).ID
	writes := s.create(t, []byte(`{"input": "x", "background": true, "tools": [{"type": "mcp", "server_label": "s", "server_url": "`+mcp.URL()+`"}]}`)).ID
	streamed := postStream(t, s.url, []byte(`{"input": "streams", "stream": true}`))
	if err := mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := model.WaitRequest(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	link.Cut()
	close(released)
	close(release)
	over := time.After(longOutage)
	for away := true; away; {
		select {
		case <-over:
			away = false
		case <-time.After(time.Second):
			a, err := s.respond(t.Context(), `{"input": "x"}`)
			if err != nil {
				t.Fatal(err)
			}
			unavailable(t, a)
		}
	}
	restore(t, link)
	since := time.Now()
	// Nobody is promised a time here: steps whose heartbeats were lost are made again.
	if got := completesWithin(t, waits, since, answerTimeout); got.text() != "done" {
		t.Errorf("the client that waits got %q", got.text())
	}
	events := checkWhole(t, streamed.whole(t))
	if last := events[len(events)-1]; last.Type != "response.completed" {
		t.Errorf("the stream ends with %s", last.Type)
	}
	if got := s.awaitStatus(t, polled, "completed"); got.text() != "done" {
		t.Errorf("the client that polls got %q", got.text())
	}
	got := s.awaitStatus(t, writes, "completed")
	call := got.call(t)
	if call.Output != "written" && (call.Error == nil || !strings.Contains(*call.Error, "outcome of this call is unknown")) {
		t.Errorf("the call is %+v, want its output, or that its outcome is unknown", call)
	}
	if n := mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
	completes(t, s.respondLater(t.Context(), `{"input": "x"}`), time.Now())
	t.Logf("everything was finished %v after the outage", time.Since(since).Round(time.Millisecond))
}
