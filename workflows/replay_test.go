package workflows

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const minHistories = 8

// TestReplay replays runs that earlier versions have made. To add one, see TestRecordHistories in internal/e2e.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, file := range histories(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
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

// TestReplayFindsChanges: a replay that passes proves something only if a changed workflow would not.
func TestReplayFindsChanges(t *testing.T) {
	t.Parallel()
	changes := map[string]func(workflow.Context, ResponseInput) (Outcome, error){
		"it waits first": func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
			if err := workflow.Sleep(ctx, time.Second); err != nil {
				return Outcome{}, err
			}
			return Response(ctx, in)
		},
		"it does not list the servers": func(ctx workflow.Context, in ResponseInput) (Outcome, error) {
			in.Servers = nil
			return Response(ctx, in)
		},
	}
	for name, changed := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range histories(t) {
				if err := replay(changed, file); err == nil {
					t.Errorf("%s: the change was not found", file)
				}
			}
		})
	}
}

func histories(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < minHistories {
		t.Fatalf("found %d histories, want at least %d", len(files), minHistories)
	}
	return files
}

func replay(run func(workflow.Context, ResponseInput) (Outcome, error), file string) error {
	r := worker.NewWorkflowReplayer()
	r.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: ResponseName})
	return r.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), file)
}
