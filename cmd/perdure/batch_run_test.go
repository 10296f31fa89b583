package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// ended is a double with one batch that has come to something.
func ended(t *testing.T, batch, output, failures string) *double {
	t.Helper()
	answers := map[string]http.HandlerFunc{"POST /v1/batches": says(200, batch), "GET /v1/batches/batch_1": says(200, batch)}
	answers["POST /v1/files"] = func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, `{"id":"file-in"}`)
	}
	for id, text := range map[string]string{"file-out": output, "file-err": failures} {
		answers["GET /v1/files/"+id] = says(200, fmt.Sprintf(`{"id":%q,"bytes":%d}`, id, len(text)))
		answers["GET /v1/files/"+id+"/content"] = says(200, text)
	}
	return newDouble(t, answers)
}

// TestBatchEndsAsBefore: started again after its end, the command ends as it did then, whatever became of the server.
func TestBatchEndsAsBefore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, batch string
		code        int
		says        string
	}{
		{
			"requests that failed", `{"id":"batch_1","status":"completed","in_progress_at":1,"request_counts":{"total":2,"completed":1,"failed":1},"output_file_id":"file-out","error_file_id":"file-err"}`,
			exitIncomplete, "1 request of the batch batch_1 failed",
		},
		{
			"ended by an operator", `{"id":"batch_1","status":"failed","in_progress_at":1,"request_counts":{"total":9,"completed":1,"failed":1},"output_file_id":"file-out","error_file_id":"file-err","errors":{"data":[{"message":"the batch was ended by an operator"}]}}`,
			exitFailed, "the batch batch_1 failed on its way, when 1 request of 9 succeeded, and those without a result may have been sent: the batch was ended by an operator",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
			if err := os.WriteFile(in, []byte("{}\n{}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			d := ended(t, tt.batch, "{\"custom_id\":\"a\"}\n", "{\"custom_id\":\"b\"}\n")
			args := []string{"batch", "run", in, "-o", out, "--json", "--server", d.URL}
			code, first, errs := perdure(t.Context(), args...)
			if code != tt.code || !strings.Contains(errs, tt.says) || strings.TrimSpace(first) != tt.batch {
				t.Errorf("exit %d, %q, %q", code, first, errs)
			}
			d.Close()
			code, again, errs := perdure(t.Context(), args...)
			if code != tt.code || again != first || !strings.Contains(errs, tt.says) || !strings.Contains(errs, "has ended before") {
				t.Errorf("again: exit %d, %q, %q", code, again, errs)
			}
			if n := d.times("POST /v1/files"); n != 1 {
				t.Errorf("%d uploads", n)
			}
		})
	}
	t.Run("files that are one", func(t *testing.T) {
		t.Parallel()
		in := filepath.Join(t.TempDir(), "in.jsonl")
		if err := os.WriteFile(in, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := perdure(t.Context(), "batch", "run", in, "-o", filepath.Dir(in)+"/./in.jsonl", "--restart", "--server", "http://127.0.0.1:1")
		if text, err := os.ReadFile(in); code != exitUsage || !strings.Contains(errs, "must be three files") || string(text) != "{}\n" {
			t.Errorf("exit %d, %q; the requests are %q, %v", code, errs, text, err)
		}
	})
}

// TestDownloadIsWholeOrAbsent: a download that is interrupted leaves nothing, so that the next one is not refused; and nothing is written over.
func TestDownloadIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var asked atomic.Bool
	d := newDouble(t, map[string]http.HandlerFunc{
		"GET /v1/batches/batch_1": says(200, `{"id":"batch_1","status":"completed","output_file_id":"file-out"}`),
		"GET /v1/files/file-out/content": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "half ")
			if !asked.Swap(true) {
				_ = http.NewResponseController(w).Flush()
				interrupt()
				<-r.Context().Done()
				return
			}
			fmt.Fprint(w, "and half\n")
		},
	})
	dir := t.TempDir()
	out := filepath.Join(dir, "out.jsonl")
	args := []string{"batch", "download", "batch_1", "-o", out, "--server", d.URL}
	if code, _, errs := perdure(ctx, args...); code != exitInterrupted {
		t.Errorf("exit %d, %q", code, errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if code, _, errs := perdure(t.Context(), args...); code != 0 {
		t.Errorf("exit %d, %q", code, errs)
	}
	code, _, errs := perdure(t.Context(), args...)
	if text, err := os.ReadFile(out); code != exitError || !strings.Contains(errs, "is there already: name another file") || string(text) != "half and half\n" {
		t.Errorf("exit %d, %q; the file has %q, %v", code, errs, text, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
