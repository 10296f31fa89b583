package e2e

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perdure/internal/modeltest"
)

// batchStack is a stack with a model that answers what it is told: "fail" makes it refuse for good, "wait" waits for the gate.
type batchStack struct {
	*killStack
	gate chan struct{}
}

func newBatchStack(t *testing.T, settings string) *batchStack {
	t.Helper()
	b := &batchStack{gate: make(chan struct{})}
	b.killStack = newKillStack(t, settings, func(r modeltest.Request) modeltest.Reply {
		switch text := r.Messages[0].Content; {
		case strings.HasPrefix(text, "fail"):
			return modeltest.Status(http.StatusBadRequest, nil, `{"error":{"message":"no","type":"invalid_request_error"}}`)
		case strings.HasPrefix(text, "wait"):
			return modeltest.Text("waited").Hold(b.gate)
		default:
			return modeltest.Text("answer to " + text)
		}
	})
	return b
}

// ctx bounds what is waited for.
func (b *batchStack) ctx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// uploads a file with one line for each prompt.
func (b *batchStack) upload(t *testing.T, prompts ...string) string {
	t.Helper()
	var lines []string
	for i, p := range prompts {
		lines = append(lines, batchRequest(fmt.Sprint("c", i), fmt.Sprintf(`{"model":"openai/gpt-5.5","input":%q}`, p)))
	}
	return upload(t.Context(), t, b.url, strings.Join(lines, "\n"))
}

