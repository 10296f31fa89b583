package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev"
	"perdure/internal/temporaldev/temporaldevtest"
)

// recovery is how long a run may take to complete once what was killed is back.
const recovery = 10 * time.Second

const (
	writeTool    = `{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}`
	readOnlyTool = `{"tools":[{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}`
)

// killStack is a stack with everything of its own.
type killStack struct {
	*stack
	server *temporaldev.Server
	model  *modeltest.Server
	mcp    *mcptest.Hostile
}

// newKillStack starts a stack whose model is asked as often as need be.
func newKillStack(t *testing.T, settings string, reply func(modeltest.Request) modeltest.Reply) *killStack {
	t.Helper()
	k := &killStack{server: temporaldevtest.Start(t), model: modeltest.NewFunc(reply), mcp: mcptest.NewHostile()}
	t.Cleanup(func() {
		for _, double := range []interface{ Close() error }{k.model, k.mcp} {
			if err := double.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	k.stack = ownStack(t, stackOptions{Temporal: k.server.Address, Model: k.model.URL(), Settings: settings})
	return k
}

// withTool is a request with the MCP server.
func (k *killStack) withTool() string {
	return fmt.Sprintf(`{"input": "x", "tools": [{"type": "mcp", "server_label": "s", "server_url": "%s"}]}`, k.mcp.URL())
}

// killWorker kills the worker and returns when another one has been started, with that time.
func (k *killStack) killWorker(t *testing.T) time.Time {
	t.Helper()
	k.worker.kill()
	if err := k.startWorker(); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// completes waits for the client's answer, which must come in time.
func completes(t *testing.T, later <-chan result, since time.Time) response {
	t.Helper()
	return completesWithin(t, later, since, recovery)
}

// completesWithin is completes where another time is allowed.
func completesWithin(t *testing.T, later <-chan result, since time.Time, within time.Duration) response {
	t.Helper()
	select {
	case r := <-later:
		if r.err != nil {
			t.Fatal(r.err)
		}
		got := r.decode(t)
		if got.Status != "completed" {
			t.Errorf("got status %s, want completed: %s", got.Status, r.body)
		}
		t.Logf("completed after %v", time.Since(since).Round(time.Millisecond))
		return got
	case <-time.After(time.Until(since.Add(within))):
		t.Fatalf("the run has not completed %v after the return", within)
		return response{}
	}
}

// callThenText calls the tool once and then answers.
func callThenText(r modeltest.Request) modeltest.Reply {
	if r.Turn() == 0 {
		return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"})
	}
	return modeltest.Text("done")
}

func TestWorkerKilledWhileModelAnswers(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	k := newKillStack(t, "", func(r modeltest.Request) modeltest.Reply {
		if r.N == 0 {
			return modeltest.Text("an answer that nobody gets to see").HoldAfter(2, never)
		}
		return modeltest.Text("done")
	})
	later := k.respondLater(t.Context(), `{"input": "x"}`)
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	got := completes(t, later, k.killWorker(t))
	if got.text() != "done" {
		t.Errorf("got %q, want the second attempt's answer", got.text())
	}
	checkReplay(t, k.stack, got.ID)
}

var workerStarted = regexp.MustCompile(`"msg":"worker started"`)

// secondWorker starts a worker beside the one that has the step under way, and returns that one.
func (k *killStack) secondWorker(t *testing.T) (first *process) {
	t.Helper()
	first = k.worker
	if err := k.startWorker(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.worker.await(t.Context(), workerStarted); err != nil {
		t.Fatal(err)
	}
	return first
}

// TestWorkerKilledBesideAnother: with the settings that are default, it takes less than [recovery] from a worker's death to the end of
// its runs, all that other workers do for them included.
func TestWorkerKilledBesideAnother(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	k := newKillStack(t, "", func(r modeltest.Request) modeltest.Reply {
		if r.N == 0 {
			return modeltest.Text("an answer that nobody gets to see").HoldAfter(2, never)
		}
		return callThenText(r)
	})
	k.mcp.On("tools/list", mcptest.Result(writeTool))
	later := k.respondLater(t.Context(), k.withTool())
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	first := k.secondWorker(t)
	since := time.Now()
	first.kill()
	if call := completes(t, later, since).call(t); call.Error != nil || call.Output != "ok" {
		t.Errorf("got %+v, want the tool's output", call)
	}
}

func TestWorkerKilledDuringWrite(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, "", callThenText)
	k.mcp.On("tools/list", mcptest.Result(writeTool))
	k.mcp.On("tools/call", mcptest.Silent())
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	got := completes(t, later, k.killWorker(t))
	if n := k.mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
	if call := got.call(t); call.Error == nil || !strings.Contains(*call.Error, "the outcome of this call is unknown") || call.Output != "" {
		t.Errorf("got %+v, want an error that says that the outcome is unknown", call)
	}
	checkReplay(t, k.stack, got.ID)
}

func TestWorkerKilledDuringRead(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, "", callThenText)
	k.mcp.On("tools/list", mcptest.Result(readOnlyTool))
	k.mcp.On("tools/call", mcptest.InTurn(mcptest.Silent(), mcptest.Result(`{"content":[{"type":"text","text":"read"}]}`)))
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	got := completes(t, later, k.killWorker(t))
	if n := k.mcp.Count("tools/call"); n != 2 {
		t.Errorf("the tool was called %d times, want twice", n)
	}
	if call := got.call(t); call.Error != nil || call.Output != "read" {
		t.Errorf("got %+v, want the output of the second attempt", call)
	}
}

// call returns the only mcp_call.
func (r response) call(t *testing.T) item {
	t.Helper()
	if diff := cmp.Diff([]string{"mcp_list_tools", "mcp_call", "message"}, r.types()); diff != "" {
		t.Fatalf("output (-want +got):\n%s", diff)
	}
	return r.Output[1]
}

func TestTemporalKilled(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	k := newKillStack(t, "", func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return callThenText(r).Hold(release)
		}
		return callThenText(r)
	})
	later := k.respondLater(t.Context(), k.withTool())
	if _, err := k.model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	k.server.Kill()
	// The model goes on while nobody can take its answer down.
	close(release)
	temporaldevtest.Restart(t, k.server)
	got := completes(t, later, time.Now())
	if call := got.call(t); call.Error != nil || call.Output != "ok" {
		t.Errorf("got %+v, want the tool's output", call)
	}
	if n := k.mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// TestTemporalAway: without Temporal a request is refused soon and may be tried again; once Temporal is back, it is welcome.
func TestTemporalAway(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, "", func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") })
	k.server.Kill()
	for path, method := range map[string]string{"/readyz": http.MethodGet, "/v1/responses": http.MethodPost} {
		a, err := request(t.Context(), method, k.url+path, apiKey, `{"input": "x"}`)
		if err != nil {
			t.Fatal(err)
		}
		if p := readProblem(t, a); a.status != http.StatusServiceUnavailable || p.Error.Type != "service_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: got status %d, want 503 with Retry-After: %s", path, a.status, a.body)
		}
	}
	temporaldevtest.Restart(t, k.server)
	since := time.Now()
	if err := awaitReady(t.Context(), k.url); err != nil {
		t.Fatal(err)
	}
	completes(t, k.respondLater(t.Context(), `{"input": "x"}`), since)
}
