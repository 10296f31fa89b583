package activities_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

// callOnServer is a workflow that makes one call of a tool that must not be repeated.
func callOnServer(in activities.MCPCallInput) func(workflow.Context) workflow.Future {
	return func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(ctx, activities.MCPCallName, in)
	}
}

func TestCallThatMayHaveRunIsNotRepeated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer mcptest.Answer
		fault  string
	}{
		{"connection lost before the answer", mcptest.Cut("", ""), "; " + unknownOutcome},
		{"answer cut off", mcptest.Cut("application/json", `{"jsonrpc":"2.0",`), "; " + unknownOutcome},
		{"stream that ends early", mcptest.Events(), "; " + unknownOutcome},
		{"silent", mcptest.Silent(), "timed out while waiting for the answer (timeout); " + unknownOutcome},
		{"failed while it ran", mcptest.Status(http.StatusInternalServerError), "HTTP 500 Internal Server Error (status); " + unknownOutcome},
		{"gateway without its server", mcptest.Status(http.StatusBadGateway), "; " + unknownOutcome},
		{"router that waits no longer", mcptest.Status(http.StatusServiceUnavailable), "HTTP 503 Service Unavailable (status); " + unknownOutcome},
		{"proxy that lost its server", mcptest.Status(http.StatusServiceUnavailable, "Server", "envoy", "Retry-After", "0"), "; " + unknownOutcome},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere, func(o *activities.Options) {
				if tt.name == "silent" { // the others answer, however long that takes
					o.MCP = newMCP(t, mcpclient.Options{CallTimeout: 2 * time.Second})
				}
			})
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", tt.answer)
			call := callOnServer(f.callInput(f.server("s", server.URL()), false))
			got, err := onServer[activities.MCPCallResult](f, func(ctx workflow.Context) workflow.Future {
				return call(workflow.WithHeartbeatTimeout(ctx, time.Minute)) // it does not beat while it waits
			})
			if err != nil {
				t.Fatal(err)
			}
			if item := f.item(got); item.Error == nil || !strings.Contains(*item.Error, tt.fault) {
				t.Errorf("error %v, want %q in it", item.Error, tt.fault)
			}
			if n := server.Count("tools/call"); n != 1 {
				t.Errorf("%d calls were sent", n)
			}
		})
	}
}

func TestCallThatNeverRanIsTriedAgain(t *testing.T) {
	t.Parallel()
	ok := mcptest.Result(`{"content":[{"type":"text","text":"done"}]}`)
	refused := func(status int) mcptest.Answer { return mcptest.Status(status) }
	unavailable := mcptest.Status(http.StatusServiceUnavailable, "Retry-After", "0")
	tests := []struct {
		name   string
		method string
		answer mcptest.Answer
		sent   int
	}{
		{"rate limited", "tools/call", mcptest.InTurn(refused(429), refused(429), ok), 3},
		{"unavailable for now", "tools/call", mcptest.InTurn(unavailable, ok), 2},
		{"the session could not be opened", "initialize", mcptest.InTurn(refused(503), mcptest.Result(
			`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"h","version":"1"}}`)), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Beats between the record and its withdrawal must not bring the record back.
			f := setup(t, nowhere, beatsOften)
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", ok)
			server.On(tt.method, tt.answer)
			got, err := onServer[activities.MCPCallResult](f, callOnServer(f.callInput(f.server("s", server.URL()), false)))
			if err != nil {
				t.Fatal(err)
			}
			if item := f.item(got); item.Output != "done" {
				t.Errorf("output %q, error %v", item.Output, item.Error)
			}
			if n := server.Count("tools/call"); n != tt.sent {
				t.Errorf("%d calls were sent, want %d", n, tt.sent)
			}
		})
	}
}

