package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/modeltest"
)

func (s seen) batch(t *testing.T) batchObject {
	t.Helper()
	var b batchObject
	if err := json.Unmarshal(s.check(t).Response, &b); err != nil {
		t.Fatalf("%v in %s", err, s.Response)
	}
	return b
}

// clientRunsBatches uploads, begins, waits, reads and cancels, as OpenAI's guide to batches says.
func clientRunsBatches(t *testing.T, c *sdk) {
	gate := make(chan struct{})
	opened := false
	t.Cleanup(func() {
		if !opened {
			close(gate)
		}
	})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if strings.HasPrefix(r.Messages[0].Content, "wait") {
			return modeltest.Text("late").Hold(gate)
		}
		return modeltest.Text("answer to " + r.Messages[0].Content)
	})
	var body struct{ Model string }
	if err := json.Unmarshal(ask(t, model, `"input":"x"`), &body); err != nil {
		t.Fatal(err)
	}
	upload := func(inputs ...string) string {
		var lines []string
		for i, input := range inputs {
			lines = append(lines, batchRequest(fmt.Sprint("request-", i), fmt.Sprintf(`{"model":%q,%s}`, body.Model, input)))
		}
		file := commandFile{Filename: "in.jsonl", Content: strings.Join(lines, "\n")}
		return c.call(t, command{Do: "file_create", File: &file, Body: json.RawMessage(`{"purpose":"batch"}`)}).file(t).ID
	}
	create := func(inputs ...string) batchObject {
		return c.call(t, command{Do: "batch_create", Body: json.RawMessage(fmt.Sprintf(
			`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h","metadata":{"job":"nightly"}}`, upload(inputs...)))}).batch(t)
	}
	until := func(id string, as func(batchObject) bool) batchObject {
		for begun := time.Now(); ; {
			b := c.call(t, command{Do: "batch_retrieve", BatchID: id}).batch(t)
			if as(b) {
				return b
			}
			if time.Since(begun) > 2*time.Minute || !pause(t.Context(), 100*time.Millisecond) {
				t.Fatalf("the batch stays %+v", b)
			}
		}
	}
	done := until(create(`"input":"one"`, `"input":7`, `"input":"three"`).ID, ended)
	if n := done.RequestCounts; done.Status != "completed" || n.Total != 3 || n.Completed != 2 || n.Failed != 1 || done.Usage.TotalTokens != 2*18 {
		t.Errorf("the batch is %+v", done)
	}
	content := func(id string) string {
		return c.must(t, command{Do: "file_content", File: &commandFile{ID: id}}).OutputText
	}
	output := strings.Split(strings.TrimSpace(content(done.OutputFileID)), "\n")
	if len(output) != 2 || !strings.Contains(output[0], `"custom_id":"request-0"`) || !strings.Contains(output[1], "answer to three") {
		t.Errorf("the output is %q", output)
	}
	if failed := content(done.ErrorFileID); strings.Count(failed, "\n") != 1 || !strings.Contains(failed, `"status_code":400`) {
		t.Errorf("the error file is %q", failed)
	}

	running := create(`"input":"wait"`)
	until(running.ID, func(b batchObject) bool { return b.Status == "in_progress" })
	listed := c.must(t, command{Do: "batch_list", Query: map[string]any{"limit": 1}})
	found := 0
	for _, item := range listed.Items {
		if strings.Contains(string(item), done.ID) || strings.Contains(string(item), running.ID) {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of the two batches are in a list of %d", found, len(listed.Items))
	}
	if b := c.call(t, command{Do: "batch_cancel", BatchID: running.ID}).batch(t); b.Status != "cancelling" && b.Status != "cancelled" {
		t.Errorf("cancelled it is %+v", b)
	}
	if b := until(running.ID, ended); b.Status != "cancelled" || b.RequestCounts.Failed != 1 {
		t.Errorf("it ends as %+v", b)
	}
	kind, notFound := "conflict", "not_found"
	if c.dialectOpenAI {
		kind, notFound = "invalid_request_error", "invalid_request_error"
	}
	c.wantError(t, c.call(t, command{Do: "batch_cancel", BatchID: done.ID}), "ConflictError", http.StatusConflict, kind, "")
	c.wantError(t, c.call(t, command{Do: "batch_retrieve", BatchID: "batch_nobody"}), "NotFoundError", http.StatusNotFound, notFound, "")
	opened = true
	close(gate)
}