func (b *batchStack) post(t *testing.T, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := do(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// outcome of each line, by its custom ID.
func outcomes(t *testing.T, lines []batchLine) []string {
	t.Helper()
	var out []string
	for _, l := range lines {
		switch {
		case l.Error != nil:
			out = append(out, l.CustomID+" "+l.Error.Code)
		case l.Response.StatusCode == http.StatusOK:
			out = append(out, l.CustomID+" "+l.answer(t).text())
		default:
			out = append(out, fmt.Sprintf("%s %d", l.CustomID, l.Response.StatusCode))
		}
	}
	return out
}

func wantLines(t *testing.T, what string, lines []batchLine, want ...string) {
	t.Helper()
	if got := outcomes(t, lines); !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", what, got, want)
	}
}

// TestBatchLife: what is done can be read while the rest runs; a batch that was paused begins nothing; what failed can be retried alone.
func TestBatchLife(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "batches:\n  concurrency: 2\n")
	ctx := b.ctx(t)
	in := b.upload(t, "one", "fail", "wait", "wait", "five", "fail")
	made := createBatch(ctx, t, b.url, in, `,"metadata":{"of":"alice"}`)
	if made.OutputFileID == "" || made.ErrorFileID == "" || made.InputFileID != in || made.Endpoint != "/v1/responses" {
		t.Errorf("the batch begins as %+v", made)
	}
	two := batchUntil(ctx, t, b.url, made.ID, "at two lines", func(b batchObject) bool {
		return b.RequestCounts.Completed+b.RequestCounts.Failed == 2 && b.Progress.Running == 2
	})
	if two.Status != "in_progress" || two.RequestCounts.Total != 6 {
		t.Errorf("while two lines wait it is %+v", two)
	}
	wantLines(t, "the output so far", batchLines(ctx, t, b.url, made.OutputFileID), "c0 answer to one")
	wantLines(t, "the error file so far", batchLines(ctx, t, b.url, made.ErrorFileID), "c1 502")
	for _, id := range []string{in, made.OutputFileID} {
		if a, err := request(ctx, http.MethodDelete, b.url+"/v1/files/"+id, apiKey, ""); err != nil || a.status != http.StatusConflict {
			t.Errorf("a file of a batch that runs is deleted with %d: %s, %v", a.status, a.body, err)
		}
	}

	if paused := readAs[batchObject](t, b.post(t, "/v1/batches/"+made.ID+"/pause", "")); !paused.Paused || paused.Status != "in_progress" {
		t.Errorf("paused it is %+v", paused)
	}
	close(b.gate)
	paused := batchUntil(ctx, t, b.url, made.ID, "paused", func(b batchObject) bool {
		return b.RequestCounts.Completed == 3 && b.Progress.Begun > 0 // there is no progress while the workflow is slow to answer
	})
	if paused.Progress.Running != 0 || paused.Progress.Begun != 4 {
		t.Errorf("paused it goes on: %+v", paused)
	}
	if on := readAs[batchObject](t, b.post(t, "/v1/batches/"+made.ID+"/resume", "")); on.Paused {
		t.Errorf("it stays paused: %+v", on)
	}
	done := batchUntil(ctx, t, b.url, made.ID, "completed", ended)
	if c := done.RequestCounts; done.Status != "completed" || c.Completed != 4 || c.Failed != 2 {
		t.Errorf("it ends as %+v", done)
	}
	wantLines(t, "the output", batchLines(ctx, t, b.url, done.OutputFileID), "c0 answer to one", "c2 waited", "c3 waited", "c4 answer to five")
	wantLines(t, "the error file", batchLines(ctx, t, b.url, done.ErrorFileID), "c1 502", "c5 502")
	for _, action := range []string{"cancel", "pause", "resume"} {
		if a := b.post(t, "/v1/batches/"+made.ID+"/"+action, ""); a.status != http.StatusConflict {
			t.Errorf("%s of a batch that has ended: %d with %s", action, a.status, a.body)
		}
	}

	retry := readAs[batchObject](t, b.post(t, "/v1/batches/"+made.ID+"/retry", "", "Idempotency-Key", "again"))
	if again := readAs[batchObject](t, b.post(t, "/v1/batches/"+made.ID+"/retry", "", "Idempotency-Key", "again")); again.ID != retry.ID {
		t.Errorf("the same retry is %s and %s", retry.ID, again.ID)
	}
	ofRetry := batchUntil(ctx, t, b.url, retry.ID, "completed", ended)
	if c := ofRetry.RequestCounts; ofRetry.RetryOf != made.ID || c.Total != 2 || c.Failed != 2 || ofRetry.OutputFileID != "" {
		t.Errorf("the retry is %+v", ofRetry)
	}
	wantLines(t, "the error file of the retry", batchLines(ctx, t, b.url, ofRetry.ErrorFileID), "c1 502", "c5 502")
	checkReplay(t, b.stack, made.ID)
	if *record {
		b.recordHistory(t, made.ID, filepath.Join(batchesDir, "paused.json"), lineIDs(made.ID, 6)...)
	}

	// What was written stays when the responses are gone, and files can be deleted once nothing needs them.
	line := batchLines(ctx, t, b.url, done.OutputFileID)[0].answer(t)
	if a, err := request(ctx, http.MethodDelete, b.url+"/v1/responses/"+line.ID, apiKey, ""); err != nil || a.status != http.StatusOK {
		t.Errorf("the response of a line is deleted with %d, %v", a.status, err)
	}
	wantLines(t, "the output", batchLines(ctx, t, b.url, done.OutputFileID)[:1], "c0 answer to one")
	if a, err := request(ctx, http.MethodDelete, b.url+"/v1/files/"+in, apiKey, ""); err != nil || a.status != http.StatusOK {
		t.Errorf("the input is deleted with %d: %s, %v", a.status, a.body, err)
	}
}