func TestRefusedCallEndsWithItsAttempts(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/call", mcptest.Status(http.StatusServiceUnavailable, "Retry-After", "0"))
	in := f.callInput(f.server("s", server.URL()), false)
	in.Attempts = 3
	got, err := onServer[activities.MCPCallResult](f, callOnServer(in))
	if err != nil {
		t.Fatal(err)
	}
	item := f.item(got)
	if !strings.Contains(*item.Error, "HTTP 503") || strings.Contains(*item.Error, unknownOutcome) {
		t.Errorf("error %q", *item.Error)
	}
	if n := server.Count("tools/call"); n != 3 {
		t.Errorf("%d calls were sent, want 3", n)
	}
}

// The worker made the call and could not report it.
func TestSecondAttemptFindsTheRecord(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	in := f.callInput(f.server("s", server.URL()), false)
	attempts := 0
	losesTheFirst := func(ctx context.Context, in activities.MCPCallInput) (activities.MCPCallResult, error) {
		out, err := f.steps.MCPCall(ctx, in)
		if attempts++; activity.GetInfo(ctx).Attempt == 1 {
			return out, errors.New("the result is lost")
		}
		return out, err
	}
	s := f.startStepWith(callOnServer(in), losesTheFirst)
	var got activities.MCPCallResult
	if err := s.run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if item := f.item(got); item.Error == nil || !strings.HasPrefix(*item.Error, unknownOutcome) {
		t.Errorf("error %v", item.Error)
	}
	if n := server.Count("tools/call"); n != 1 || attempts != 2 {
		t.Errorf("%d calls were sent in %d attempts", n, attempts)
	}
}

// The worker is stopped in the middle of the call, and another one takes over.
func TestCallOfAStoppedWorkerIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/call", mcptest.Silent())
	do := callOnServer(f.callInput(f.server("s", server.URL()), false))
	s := f.startStep(do)
	if err := server.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	s.worker.Stop()
	s.work(f, do, f.steps.MCPCall)
	var got activities.MCPCallResult
	if err := s.run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if item := f.item(got); item.Error == nil || !strings.HasPrefix(*item.Error, unknownOutcome) {
		t.Errorf("error %v", item.Error)
	}
	if n := server.Count("tools/call"); n != 1 {
		t.Errorf("%d calls were sent", n)
	}
}

// A call that waited for its server when the worker stopped was never sent, so the next worker sends it.
func TestUnsentCallOfAStoppedWorkerIsSent(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("initialize", mcptest.InTurn(mcptest.Silent(), mcptest.Result(
		`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"h","version":"1"}}`)))
	do := callOnServer(f.callInput(f.server("s", server.URL()), false))
	s := f.startStep(do)
	if err := server.Await(t.Context(), "initialize", 1); err != nil {
		t.Fatal(err)
	}
	s.worker.Stop()
	// The session that never opened is the first worker's.
	other := setup(t, nowhere, func(o *activities.Options) { o.Blobs, o.Sealer = f.options.Blobs, f.sealer })
	s.work(f, do, other.steps.MCPCall)
	var got activities.MCPCallResult
	if err := s.run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if item := f.item(got); item.Output != "ok" {
		t.Errorf("output %q, error %v", item.Output, item.Error)
	}
	if n := server.Count("tools/call"); n != 1 {
		t.Errorf("%d calls were sent", n)
	}
}

// A run that is cancelled before its call leaves sends nothing, even if the step has not heard of it yet.
func TestCancelledRunSendsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	arrived, release := make(chan struct{}), make(chan struct{})
	ok := mcptest.Result(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"h","version":"1"}}`)
	server.On("initialize", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		close(arrived)
		<-release
		ok(w, r, m)
	})
	s := f.startStep(callOnServer(f.callInput(f.server("s", server.URL()), false)))
	<-arrived
	if err := s.client.CancelWorkflow(t.Context(), s.run.GetID(), s.run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	s.pending(t, "the cancellation", func(a *workflowpb.PendingActivityInfo) bool {
		return a.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
	})
	close(release)
	err := s.run.Get(t.Context(), nil)
	var cancelled *temporal.CanceledError
	var app *temporal.ApplicationError
	if !errors.As(err, &cancelled) && !errors.As(err, &app) {
		t.Errorf("error %v, want the end of the step", err)
	}
	if n := server.Count("tools/call"); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}
