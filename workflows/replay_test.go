package workflows

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/responses"
)

// How many runs there are at least, and how many executions that go on with one.
const (
	minHistories = 11
	minCarried   = 2
)

// TestReplay replays runs that earlier versions have made. To add one, see TestRecordHistories in internal/e2e.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, file := range slices.Concat(histories(t), carried(t)) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if err := replay(Response, file); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReplayOfConversations(t *testing.T) {
	t.Parallel()
	r := worker.NewWorkflowReplayer()
	r.RegisterWorkflowWithOptions(Conversation, workflow.RegisterOptions{Name: ConversationName})
	err := r.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), "testdata/conversations/two_runs.json")
	if err != nil {
		t.Error(err)
	}
}

// TestReplayOfRequests replays runs that began with a request, and shows that it would find a change of how they begin.
func TestReplayOfRequests(t *testing.T) {
	t.Parallel()
	for _, file := range recorded(t, "requested", 2) {
		if err := replay(Response, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		err := replay(func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
			if err := workflow.UpsertTypedSearchAttributes(ctx, Status.ValueSet(responses.ResponseQueued)); err != nil {
				return Outcome{}, err
			}
			return Response(ctx, in)
		}, file)
		if err == nil {
			t.Errorf("%s: a change was not found", file)
		}
	}
}

// TestReplayOfSchedules replays runs of schedules. Their children's IDs derive from theirs, which are not recorded.
func TestReplayOfSchedules(t *testing.T) {
	t.Parallel()
	run := workflow.Execution{ID: "scheduled/sched_1-2026-11-26T18:00:00Z", RunID: "a-run"}
	childID := regexp.MustCompile(`resp_[0-9a-f-]{36}`)
	runID := regexp.MustCompile(`"originalExecutionRunId": "([^"]+)"`)
	for _, file := range recorded(t, "scheduled", 1) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = childID.ReplaceAll(text, []byte(ScheduledResponseID(run.ID, string(runID.FindSubmatch(text)[1]))))
		for _, changed := range []bool{false, true} {
			r := worker.NewWorkflowReplayer()
			r.RegisterWorkflowWithOptions(func(ctx workflow.Context, in ScheduledInput) (ScheduledResult, error) {
				if changed {
					in.Request, in.Batch = nil, &contract.BatchRequest{}
				}
				return Scheduled(ctx, in)
			}, workflow.RegisterOptions{Name: ScheduledName})
			history, err := client.HistoryFromJSON(bytes.NewReader(text), client.HistoryJSONOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = r.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history,
				worker.ReplayWorkflowHistoryOptions{OriginalExecution: run})
			if (err != nil) != changed {
				t.Errorf("%s, changed %v: %v", file, changed, err)
			}
		}
	}
}

// minBatches is how many histories of batches there are at least.
const minBatches = 3

// To add one, see TestBatchGoesOn in internal/e2e, with -record.
func TestReplayOfBatches(t *testing.T) {
	t.Parallel()
	for _, file := range recorded(t, "batches", minBatches) {
		if err := replayBatch(Batch, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for name, change := range map[string]func(workflow.Context, BatchInput) (BatchResult, error){
			"it waits first": func(ctx workflow.Context, in BatchInput) (BatchResult, error) {
				if err := workflow.Sleep(ctx, time.Second); err != nil {
					return BatchResult{}, err
				}
				return Batch(ctx, in)
			},
			"it runs one line at a time": func(ctx workflow.Context, in BatchInput) (BatchResult, error) {
				in.Concurrency = 1
				return Batch(ctx, in)
			},
		} {
			if err := replayBatch(change, file); err == nil {
				t.Errorf("%s: a change was not found: %s", file, name)
			}
		}
	}
}

// TestReplayOfRequestedBatches replays batches that began with a request, and shows that it would find a change of how they begin.
func TestReplayOfRequestedBatches(t *testing.T) {
	t.Parallel()
	for _, file := range recorded(t, "requested_batches", 2) {
		if err := replayBatch(Batch, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		err := replayBatch(func(ctx workflow.Context, in BatchInput) (BatchResult, error) {
			in.Request = nil
			return Batch(ctx, in)
		}, file)
		if err == nil {
			t.Errorf("%s: a change was not found", file)
		}
	}
}

func replayBatch(run func(workflow.Context, BatchInput) (BatchResult, error), file string) error {
	r := worker.NewWorkflowReplayer()
	r.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: BatchName})
	return r.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), file)
}

// TestReplayFindsChanges: a replay that passes proves something only if a changed workflow would not.
func TestReplayFindsChanges(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		files []string // that show it
		run   func(workflow.Context, ResponseInput) (Outcome, error)
	}{
		"it waits first": {slices.Concat(histories(t), carried(t)), func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
			if err := workflow.Sleep(ctx, time.Second); err != nil {
				return Outcome{}, err
			}
			return Response(ctx, in)
		}},
		"it does not list the servers": {histories(t), func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
			in.Servers = nil
			return Response(ctx, in)
		}},
		"it begins again": {carried(t), func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
			in.Carried = nil
			return Response(ctx, in)
		}},
		"it does not go on as a new execution": {
			[]string{"testdata/histories/continued.json", "testdata/carried/continued.json"},
			func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
				in.Limits.HistoryEvents = 0
				return Response(ctx, in)
			},
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range change.files {
				if err := replay(change.run, file); err == nil {
					t.Errorf("%s: the change was not found", file)
				}
			}
		})
	}
}

// histories are those of runs as they begin.
func histories(t *testing.T) []string {
	t.Helper()
	return recorded(t, "histories", minHistories)
}

// carried are the histories of executions that go on with a run.
func carried(t *testing.T) []string {
	t.Helper()
	return recorded(t, "carried", minCarried)
}

func recorded(t *testing.T, dir string, least int) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/" + dir + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < least {
		t.Fatalf("found %d %s, want at least %d", len(files), dir, least)
	}
	return files
}

func replay(run func(workflow.Context, ResponseInput) (Outcome, error), file string) error {
	r := worker.NewWorkflowReplayer()
	r.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: ResponseName})
	return r.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), file)
}
