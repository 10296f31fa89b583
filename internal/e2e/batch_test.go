package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"testing"
	"time"
)

// batchObject is what tests read of a batch.
type batchObject struct {
	ID            string
	Status        string
	Endpoint      string
	InputFileID   string `json:"input_file_id"`
	OutputFileID  string `json:"output_file_id"`
	ErrorFileID   string `json:"error_file_id"`
	RetryOf       string `json:"retry_of"`
	Paused        bool
	RequestCounts struct{ Total, Completed, Failed int } `json:"request_counts"`
	Errors        *struct {
		Data []struct{ Code, Message string }
	}
	Usage struct {
		TotalTokens int `json:"total_tokens"`
	}
	Progress struct{ Running, Window, Throttled, Begun int }
}

// batchLine is a line of an output file or of an error file.
type batchLine struct {
	ID       string
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int    `json:"status_code"`
		RequestID  string `json:"request_id"`
		Body       json.RawMessage
	}
	Error *struct{ Code, Message string }
}

// batchRequest is a line of an input file.
func batchRequest(customID, body string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/responses","body":%s}`, customID, body)
}

// uploadForm is the body of an upload, and its content type.
func uploadForm(t *testing.T, content string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", "in.jsonl")
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err == nil {
		err = form.WriteField("purpose", "batch")
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), form.FormDataContentType()
}

// upload uploads a file for a batch, and returns its ID.
func upload(ctx context.Context, t *testing.T, url, content string) string {
	t.Helper()
	body, kind := uploadForm(t, content)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/files", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	r.Header.Set("Content-Type", kind)
	a, err := do(r)
	if err != nil {
		t.Fatal(err)
	}
	return readAs[struct{ ID string }](t, a).ID
}

// readAs decodes an answer that must be a success.
func readAs[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("got status %d, want 200: %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// createBatch begins a batch.
func createBatch(ctx context.Context, t *testing.T, url, fileID, more string) batchObject {
	t.Helper()
	a, err := request(ctx, http.MethodPost, url+"/v1/batches", apiKey,
		fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"%s}`, fileID, more))
	if err != nil {
		t.Fatal(err)
	}
	return readAs[batchObject](t, a)
}

// batchAt returns a batch as a starter shows it. It is false if the starter does not answer.
func batchAt(ctx context.Context, url, id string) (b batchObject, ok bool) {
	a, err := request(ctx, http.MethodGet, url+"/v1/batches/"+id, apiKey, "")
	if err != nil || a.status != http.StatusOK {
		return b, false
	}
	return b, json.Unmarshal(a.body, &b) == nil
}

// batchUntil polls a batch until it is as wanted.
func batchUntil(ctx context.Context, t *testing.T, url, id, what string, as func(batchObject) bool) batchObject {
	t.Helper()
	var b batchObject
	for {
		if now, ok := batchAt(ctx, url, id); ok {
			if b = now; as(b) {
				return b
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the batch is not %s but %+v", what, b)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func ended(b batchObject) bool {
	return b.Status == "completed" || b.Status == "failed" || b.Status == "cancelled" || b.Status == "expired"
}

// batchLines reads a file of a batch; none without a file.
func batchLines(ctx context.Context, t *testing.T, url, fileID string) []batchLine {
	t.Helper()
	if fileID == "" {
		return nil
	}
	a, err := request(ctx, http.MethodGet, url+"/v1/files/"+fileID+"/content", apiKey, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK {
		t.Fatalf("the file %s: status %d: %s", fileID, a.status, a.body)
	}
	var lines []batchLine
	for text := range bytes.Lines(a.body) {
		var l batchLine
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("%v in line %d: %s", err, len(lines)+1, text)
		}
		lines = append(lines, l)
	}
	return lines
}

// answer is the response of a line.
func (l batchLine) answer(t *testing.T) response {
	t.Helper()
	var r response
	if l.Response == nil || json.Unmarshal(l.Response.Body, &r) != nil {
		t.Fatalf("line %s has no response: %+v", l.CustomID, l)
	}
	return r
}
