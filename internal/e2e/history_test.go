package e2e

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/payload"
	"perdure/internal/secret"
	"perdure/workflows"
)

// history returns everything that Temporal keeps of a run, or of its last execution.
func (s *stack) history(ctx context.Context, id string) (*historypb.History, error) {
	return s.historyOf(ctx, id, "")
}

// historyOf is the history of one execution of a run.
func (s *stack) historyOf(ctx context.Context, id, runID string) (*historypb.History, error) {
	h := &historypb.History{}
	events := s.temporal.GetWorkflowHistory(ctx, id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return nil, err
		}
		h.Events = append(h.Events, e)
	}
	return h, nil
}

// awaitCount waits until so many runs of the stack's task queue meet a condition. Visibility is written a moment after the fact.
func (s *stack) awaitCount(ctx context.Context, t *testing.T, want int64, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	query := "TaskQueue = '" + s.queue + "'"
	if condition != "" {
		query += " AND " + condition
	}
	for {
		counted, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: "default", Query: query})
		if err == nil && counted.GetCount() == want {
			return
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			t.Errorf("%s: %d runs, %v, want %d", query, counted.GetCount(), err, want)
			return
		}
	}
}

// payloads decodes what the stack's processes have encoded.
func (s *stack) payloads(t *testing.T) converter.DataConverter {
	t.Helper()
	sealer, err := secret.OpenKeysetFile(filepath.Join(s.dataDir(), "keyset.json"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return payload.NewDataConverter(payload.NewCodec(sealer, false))
}

// checkReplay replays a run that has ended: the workflow must decide the same once more.
func checkReplay(t *testing.T, s *stack, id string) {
	t.Helper()
	checkReplayOf(t, s, id, "")
}

// checkReplayOf replays one execution of a run.
func checkReplayOf(t *testing.T, s *stack, id, runID string) {
	t.Helper()
	h, err := s.historyOf(t.Context(), id, runID)
	if err != nil {
		t.Fatal(err)
	}
	r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DataConverter: s.payloads(t)})
	if err != nil {
		t.Fatal(err)
	}
	r.RegisterWorkflowWithOptions(workflows.Response, workflow.RegisterOptions{Name: workflows.ResponseName})
	r.RegisterWorkflowWithOptions(workflows.Batch, workflow.RegisterOptions{Name: workflows.BatchName})
	logger := tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	execution := worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: id}}
	if err := r.ReplayWorkflowHistoryWithOptions(logger, h, execution); err != nil {
		t.Errorf("replay of %s: %v", id, err)
	}
}
