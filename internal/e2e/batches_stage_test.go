package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// batchOf is a file with a line for each input.
func batchOf(inputs ...string) string {
	var b strings.Builder
	for i, input := range inputs {
		fmt.Fprintf(&b, `{"custom_id":"row-%d","method":"POST","url":"/v1/responses","body":{"input":%q}}`+"\n", i+1, input)
	}
	return b.String()
}

// foreignID is a custom ID that does harm where it is not taken for text.
const foreignID = `<script>alert(1)</script>` + "\u202etxet desrever"

// fillBatches makes a batch that has ended, with lines that have failed, and one that goes on for as long as the stage is there.
func (s *pageStage) fillBatches(t *testing.T) {
	t.Helper()
	inputs := []string{"say hello"}
	for range 12 { // more than the page of a batch shows
		inputs = append(inputs, "refuse")
	}
	failing := strings.Replace(batchOf(append(inputs, "say hello")...), "row-13", foreignID, 1)
	s.made["completed batch"] = s.beginBatch(t, s.adminKey, "nightly <b>büro<i>.jsonl", failing)
	s.made["running batch"] = s.beginBatch(t, s.adminKey, "slow.jsonl", batchOf("wait", "say hello"))
	s.awaitBatch(t, s.made["completed batch"], "completed")
}

// beginBatch uploads a file, makes a batch of it, and returns its ID.
func (s *stack) beginBatch(t *testing.T, key, filename, content string) string {
	t.Helper()
	body, contentType := fileForm(t, filename, content)
	a, err := send(t.Context(), http.MethodPost, s.url+"/v1/files", key, body, "Content-Type", contentType)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	if err := json.Unmarshal(a.body, &made); err != nil || made.ID == "" {
		t.Fatalf("no file: %s", a.body)
	}
	a, err = send(t.Context(), http.MethodPost, s.url+"/v1/batches", key,
		fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h","metadata":{"team":"night"}}`, made.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(a.body, &made); err != nil || !strings.HasPrefix(made.ID, "batch_") {
		t.Fatalf("no batch: %s", a.body)
	}
	return made.ID
}

// awaitBatch waits until a batch of acme has a status.
func (s *pageStage) awaitBatch(t *testing.T, id, status string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		a, err := send(t.Context(), http.MethodGet, s.url+"/v1/batches/"+id, s.adminKey, "")
		var b struct{ Status string }
		if err != nil || json.Unmarshal(a.body, &b) != nil || a.status != http.StatusOK {
			t.Fatalf("batch %s: %v, status %d: %s", id, err, a.status, a.body)
		}
		if b.Status == status {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("batch %s is %s after %v, want %s", id, b.Status, startTimeout, status)
		case <-time.After(pollEvery):
		}
	}
}
