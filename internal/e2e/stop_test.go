package e2e

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// TestWorkerStopsAfterCall: a worker that is told to stop lets a call end, and takes nothing new.
func TestWorkerStopsAfterCall(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, "", callThenText)
	release := make(chan struct{})
	k.mcp.On("tools/call", heldUntil(release, mcptest.Result(`{"content":[{"type":"text","text":"ok"}]}`)))
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	old := k.worker
	if err := old.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := k.startWorker(); err != nil {
		t.Fatal(err)
	}
	close(release)
	if code, err := old.wait(); code != 0 || err != nil {
		t.Errorf("the worker that was told to stop: exit code %d, %v", code, err)
	}
	got := completes(t, later, time.Now())
	if call := got.call(t); call.Error != nil || call.Output != "ok" {
		t.Errorf("got %+v, want the tool's output", call)
	}
	if n := k.mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// shortGrace is a worker that hands back soon, and a heartbeat timeout that nobody waits for.
const shortGrace = "worker:\n  stop_grace: 1s\nlimits:\n  model:\n    heartbeat: 2m\n"

// TestWorkerStopsBeforeAnswer: when its grace is over, a worker hands back what it could not finish, and no run fails.
func TestWorkerStopsBeforeAnswer(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	k := newKillStack(t, shortGrace, func(r modeltest.Request) modeltest.Reply {
		if r.N == 0 {
			return modeltest.Text("an answer that nobody gets to see").Hold(never)
		}
		return modeltest.Text("done")
	})
	later := k.respondLater(t.Context(), `{"input": "x"}`)
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if code, err := k.worker.stop(); code != 0 || err != nil {
		t.Errorf("the worker that was told to stop: exit code %d, %v", code, err)
	}
	if err := k.startWorker(); err != nil {
		t.Fatal(err)
	}
	if got := completes(t, later, time.Now()); got.text() != "done" {
		t.Errorf("got %q, want the second attempt's answer", got.text())
	}
}

// TestWorkerHandsBackToAnother: what a worker hands back, another one has at once.
func TestWorkerHandsBackToAnother(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	k := newKillStack(t, shortGrace, func(modeltest.Request) modeltest.Reply { return modeltest.Text("done").Hold(release) })
	later := k.respondLater(t.Context(), `{"input": "x"}`)
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	first := k.secondWorker(t)
	if code, err := first.stop(); code != 0 || err != nil {
		t.Errorf("the worker that was told to stop: exit code %d, %v", code, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	if _, err := k.model.WaitRequest(ctx, 1); err != nil {
		t.Fatal(err)
	}
	close(release)
	if got := completes(t, later, time.Now()); got.text() != "done" {
		t.Errorf("got %q, want the second attempt's answer", got.text())
	}
}

// TestWorkerStopsDuringWrite: a call that outlasts the grace may have taken effect, so nobody makes it again.
func TestWorkerStopsDuringWrite(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, shortGrace, callThenText)
	k.mcp.On("tools/list", mcptest.Result(writeTool))
	k.mcp.On("tools/call", mcptest.Silent())
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	if code, err := k.worker.stop(); code != 0 || err != nil {
		t.Errorf("the worker that was told to stop: exit code %d, %v", code, err)
	}
	if err := k.startWorker(); err != nil {
		t.Fatal(err)
	}
	got := completes(t, later, time.Now())
	if call := got.call(t); call.Error == nil || !strings.Contains(*call.Error, "the outcome of this call is unknown") {
		t.Errorf("got %+v, want an error that says that the outcome is unknown", call)
	}
	if n := k.mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

func heldUntil(open <-chan struct{}, answer mcptest.Answer) mcptest.Answer {
	return func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		select {
		case <-open:
			answer(w, r, m)
		case <-r.Context().Done():
		}
	}
}

var goesOnAs = regexp.MustCompile(`the run goes on as (resp_[0-9a-f-]{36})"`)

// TestStarterStops: a client that still waits when the grace is over is told under which ID its run goes on.
func TestStarterStops(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	k := newKillStack(t, "http:\n  shutdown_grace: 1s\n", func(modeltest.Request) modeltest.Reply {
		return modeltest.Text("done").Hold(release)
	})
	later := k.respondLater(t.Context(), `{"input": "x"}`)
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if code, err := k.starter.stop(); code != 0 || err != nil {
		t.Errorf("the starter that was told to stop: exit code %d, %v", code, err)
	}
	r := <-later
	if r.err != nil {
		t.Fatal(r.err)
	}
	match := goesOnAs.FindSubmatch(r.body)
	if r.status != http.StatusServiceUnavailable || match == nil || r.header.Get("Retry-After") == "" {
		t.Fatalf("got status %d, want 503 with the ID of the run: %s", r.status, r.body)
	}
	close(release)
	var outcome struct{ Status string }
	if err := k.temporal.GetWorkflow(t.Context(), string(match[1]), "").Get(t.Context(), &outcome); err != nil || outcome.Status != "completed" {
		t.Errorf("the run ended as %q, %v", outcome.Status, err)
	}
}

// TestStarterStopsAfterAnswer: a client whose run ends within the grace gets its answer.
func TestStarterStopsAfterAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	k := newKillStack(t, "", func(modeltest.Request) modeltest.Reply { return modeltest.Text("done").Hold(release) })
	later := k.respondLater(t.Context(), `{"input": "x"}`)
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := k.starter.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitRefusal(t, k.url)
	close(release)
	if r := <-later; r.err != nil || r.decode(t).text() != "done" {
		t.Errorf("got %v, status %d: %s", r.err, r.status, r.body)
	}
	if code, err := k.starter.wait(); code != 0 || err != nil {
		t.Errorf("the starter that was told to stop: exit code %d, %v", code, err)
	}
}

// awaitRefusal waits until a server takes no more connections.
func awaitRefusal(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if ctx.Err() != nil {
			t.Fatal("the starter still takes connections")
		}
		if err != nil {
			return
		}
		resp.Body.Close()
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
		}
	}
}

var runStarted = regexp.MustCompile(`"msg":"run started",[^\n]*"response":"(resp_[0-9a-f-]{36})"`)

// TestClientLeaves: nobody waits for the answer any more, so the run is cancelled, and the model is not paid for more.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	k := newKillStack(t, "", func(modeltest.Request) modeltest.Reply { return modeltest.Text("never").Hold(never) })
	ctx, leave := context.WithCancel(t.Context())
	later := k.respondLater(ctx, `{"input": "x"}`)
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	leave()
	<-later
	match, err := k.starter.await(t.Context(), runStarted)
	if err != nil {
		t.Fatal(err)
	}
	err = k.temporal.GetWorkflow(t.Context(), match[1], "").Get(t.Context(), nil)
	if !temporal.IsCanceledError(err) {
		t.Errorf("the run ended with %v, want that it was cancelled", err)
	}
	described, err := k.temporal.DescribeWorkflowExecution(t.Context(), match[1], "")
	if err != nil {
		t.Fatal(err)
	}
	if got := described.GetWorkflowExecutionInfo().GetStatus(); got != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
		t.Errorf("Temporal shows the run as %s", got)
	}
	if n := len(k.model.Requests()); n != 1 {
		t.Errorf("the model was asked %d times, want once", n)
	}
}
