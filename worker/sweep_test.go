package worker_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/worker"
	"perdure/workflows"
)

// value is what every owner of a test holds.
var value = []byte("a large value")

func (f *fixture) put(t *testing.T, s *blob.Store) {
	t.Helper()
	if _, err := s.Put(t.Context(), value); err != nil {
		t.Fatal(err)
	}
}

// holds asks as a process does that has just started.
func (f *fixture) holds(t *testing.T, of func(*blob.Stores) *blob.Store) bool {
	t.Helper()
	_, err := of(must(blob.Open(blob.Options{Dir: f.dir}))).Get(t.Context(), blob.RefOf(value))
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func valuesOf(id string) func(*blob.Stores) *blob.Store {
	return func(s *blob.Stores) *blob.Store { return s.For(id) }
}

func eventsOf(id string) func(*blob.Stores) *blob.Store {
	return func(s *blob.Stores) *blob.Store { return s.ForEvents(id) }
}

// idle starts a workflow that no worker will ever run.
func (f *fixture) idle(t *testing.T, c client.Client, id string) {
	t.Helper()
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: "nobody-" + f.options.TaskQueue, WorkflowExecutionTimeout: time.Minute,
	}, workflows.ResponseName, workflows.ResponseInput{})
	if err != nil {
		t.Fatal(err)
	}
}

