package ui

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/starter"
)

const hostileText = "<img src=x onerror=alert(1)>\u202e\x07"

// hostileBatch has text of others wherever a batch has any.
func hostileBatch(status batch.Status) batchRow {
	b := batch.Batch{
		ID: "batch_1", User: hostileText, Status: status, Metadata: map[string]string{hostileText: hostileText}, RetryOf: "batch_0",
		Errors: []batch.Problem{{Message: hostileText, Line: 3}},
	}
	b.Total, b.Completed, b.Failed, b.Usage.TotalTokens = 200_000, 5, 20, 7
	return batchRow{Batch: b, Title: hostileText, State: tagOfBatch(&b), Percent: 1, Done: 25, Left: time.Hour}
}

// Each page of batches shows foreign text as text, and all that there is to show.
func TestBatchTemplates(t *testing.T) {
	t.Parallel()
	failures := failureRows([]starter.FailedLine{
		{Number: 7, CustomID: hostileText, Status: 502, Message: hostileText}, {CustomID: "long", Message: strings.Repeat("m", maxFailureText+1)},
	})
	row := hostileBatch(batch.InProgress)
	whole := batchContent{
		batchRow: row, Pace: &starter.BatchPace{Running: 3, Window: 4, Throttled: 5, Rate: 1.5}, Failures: failures, MayCancel: true, MayPause: true,
		HasInput: true, HasOutput: true, HasErrors: true, Every: refreshBatch, Now: time.Now(), ExpiresAt: time.Now(), Remaining: time.Hour,
	}
	ended := batchContent{batchRow: hostileBatch(batch.Completed), Failures: failures, MayRetry: true, Nonce: "N", HasErrors: true, OutputGone: true, Now: time.Now()}
	for _, tt := range []struct {
		name    string
		content any
		wants   []string
	}{
		{"batches", batchesContent{Rows: []batchRow{row}, Next: "/batches?after=x", Later: true}, []string{"Running", "25 of 200,000", "20 failed", "about 1 h 0 min left", "First page", "Older"}},
		{"batches", batchesContent{}, []string{"No batch yet", "Make your first batch"}},
		{"batches", batchesContent{Later: true}, []string{"There are no more batches"}},
		{"batch", whole, []string{
			"3 of at most 4", "1.5", "5 times, then slower", "about 1 h", "in 1 h", "Download output so far", "Pause", "/batches/batch_1/cancel",
			"All 20 failed lines", "Line 3:", `data-live="/batches/batch_1"`, strings.Repeat("m", maxFailureText) + "</bdi>…",
		}},
		{"batch", ended, []string{"Completed, some failed", "Retry failed lines", "Download errors<", `name="nonce" value="N"`, "The output has expired"}},
		{"batch_failed", failedContent{batchRow: row, Failures: failures, From: 51, To: 52, Next: "/next"}, []string{"51 to 52 of 20", ">7<", ">502<", "First page", "/next"}},
		{"batch_failed", failedContent{batchRow: row, From: 1000}, []string{"No failed line here"}},
		{"batch_cancel", whole, []string{"Cancel the batch", "25 of 200,000"}},
		{"batch_new", batchForm{
			Nonce: "N", Files: []file.File{{ID: "file-1", Filename: hostileText, Lines: 1234}}, Lines: []file.Problem{{Row: 4, Message: hostileText}, {Message: "has no lines"}}, More: 1500,
			Problem: responses.Invalid("file", "%s", hostileText), MaxSize: "512 MiB", InputFile: "file-1", Concurrency: "many",
		}, []string{"Line 4", "The file", "1,500 more", "1,234 lines", "512 MiB", `value="file-1" selected`, `name="nonce" value="N"`}},
		{"batch_new", batchForm{Problem: responses.Invalid("", "%s", hostileText), Window: "72h"}, []string{"The batch was not begun", `value="72h" selected`}},
	} {
		w := httptest.NewRecorder()
		if err := pages.Render(w, 200, tt.name, page.Frame{Title: "t", Content: tt.content}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		body := w.Body.String()
		if strings.Contains(body, "<img src=x") || strings.Contains(body, "\u202e") || strings.Contains(body, "\x07") {
			t.Errorf("%s shows foreign text as it is:\n%s", tt.name, body)
		}
		for _, want := range tt.wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q:\n%s", tt.name, want, body)
			}
		}
	}
	w := httptest.NewRecorder()
	if err := pages.RenderPart(w, "batch", "batch", ended); err != nil || strings.Contains(w.Body.String(), "data-live=") {
		t.Errorf("a batch that has ended is looked at again: %v", err)
	}
}

// Every status has words of its own.
func TestBatchTags(t *testing.T) {
	t.Parallel()
	seen := map[string]batch.Status{}
	for _, status := range []batch.Status{
		batch.Validating, batch.InProgress, batch.Finalizing, batch.Completed, batch.Failed, batch.Expired, batch.Cancelling, batch.Cancelled,
	} {
		tag := tagOfBatch(&batch.Batch{Status: status})
		if other, ok := seen[tag.Text]; ok || tag.Text == string(status) {
			t.Errorf("%s is called %q, as %s", status, tag.Text, other)
		}
		seen[tag.Text] = status
	}
	if got := tagOfBatch(&batch.Batch{Status: batch.InProgress, Paused: true}); got.Text != "Paused" {
		t.Errorf("a paused batch is called %q", got.Text)
	}
}
