package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// fileObject is what tests look at of a file.
type fileObject struct {
	ID        string
	Object    string
	Bytes     int
	CreatedAt int64 `json:"created_at"`
	ExpiresAt int64 `json:"expires_at"`
	Filename  string
	Purpose   string
	Status    string
	Deleted   bool
}

func (s seen) file(t *testing.T) fileObject {
	t.Helper()
	var f fileObject
	if err := json.Unmarshal(s.check(t).Response, &f); err != nil {
		t.Fatalf("%v in %s", err, s.Response)
	}
	return f
}

// batchInput is a file of n requests.
func batchInput(n int, input string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"r%d","method":"POST","url":"/v1/responses","body":{"input":%q}}`+"\n", i+1, input)
	}
	return b.String()
}

// clientKeepsFiles uploads, looks, reads and deletes, as whoever runs batches does.
func clientKeepsFiles(t *testing.T, c *sdk) {
	content := batchInput(20, "Grüße ✓")
	upload := commandFile{Filename: "büro requests.jsonl", Content: content}
	made := c.call(t, command{
		Do: "file_create", File: &upload, Body: json.RawMessage(`{"purpose":"batch","expires_after":{"anchor":"created_at","seconds":7200}}`),
	}).file(t)
	if made.Object != "file" || made.Bytes != len(content) || made.Filename != upload.Filename || made.Purpose != "batch" ||
		made.Status != "processed" || made.ExpiresAt != made.CreatedAt+7200 {
		t.Errorf("the file is %+v", made)
	}
	this := &commandFile{ID: made.ID}
	if got := c.call(t, command{Do: "file_retrieve", File: this}).file(t); got != made {
		t.Errorf("later it is %+v", got)
	}
	if c.helpers {
		if got := c.call(t, command{Do: "file_wait", File: this}).file(t); got != made {
			t.Errorf("the helper that waits returns %+v", got)
		}
	}
	if got := c.must(t, command{Do: "file_content", File: this}).OutputText; got != content {
		t.Errorf("the content is %q, want %q", got, content)
	}
	other := c.call(t, command{Do: "file_create", File: &upload, Body: json.RawMessage(`{"purpose":"batch"}`)}).file(t)
	// A page has one file, so the library has to turn pages. Other tests have files, too.
	listed := c.must(t, command{Do: "file_list", Query: map[string]any{"limit": 1, "order": "asc", "purpose": "batch"}})
	var ids []string
	for _, item := range listed.Items {
		var f fileObject
		if err := json.Unmarshal(item, &f); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, f.ID)
	}
	if a, b := slices.Index(ids, made.ID), slices.Index(ids, other.ID); a < 0 || b < a {
		t.Errorf("%s and %s are listed as %v", made.ID, other.ID, ids)
	}
	for _, id := range []string{made.ID, other.ID} {
		if gone := c.call(t, command{Do: "file_delete", File: &commandFile{ID: id}}).file(t); !gone.Deleted || gone.ID != id {
			t.Errorf("it is deleted as %+v", gone)
		}
	}
	kind, notFound := "invalid_request", "not_found"
	if c.dialectOpenAI {
		kind, notFound = "invalid_request_error", "invalid_request_error"
	}
	c.wantError(t, c.call(t, command{Do: "file_content", File: this}), "NotFoundError", http.StatusNotFound, notFound, "")
	bad := commandFile{Filename: "bad.jsonl", Content: content + "{}\n"}
	got := c.call(t, command{Do: "file_create", File: &bad, Body: json.RawMessage(`{"purpose":"batch"}`)})
	if c.wantError(t, got, "BadRequestError", http.StatusBadRequest, kind, "file"); got.Error == nil || !strings.Contains(got.Error.Message, "line 21: custom_id is missing") {
		t.Errorf("the error is %+v", got.Error)
	}
}