// A batch that is cancelled keeps what is done, stops what runs, and says of each other line that it was cancelled.
func TestBatchCancelled(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "batches:\n  concurrency: 2\n")
	ctx := b.ctx(t)
	made := createBatch(ctx, t, b.url, b.upload(t, "one", "two", "wait", "wait", "five", "six"), "")
	batchUntil(ctx, t, b.url, made.ID, "at two lines", func(b batchObject) bool {
		return b.RequestCounts.Completed == 2 && b.Progress.Running == 2
	})
	if c := readAs[batchObject](t, b.post(t, "/v1/batches/"+made.ID+"/cancel", "")); c.Status != "cancelling" && c.Status != "cancelled" {
		t.Errorf("cancelled it is %+v", c)
	}
	done := batchUntil(ctx, t, b.url, made.ID, "cancelled", ended)
	if c := done.RequestCounts; done.Status != "cancelled" || c.Completed != 2 || c.Failed != 4 {
		t.Errorf("it ends as %+v", done)
	}
	wantLines(t, "the output", batchLines(ctx, t, b.url, done.OutputFileID), "c0 answer to one", "c1 answer to two")
	wantLines(t, "the error file", batchLines(ctx, t, b.url, done.ErrorFileID),
		"c2 batch_cancelled", "c3 batch_cancelled", "c4 batch_cancelled", "c5 batch_cancelled")
	checkReplay(t, b.stack, made.ID)
	if *record {
		b.recordHistory(t, made.ID, filepath.Join(batchesDir, "cancelled.json"), lineIDs(made.ID, 6)...)
	}
	close(b.gate)
	retry := readAs[batchObject](t, b.post(t, "/v1/batches/"+made.ID+"/retry", `{"concurrency":1}`))
	ofRetry := batchUntil(ctx, t, b.url, retry.ID, "completed", ended)
	wantLines(t, "the output of the retry", batchLines(ctx, t, b.url, ofRetry.OutputFileID),
		"c2 waited", "c3 waited", "c4 answer to five", "c5 answer to six")
}

// TestBatchRequests: what is wrong with a request is said at once; what is wrong with its file, by the batch.
func TestBatchRequests(t *testing.T) {
	t.Parallel()
	b := newBatchStack(t, "")
	ctx := b.ctx(t)
	in := b.upload(t, "one")
	for body, place := range map[string]string{
		`{"endpoint":"/v1/responses","completion_window":"24h"}`:                                                        "input_file_id",
		`{"input_file_id":"file-0","endpoint":"/v1/responses","completion_window":"24h"}`:                               "input_file_id",
		`{"input_file_id":"` + in + `","endpoint":"/v1/chat/completions","completion_window":"24h"}`:                    "endpoint",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"soon"}`:                          "completion_window",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"59m"}`:                           "completion_window",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"31d"}`:                           "completion_window",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"24h","concurrency":0}`:           "concurrency",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"24h","speed":1}`:                 "speed",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"24h","metadata":{"a":1}}`:        "metadata",
		`{"input_file_id":"` + in + `","endpoint":"/v1/responses","completion_window":"24h","output_expires_after":{}}`: "output_expires_after",
	} {
		if a := b.post(t, "/v1/batches", body); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), place) {
			t.Errorf("%s: %d with %s", body, a.status, a.body)
		}
	}
	agent := upload(ctx, t, b.url, `{"custom_id":"a","method":"POST","url":"/v1/agent","body":{"input":"x"}}`)
	failed := batchUntil(ctx, t, b.url, createBatch(ctx, t, b.url, agent, "").ID, "failed", ended)
	if failed.Status != "failed" || failed.Errors == nil || failed.Errors.Data[0].Code != "mismatched_endpoint" || failed.OutputFileID != "" {
		t.Errorf("with requests for another endpoint it is %+v", failed)
	}

	// The same request is the same batch, also with another starter; another one under its key is refused.
	body := fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"7d"}`, in)
	one := readAs[batchObject](t, b.post(t, "/v1/batches", body, "Idempotency-Key", "k"))
	two := readAs[batchObject](t, b.post(t, "/v1/batches", body, "Idempotency-Key", "k"))
	other := b.post(t, "/v1/batches", strings.Replace(body, "7d", "8d", 1), "Idempotency-Key", "k")
	if one.ID != two.ID || other.status != http.StatusConflict {
		t.Errorf("the batches are %s and %s, and with another body: %d with %s", one.ID, two.ID, other.status, other.body)
	}
	batchUntil(ctx, t, b.url, one.ID, "completed", ended)
}
