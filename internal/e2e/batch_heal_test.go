package e2e

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"perdure/contract"
	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/store"
)

// TestBatchHeals: a batch whose starter died before it could begin it begins when somebody looks at it; one whose workflow was terminated
// has failed; and a line whose run is there already, as after a reset, does not run again.
func TestBatchHeals(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "")
	ctx := b.ctx(t)
	database, err := store.Open(ctx, store.Options{File: filepath.Join(b.dataDir(), "perdure.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, database.Close)
	left := batch.Batch{
		ID: batch.NewID("", "", ""), User: user, Key: user, Endpoint: batch.Endpoint, InputFile: b.upload(t, "one", "two"),
		OutputFile: file.NewID(), ErrorFile: file.NewID(), Window: time.Hour, OutputAge: time.Hour, Concurrency: 2, Status: batch.Validating,
	}
	left.Times.Created = time.Now().Add(-time.Minute)
	if err := database.AddBatch(ctx, identity.Operator(organization), left, 100); err != nil {
		t.Fatal(err)
	}
	healed := batchUntil(ctx, t, b.url, left.ID, "completed", ended)
	wantLines(t, "the output of what was left", batchLines(ctx, t, b.url, healed.OutputFileID), "c0 answer to one", "c1 answer to two")

	// One that was cancelled before it could begin says so of its lines, and one of which Temporal knows nothing any more has failed.
	early, lost := left, left
	for _, b := range []*batch.Batch{&early, &lost} {
		b.ID, b.OutputFile, b.ErrorFile = batch.NewID("", "", ""), file.NewID(), file.NewID()
		if err := database.AddBatch(ctx, identity.Operator(organization), *b, 100); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := database.CancelBatch(ctx, identity.Operator(organization), early.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := database.RunBatch(ctx, organization, lost.ID, 2); err != nil {
		t.Fatal(err)
	}
	cancelled := batchUntil(ctx, t, b.url, early.ID, "cancelled", ended)
	wantLines(t, "the error file", batchLines(ctx, t, b.url, cancelled.ErrorFileID), "c0 batch_cancelled", "c1 batch_cancelled")
	if c := cancelled.RequestCounts; cancelled.Status != "cancelled" || c.Total != 2 || c.Failed != 2 {
		t.Errorf("cancelled before it began, it is %+v", cancelled)
	}
	if o := batchUntil(ctx, t, b.url, lost.ID, "failed", ended); o.Status != "failed" {
		t.Errorf("without a workflow it is %+v", o)
	}

	// The batch of a key has an ID that is known before.
	in := b.upload(t, "three", "four", "five")
	id := batch.NewID(organization, user, "k")
	_, err = b.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: batch.ResponseID(id, 2), TaskQueue: b.queue}, contract.ResponseName,
		contract.ResponseInput{Request: contract.Request{
			Organization: organization, User: user, Line: &contract.Line{File: in, Number: 2}, Batch: id,
		}})
	if err != nil {
		t.Fatal(err)
	}
	before := len(b.model.Requests())
	made := readAs[batchObject](t, b.post(t, "/v1/batches",
		fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"}`, in), "Idempotency-Key", "k"))
	if made.ID != id {
		t.Errorf("the batch is %s, want %s", made.ID, id)
	}
	done := batchUntil(ctx, t, b.url, id, "completed", ended)
	wantLines(t, "the output", batchLines(ctx, t, b.url, done.OutputFileID), "c0 answer to three", "c1 answer to four", "c2 answer to five")
	if n := len(b.model.Requests()) - before; n > 3 {
		t.Errorf("the model was asked %d times for the three lines", n)
	}

	in = b.upload(t, "six", "wait")
	stopped := createBatch(ctx, t, b.url, in, "")
	batchUntil(ctx, t, b.url, stopped.ID, "at one line", func(b batchObject) bool { return b.RequestCounts.Completed == 1 })
	if err := b.temporal.TerminateWorkflow(ctx, stopped.ID, "", "by the test"); err != nil {
		t.Fatal(err)
	}
	over := batchUntil(ctx, t, b.url, stopped.ID, "failed", ended)
	if over.Status != "failed" || over.Errors == nil || !strings.Contains(over.Errors.Data[0].Code, "terminated") || over.RequestCounts.Completed != 1 {
		t.Errorf("after its workflow was terminated it is %+v", over)
	}
	wantLines(t, "its output", batchLines(ctx, t, b.url, over.OutputFileID), "c0 answer to six")
	if a, err := request(ctx, http.MethodDelete, b.url+"/v1/files/"+in, apiKey, ""); err != nil || a.status != http.StatusOK {
		t.Errorf("its input is deleted with %d: %s, %v", a.status, a.body, err)
	}
	close(b.gate)
}
