package worker_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// with makes a server the run's.
func (f *fixture) with(t *testing.T, server *mcptest.Hostile) func(*workflows.ResponseInput) {
	t.Helper()
	return func(in *workflows.ResponseInput) {
		tool := &responses.MCPTool{ServerLabel: "s", ServerURL: server.URL()}
		in.Servers = append(in.Servers, must(activities.SealServer(t.Context(), f.blobs.For(in.ResponseID), f.sealer, in.ResponseID, tool)))
	}
}

// calls are the MCP calls of an outcome, each as its output or its error.
func (f *fixture) calls(t *testing.T, id string, out workflows.Outcome) []string {
	t.Helper()
	var texts []string
	for _, item := range must(transcript.Load(t.Context(), f.blobs.For(id), out.Conversation, out.OutputFrom)) {
		if call, ok := item.(*responses.MCPCall); ok && call.Error != nil {
			texts = append(texts, *call.Error)
		} else if ok {
			texts = append(texts, call.Output)
		}
	}
	return texts
}

func (f *fixture) wantCalls(t *testing.T, id string, out workflows.Outcome, want ...string) {
	t.Helper()
	got := f.calls(t, id, out)
	same := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		same = same && strings.Contains(got[i], want[i])
	}
	if !same {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// checkReplay replays the last execution of a run.
func checkReplay(t *testing.T, c client.Client, id string) {
	t.Helper()
	history := &historypb.History{}
	for events := c.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		history.Events = append(history.Events, e)
	}
	r := sdkworker.NewWorkflowReplayer()
	r.RegisterWorkflowWithOptions(workflows.Response, workflow.RegisterOptions{Name: workflows.ResponseName})
	if err := r.ReplayWorkflowHistory(tlog.NewStructuredLogger(slog.New(slog.DiscardHandler)), history); err != nil {
		t.Error(err)
	}
}

func callT() modeltest.Call { return modeltest.Call{Name: "s__t", Arguments: "{}"} }

const answered = `{"content":[{"type":"text","text":"done"}]}`

// TestCancelledRunKeepsItsCalls: whoever goes on from there must not make a call again without knowing that it may have been made.
func TestCancelledRunKeepsItsCalls(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Calls(callT(), callT(), callT())))
	server := closed(t, mcptest.NewHostile())
	server.On("tools/call", mcptest.InTurn(mcptest.Result(answered), mcptest.Silent()))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	run := f.start(t, c, f.with(t, server), func(in *workflows.ResponseInput) { in.SequentialCalls = true })
	if err := server.Await(t.Context(), "tools/call", 2); err != nil {
		t.Fatal(err)
	}
	if err := c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	var cancelled *temporal.CanceledError
	var out workflows.Outcome
	if err := run.Get(t.Context(), nil); !errors.As(err, &cancelled) || cancelled.Details(&out) != nil {
		t.Fatalf("error %v, want a cancellation", err)
	}
	f.wantCalls(t, run.GetID(), out, "done", "the outcome of this call is unknown", "not called: the run was ended")
	if n := server.Count("tools/call"); n != 2 {
		t.Errorf("%d calls were sent, want 2", n)
	}
}

// TestRunOutOfTimeKeepsItsOutput: a run ends itself before Temporal would, which could not say what there is of output.
func TestRunOutOfTimeKeepsItsOutput(t *testing.T) {
	t.Parallel()
	calls := modeltest.Calls(callT())
	// A tenth of it is left for the end of the run, which a busy machine may need. All runs wait for that at the same time.
	const limit = 45 * time.Second
	checks := map[string]func(*testing.T){}
	for name, test := range map[string]struct {
		model   []modeltest.Reply
		second  mcptest.Answer
		history int // events until the run goes on as new
		want    []string
	}{
		"in a turn":            {[]modeltest.Reply{calls, modeltest.Text("never").Hold(nil)}, nil, 0, []string{"done"}},
		"in a later execution": {[]modeltest.Reply{calls, modeltest.Text("never").Hold(nil)}, nil, 1, []string{"done"}},
		"in a call":            {[]modeltest.Reply{calls, calls}, mcptest.Silent(), 0, []string{"done", "the outcome of this call is unknown"}},
	} {
		m := closed(t, modeltest.New(test.model...))
		server := closed(t, mcptest.NewHostile())
		server.On("tools/call", mcptest.InTurn(mcptest.Result(answered), test.second))
		f := setup(t, m.URL())
		c := dial(t, temporaldevtest.Address(t), "")
		f.run(t, c)
		run := f.startFor(t, c, limit, f.with(t, server), func(in *workflows.ResponseInput) {
			in.Limits.HistoryEvents, in.Limits.HistoryBytes = test.history, 1<<20
		})
		checks[name] = func(t *testing.T) {
			var app *temporal.ApplicationError
			var out workflows.Outcome
			if err := run.Get(t.Context(), nil); !errors.As(err, &app) || app.Type() != workflows.ErrTypeFailed || app.Details(&out) != nil {
				t.Fatalf("error %v, want a run that has failed", err)
			}
			if out.Status != responses.ResponseFailed || out.Error.Type != responses.ErrGatewayTimeout {
				t.Errorf("it is %s with %+v", out.Status, out.Error)
			}
			f.wantCalls(t, run.GetID(), out, test.want...)
			checkReplay(t, c, run.GetID())
		}
	}
	for name, check := range checks {
		t.Run(name, check)
	}
}
