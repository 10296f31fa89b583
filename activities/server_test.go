package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/temporaldev/temporaldevtest"
)

// The test environment of the SDK has no server that stores heartbeats, so what depends on them runs on a real one.

// step is one activity on a server, in a workflow of its own.
type step struct {
	client client.Client
	queue  string
	run    client.WorkflowRun
	worker worker.Worker
}

// patient is the policy of a step: it would be tried ten times, soon.
var patient = workflow.ActivityOptions{
	StartToCloseTimeout: 30 * time.Second,
	HeartbeatTimeout:    3 * time.Second,
	WaitForCancellation: true,
	RetryPolicy: &temporal.RetryPolicy{
		InitialInterval: 10 * time.Millisecond, MaximumInterval: 50 * time.Millisecond, MaximumAttempts: 10,
	},
}

const stepName = "step"

// patience is how long a test waits for what must come: longer than any stall of a busy machine, shorter than what would end a step anyway.
const patience = 20 * time.Second

// startStep starts a workflow that does one thing, and a worker for it.
func (f *fixture) startStep(do func(workflow.Context) workflow.Future) *step {
	f.t.Helper()
	return f.startStepWith(do, f.steps.MCPCall)
}

type mcpCall func(context.Context, activities.MCPCallInput) (activities.MCPCallResult, error)

// startStepWith is startStep with another mcp_call.
func (f *fixture) startStepWith(do func(workflow.Context) workflow.Future, call mcpCall) *step {
	f.t.Helper()
	return f.startStepOn(temporaldevtest.Address(f.t), do, call)
}

func (f *fixture) startStepOn(address string, do func(workflow.Context) workflow.Future, call mcpCall) *step {
	f.t.Helper()
	s := &step{queue: "activities-" + uuid.NewString()}
	var err error
	s.client, err = client.Dial(client.Options{
		HostPort: address, Logger: tlog.NewStructuredLogger(f.options.Logger),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(s.client.Close)
	s.work(f, do, call)
	s.run, err = s.client.ExecuteWorkflow(f.t.Context(), client.StartWorkflowOptions{
		ID: s.queue, TaskQueue: s.queue, WorkflowExecutionTimeout: time.Minute,
	}, stepName)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// work starts a worker whose mcp_call is the given function. It is stopped by the test or at its end.
func (s *step) work(f *fixture, do func(workflow.Context) workflow.Future, call mcpCall) {
	f.t.Helper()
	w := worker.New(s.client, s.queue, worker.Options{
		WorkerStopTimeout:           10 * time.Millisecond,
		DisableRegistrationAliasing: true,
	})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (any, error) {
		var out any
		err := do(workflow.WithActivityOptions(ctx, patient)).Get(ctx, &out)
		return out, err
	}, workflow.RegisterOptions{Name: stepName})
	w.RegisterActivityWithOptions(call, activity.RegisterOptions{Name: activities.MCPCallName})
	w.RegisterActivityWithOptions(f.steps.ModelTurn, activity.RegisterOptions{Name: activities.ModelTurnName})
	if err := w.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(w.Stop)
	s.worker = w
}

// pending waits until the step's one activity is as ok wants it.
func (s *step) pending(t *testing.T, what string, ok func(*workflowpb.PendingActivityInfo) bool) *workflowpb.PendingActivityInfo {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		d, err := s.client.DescribeWorkflowExecution(t.Context(), s.run.GetID(), s.run.GetRunID())
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			t.Fatalf("waiting for %s: the workflow is %s", what, d.GetWorkflowExecutionInfo().GetStatus())
		}
		if a := d.GetPendingActivities(); len(a) == 1 && ok(a[0]) {
			return a[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitCancelled waits until Temporal has a cancellation for the step, and reports whether the step has yet to hear of it.
func (s *step) awaitCancelled(t *testing.T) (pending bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		d, err := s.client.DescribeWorkflowExecution(t.Context(), s.run.GetID(), s.run.GetRunID())
		if err != nil {
			t.Fatal(err)
		}
		a := d.GetPendingActivities()
		if len(a) == 0 || a[0].GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED {
			return len(a) > 0
		}
	}
	t.Fatal("the step was not cancelled")
	return false
}

// onServer runs one activity to its end.
func onServer[Result any](f *fixture, do func(workflow.Context) workflow.Future) (Result, error) {
	f.t.Helper()
	var out Result
	err := f.startStep(do).run.Get(f.t.Context(), &out)
	return out, err
}