// A sweep removes what belongs to nobody, and nothing of a workflow that Temporal has, whether it runs or has ended.
func TestSweep(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	f.steps.SweepLimits = activities.SweepLimits{Grace: time.Nanosecond, EventAge: time.Hour}
	f.options.SweepEvery = 1000 * time.Hour
	c := dial(t, temporaldevtest.Address(t), "")
	unique := uuid.NewString()
	running, closed, never := "resp_running_"+unique, "resp_closed_"+unique, "resp_never_"+unique
	strange := `never"started\` + unique
	f.idle(t, c, running)
	f.idle(t, c, closed)
	if err := c.TerminateWorkflow(t.Context(), closed, "", "for the test"); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{running, closed, never, strange} {
		f.put(t, f.blobs.For(owner))
	}
	f.put(t, f.blobs.ForEvents(never))
	f.run(t, c)
	f.sweep(t, c)
	for owner, want := range map[string]bool{running: true, closed: true, never: false, strange: false} {
		if got := f.holds(t, valuesOf(owner)); got != want {
			t.Errorf("%s: the value is there: %v, want %v", owner, got, want)
		}
	}
	if !f.holds(t, eventsOf(never)) {
		t.Error("an event was removed that the log still has")
	}

	f.steps.SweepLimits.EventAge = time.Nanosecond
	f.sweep(t, c)
	if f.holds(t, eventsOf(never)) {
		t.Error("an old event is still there")
	}
}

// A sweep lets go of the files of schedules that Temporal does not have any more, and of no others.
func TestSweepReleasesFiles(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	f.steps.SweepLimits = activities.SweepLimits{Grace: time.Hour, EventAge: time.Hour}
	f.options.SweepEvery = 1000 * time.Hour
	c := dial(t, temporaldevtest.Address(t), "")
	ctx := t.Context()
	database := must(store.Open(ctx, store.Options{File: filepath.Join(t.TempDir(), "perdure.db"), Sealer: f.steps.Sealer, Logger: f.options.Logger}))
	t.Cleanup(func() { database.Close() })
	must(database.Migrate(ctx))
	must(database.Bootstrap(ctx, "acme", "ann"))
	f.steps.Files = file.New(file.Options{Store: database, Blobs: f.blobs, Sealer: f.steps.Sealer, Logger: f.options.Logger})

	there, gone := activities.SchedulePrefix+uuid.NewString(), activities.SchedulePrefix+uuid.NewString()
	schedule := must(c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: there, Paused: true, Action: &client.ScheduleWorkflowAction{ID: there, Workflow: "nothing", TaskQueue: f.options.TaskQueue},
	}))
	t.Cleanup(func() {
		if err := schedule.Delete(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	for _, holder := range []string{there, gone, "batch_" + uuid.NewString()} {
		made := must(database.CreateFile(ctx, identity.Operator("acme"), store.File{
			ID: file.NewID(), Purpose: file.PurposeBatch, Created: time.Now(), Expires: time.Now().Add(time.Hour),
		}, nil))
		if err := f.steps.Files.Hold(ctx, "acme", made.ID, holder); err != nil {
			t.Fatal(err)
		}
	}
	f.run(t, c)
	f.sweep(t, c)
	if holders, err := f.steps.Files.Holders(ctx, ""); err != nil || len(holders) != 2 || slices.Contains(holders, gone) {
		t.Errorf("files are held by %q, %v, want by all but %s", holders, err, gone)
	}
}

// sweep has the schedule, which the worker makes, start a sweep, and waits for its end.
func (f *fixture) sweep(t *testing.T, c client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	handle := c.ScheduleClient().GetHandle(ctx, worker.SweepScheduleID(f.options.TaskQueue))
	before := -1
	for {
		d, err := handle.Describe(ctx)
		var missing *serviceerror.NotFound
		switch {
		case errors.As(err, &missing):
		case err != nil:
			t.Fatal(err)
		case before < 0:
			before = d.Info.NumActions
			if err := handle.Trigger(ctx, client.ScheduleTriggerOptions{}); err != nil {
				t.Fatal(err)
			}
		case d.Info.NumActions > before && len(d.Info.RunningWorkflows) == 0:
			last := d.Info.RecentActions[len(d.Info.RecentActions)-1].StartWorkflowResult
			var done activities.SweepResult
			if err := c.GetWorkflow(ctx, last.WorkflowID, "").Get(ctx, &done); err != nil || done.Shards != blob.Shards {
				t.Fatalf("the sweep did %+v, %v", done, err)
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("no sweep came to its end")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The interval is that of the configuration, and what an operator did to the schedule stays.
func TestSweepScheduleFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	handle := c.ScheduleClient().GetHandle(ctx, worker.SweepScheduleID(f.options.TaskQueue))
	for _, every := range []time.Duration{1000 * time.Hour, 1000 * time.Hour, 500 * time.Hour} {
		f.options.SweepEvery = every
		stop, ended := f.run(t, c)
		for {
			d, err := handle.Describe(ctx)
			if err == nil && d.Schedule.Spec.Intervals[0].Every == every {
				break
			}
			var missing *serviceerror.NotFound
			if err != nil && !errors.As(err, &missing) {
				t.Fatal(err)
			}
			<-time.After(20 * time.Millisecond)
		}
		if err := handle.Pause(ctx, client.SchedulePauseOptions{Note: "by hand"}); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	d, err := handle.Describe(ctx)
	if err != nil || !d.Schedule.State.Paused || d.Schedule.State.Note != "by hand" {
		t.Errorf("state %+v, %v", d.Schedule.State, err)
	}
}

// A deletion removes every run of the workflow, also those from which it continued and those that were reset, and then its values and its
// events, and nothing else.
func TestDeletionRemovesValues(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	id := responses.ResponsePrefix + f.options.TaskQueue
	queue := "chain-" + f.options.TaskQueue
	w := sdkworker.New(c, queue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, left int) error {
		if left == 0 {
			return nil
		}
		return workflow.NewContinueAsNewError(ctx, "chain", left-1)
	}, workflow.RegisterOptions{Name: "chain"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: queue}, "chain", 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	// An operator's reset makes a run that does not lead back to the one it was made of.
	for range 2 {
		_, err := c.WorkflowService().ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
			Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id}, WorkflowTaskFinishEventId: 4,
			RequestId: uuid.NewString(), Reason: "a test",
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for runs(t, c, id) < 5 { // visibility is a moment behind
		<-time.After(20 * time.Millisecond)
	}
	for _, s := range []*blob.Store{f.blobs.For(id), f.blobs.ForEvents(id), f.blobs.For(id + "0")} {
		f.put(t, s)
	}
	f.run(t, c)
	deletion, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: workflows.DeletionID(id), TaskQueue: f.options.TaskQueue, WorkflowExecutionTimeout: 3 * time.Minute, // attempts begin after 75 s and 135 s
	}, workflows.DeletionName, activities.DeleteInput{WorkflowID: id})
	if err != nil {
		t.Fatal(err)
	}
	if err := deletion.Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) { // Temporal removes those before the current one in its own time
		n := runs(t, c, id)
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d runs are left", n)
		}
	}
	if f.holds(t, valuesOf(id)) || f.holds(t, eventsOf(id)) {
		t.Error("values of what was deleted are left")
	}
	if !f.holds(t, valuesOf(id+"0")) {
		t.Error("a value of another workflow is gone")
	}
}

func runs(t *testing.T, c client.Client, id string) int {
	t.Helper()
	page, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: `WorkflowId = "` + id + `"`})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.GetExecutions())
}

// A worker without limits says so and is not asked again.
func TestSweepWithoutLimits(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "sweep-" + uuid.NewString(), TaskQueue: f.options.TaskQueue},
		workflows.SweepName)
	if err != nil {
		t.Fatal(err)
	}
	var app *temporal.ApplicationError
	if err := run.Get(t.Context(), nil); !errors.As(err, &app) || app.Type() != activities.ErrTypeBroken {
		t.Errorf("the sweep ended with %v", err)
	}
}

// A worker whose stores belong to another cluster does not start: the other's sweeps would remove the values of its runs.
func TestForeignStores(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	f.options.Namespace = client.DefaultNamespace
	c := dial(t, temporaldevtest.Address(t), "")
	stop, ended := f.run(t, c)
	awaitLog(t, f.log, "worker started")
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	other := must(blob.Open(blob.Options{Dir: f.dir}))
	if err := other.Claim(t.Context(), "another-cluster"); !errors.Is(err, blob.ErrForeign) {
		t.Errorf("another cluster's claim: %v", err)
	}

	g := setup(t, "http://127.0.0.1:1/v1")
	g.options.Namespace = client.DefaultNamespace
	if err := g.blobs.Claim(t.Context(), "another-cluster"); err != nil {
		t.Fatal(err)
	}
	_, ended = g.run(t, c)
	if err := <-ended; !errors.Is(err, activities.ErrForeignStores) {
		t.Errorf("the worker ended with %v", err)
	}
}
