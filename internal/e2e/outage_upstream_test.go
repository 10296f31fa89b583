package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"

	"perdure/internal/linktest"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// outageStack is a stack whose model and MCP server are behind links.
type outageStack struct {
	*stack
	model             *modeltest.Server
	mcp               *mcptest.Hostile
	toModel, toServer *linktest.Link
}

func newOutageStack(t *testing.T, settings string, reply func(modeltest.Request) modeltest.Reply) *outageStack {
	t.Helper()
	o := &outageStack{model: modeltest.NewFunc(reply), mcp: mcptest.NewHostile()}
	t.Cleanup(func() {
		for _, double := range []interface{ Close() error }{o.model, o.mcp} {
			if err := double.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	o.toModel, o.toServer = linkTo(t, o.model.URL()), linkTo(t, o.mcp.URL())
	o.stack = ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: "http://" + o.toModel.Address() + "/v1", Settings: settings,
	})
	return o
}

// linkTo is a link to the server of a URL.
func linkTo(t *testing.T, target string) *linktest.Link {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	link, err := linktest.New(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return link
}

// members are those of a request with the MCP server.
func (o *outageStack) members() string {
	return fmt.Sprintf(`{"input": "x", "tools": [{"type": "mcp", "server_label": "s", "server_url": "http://%s/mcp"}]}`, o.toServer.Address())
}

// background starts a run for which nobody waits.
func (o *outageStack) background(t *testing.T, body string) string {
	t.Helper()
	return o.create(t, []byte(strings.TrimSuffix(body, "}")+`, "background": true}`)).ID
}

// awaitAttempt waits until a step of a run is tried for the n-th time, or will be.
func (s *stack) awaitAttempt(t *testing.T, id string, n int32) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		d, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		if status := d.GetWorkflowExecutionInfo().GetStatus(); status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			t.Fatalf("the run is %s before attempt %d", status, n)
		}
		for _, step := range d.GetPendingActivities() {
			if step.GetAttempt() >= n {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("after %v no step is at attempt %d", startTimeout, n)
		case <-time.After(pollEvery):
		}
	}
}

func restore(t *testing.T, link *linktest.Link) {
	t.Helper()
	if err := link.Restore(); err != nil {
		t.Fatal(err)
	}
}

// want waits for a run that comes to "done", and its output.
func (o *outageStack) want(t *testing.T, id string, types ...string) response {
	t.Helper()
	r := o.awaitStatus(t, id, "completed")
	if diff := cmp.Diff(types, r.types()); diff != "" || r.text() != "done" {
		t.Fatalf("text %q; output (-want +got):\n%s", r.text(), diff)
	}
	return r
}

// TestModelAway: a provider that is away when a turn begins, or goes in the middle of one, is waited for.
func TestModelAway(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	const cut = "an answer that nobody gets to see whole"
	var held atomic.Bool
	o := newOutageStack(t, "", func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 && len(r.Tools) > 0 {
			return callThenText(r)
		}
		if r.Last().Content == "hold" && held.CompareAndSwap(false, true) {
			return modeltest.Text(cut).HoldAfter(2, never)
		}
		return modeltest.Text("done")
	})
	o.toModel.Cut()
	waits := o.respondLater(t.Context(), `{"input": "x"}`)
	atStart := o.background(t, `{"input": "x"}`)
	o.awaitAttempt(t, atStart, 4)
	restore(t, o.toModel)
	o.want(t, atStart, "message")
	if r := (<-waits).must(t).decode(t); r.Status != "completed" || r.text() != "done" {
		t.Errorf("the client that waits got %s: %q", r.Status, r.text())
	}

	stream := postStream(t, o.url, []byte(`{"input": "hold", "stream": true, "background": true}`))
	inAnswer := responseOf(t, stream.until(t, cut[:pieceSize])).ID
	o.toModel.Cut()
	o.awaitAttempt(t, inAnswer, 3)
	restore(t, o.toModel)
	o.want(t, inAnswer, "message")

	release := make(chan struct{})
	o.mcp.On("tools/call", mcptest.Held(release, mcptest.Result(`{"content":[{"type":"text","text":"called"}]}`)))
	between := o.background(t, o.members())
	if err := o.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	o.toModel.Cut()
	close(release)
	o.awaitAttempt(t, between, 3)
	restore(t, o.toModel)
	o.want(t, between, "mcp_list_tools", "mcp_call", "message")
	if n := o.mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// TestModelAwayForManyAttempts: at the default settings a provider that is overloaded for 20 attempts does not fail a run. It says how
// soon it wants to be asked again; without that, 20 attempts would span more than seven minutes.
func TestModelAwayForManyAttempts(t *testing.T) {
	t.Parallel()
	o := newOutageStack(t, "", func(r modeltest.Request) modeltest.Reply {
		if r.N < 20 {
			return modeltest.Status(http.StatusServiceUnavailable, http.Header{"Retry-After-Ms": {"20"}}, `{"error":{"message":"overloaded"}}`)
		}
		return modeltest.Text("done")
	})
	a, err := o.respond(t.Context(), `{"input": "x"}`)
	if err != nil {
		t.Fatal(err)
	}
	if r := a.decode(t); r.Status != "completed" || r.text() != "done" {
		t.Errorf("got %s: %q", r.Status, r.text())
	}
}

