package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"perdure/internal/batch"
)

const batchesDir = "../../workflows/testdata/batches"

// TestBatchGoesOn: the workflow of a batch goes on as new executions. Lines under way run on, are not run again, and are in their places.
func TestBatchGoesOn(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "batches:\n  concurrency: 4\n  history_events: 200\n")
	ctx := b.ctx(t)
	prompts := []string{"one", "wait", "three", "fail"}
	for n := len(prompts); n < 60; n++ {
		prompts = append(prompts, fmt.Sprint(n))
	}
	made := createBatch(ctx, t, b.url, b.upload(t, prompts...), "")
	batchUntil(ctx, t, b.url, made.ID, "in its third execution", func(o batchObject) bool {
		return len(b.executions(t, made.ID)) > 2 && o.Progress.Running > 0
	})
	close(b.gate)
	done := batchUntil(ctx, t, b.url, made.ID, "completed", ended)
	if c := done.RequestCounts; done.Status != "completed" || c.Completed != 59 || c.Failed != 1 {
		t.Errorf("it ends as %+v", done)
	}
	var want []string
	for n, p := range prompts {
		switch p {
		case "wait":
			want = append(want, fmt.Sprintf("c%d waited", n))
		case "fail":
		default:
			want = append(want, fmt.Sprintf("c%d answer to %s", n, p))
		}
	}
	if got := outcomes(t, batchLines(ctx, t, b.url, done.OutputFileID)); !slices.Equal(got, want) {
		t.Errorf("the output is %q\nwant %q", got, want)
	}
	if n := len(b.model.Requests()); n != 60 {
		t.Errorf("the model was asked %d times for 60 lines", n)
	}
	for i, e := range b.executions(t, made.ID) {
		info := e.GetWorkflowExecutionInfo()
		if n := info.GetHistoryLength(); n > 260 {
			t.Errorf("execution %d has %d events", i, n)
		}
		checkReplayOf(t, b.stack, made.ID, info.GetExecution().GetRunId())
		if *record {
			h, err := b.historyOf(ctx, made.ID, info.GetExecution().GetRunId())
			if err != nil {
				t.Fatal(err)
			}
			writeHistory(t, filepath.Join(batchesDir, fmt.Sprintf("continued_%d.json", i)), h, lineIDs(made.ID, 60)...)
		}
	}
}

// lineIDs are those of the responses of a batch's lines.
func lineIDs(batchID string, lines int) []string {
	var ids []string
	for n := 1; n <= lines; n++ {
		ids = append(ids, batch.ResponseID(batchID, n))
	}
	return ids
}