// TestModelAwayForGood: patience ends, and whoever asks is told why.
func TestModelAwayForGood(t *testing.T) {
	t.Parallel()
	o := newOutageStack(t, "limits:\n  patience: 2s\n  model:\n    attempts: 1\n", func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") })
	o.toModel.Cut()
	const why = `model provider "openai": a connection could not be made`
	background := o.background(t, `{"input": "x"}`)
	a, err := o.respond(t.Context(), `{"input": "x"}`)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]response{"who waits": a.decode(t), "who polls": o.awaitStatus(t, background, "failed")} {
		if r.Status != "failed" || r.Error == nil || r.Error.Message != why {
			t.Errorf("%s: got %s with %+v", name, r.Status, r.Error)
		}
	}
	if events := checkWhole(t, replay(t, o.url, background)); events[len(events)-1].Type != "response.failed" {
		t.Errorf("the stream ends with %s", events[len(events)-1].Type)
	}
	restore(t, o.toModel)
	if a, err := o.respond(t.Context(), `{"input": "x"}`); err != nil || a.decode(t).text() != "done" {
		t.Errorf("after the outage: %s, error %v", a.body, err)
	}
}

// TestMCPServerAway: a run for which nobody waits waits for an MCP server, at its start and in the middle, and no write is lost or made
// twice by that. A client that waits is told at once, or its model is.
func TestMCPServerAway(t *testing.T) {
	t.Parallel()
	hold := make(chan chan struct{}, 1)
	o := newOutageStack(t, "", func(r modeltest.Request) modeltest.Reply {
		if r.Turn() > 0 {
			return modeltest.Text("done")
		}
		reply := callThenText(r)
		select {
		case until := <-hold:
			reply = reply.Hold(until)
		default:
		}
		return reply
	})
	o.toServer.Cut()
	a, err := o.respond(t.Context(), o.members())
	if err != nil {
		t.Fatal(err)
	}
	refused(t, a, http.StatusFailedDependency, `MCP server \"s\" could not be initialized (stage connect)`)
	atStart := o.background(t, o.members())
	o.awaitAttempt(t, atStart, 4)
	restore(t, o.toServer)
	all := []string{"mcp_list_tools", "mcp_call", "message"}
	if r := o.want(t, atStart, all...); r.Output[1].Output != "ok" || o.mcp.Count("tools/call") != 1 {
		t.Errorf("%d calls, output %q", o.mcp.Count("tools/call"), r.Output[1].Output)
	}

	// The server goes before a write is sent.
	for _, background := range []bool{true, false} {
		until, asked, called := make(chan struct{}), len(o.model.Requests()), o.mcp.Count("tools/call")
		hold <- until
		var id string
		var waits <-chan result
		if background {
			id = o.background(t, o.members())
		} else {
			waits = o.respondLater(t.Context(), o.members())
		}
		if _, err := o.model.WaitRequest(t.Context(), asked); err != nil {
			t.Fatal(err)
		}
		o.toServer.Cut()
		close(until)
		if background {
			o.awaitAttempt(t, id, 6) // more than calls have for which somebody waits
			restore(t, o.toServer)
			if r := o.want(t, id, all...); r.Output[1].Output != "ok" || o.mcp.Count("tools/call") != called+1 {
				t.Errorf("%d calls, output %q", o.mcp.Count("tools/call")-called, r.Output[1].Output)
			}
			continue
		}
		r := (<-waits).must(t).decode(t)
		restore(t, o.toServer)
		if call := r.call(t); r.text() != "done" || call.Error == nil || !strings.Contains(*call.Error, "could not be reached") {
			t.Errorf("the client that waits got %q after the call %+v", r.text(), call)
		}
		if n := o.mcp.Count("tools/call"); n != called {
			t.Errorf("%d calls were made", n-called)
		}
	}

	// The server goes in the middle of a call that may be repeated.
	o.mcp.On("tools/list", mcptest.Result(readOnlyTool))
	o.mcp.On("tools/call", mcptest.InTurn(mcptest.Silent(), mcptest.Result(`{"content":[{"type":"text","text":"read"}]}`)))
	called := o.mcp.Count("tools/call")
	inCall := o.background(t, o.members())
	if err := o.mcp.Await(t.Context(), "tools/call", called+1); err != nil {
		t.Fatal(err)
	}
	o.toServer.Cut()
	o.awaitAttempt(t, inCall, 4)
	restore(t, o.toServer)
	if r := o.want(t, inCall, all...); r.Output[1].Output != "read" || o.mcp.Count("tools/call") != called+2 {
		t.Errorf("%d calls, output %q", o.mcp.Count("tools/call")-called, r.Output[1].Output)
	}
}
