package file_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"perdure/internal/file"
	"perdure/internal/store"
)

// FuzzUpload: whatever is uploaded is refused with nothing left, or is there to the byte, each line a request that can be read.
func FuzzUpload(f *testing.F) {
	for _, seed := range []string{
		request("a", "x") + request("b", "y"), "", "\n\n" + request("a", "x"), request("a", "x") + request("a", "x"), "{}", "[", "\xff", "\ufeff{}",
		`{"custom_id":"a","method":"POST","url":"/v1/agent","body":{"a":{}}}` + "\r\n", `{"custom_id":"\ud800","method":"POST","url":"/v1/agent","body":{}}`,
	} {
		f.Add([]byte(seed))
	}
	r := newRig(f, func(o *file.Options) { o.Limits = file.Limits{Bytes: 1 << 16, Lines: 50, Line: 1 << 10} })
	f.Fuzz(func(t *testing.T, content []byte) {
		made, err := r.Create(t.Context(), ada, draft, bytes.NewReader(content))
		if err != nil {
			var invalid *file.Invalid
			if !errors.As(err, &invalid) && !errors.Is(err, file.ErrTooLarge) {
				t.Fatalf("the error is %v", err)
			}
			files, _, err := r.List(t.Context(), "acme", store.FileFilter{Limit: 1})
			if must(t, err); len(files) > 0 || len(r.kept(t)) > 0 {
				t.Error("something is left of what was refused")
			}
			return
		}
		if got := r.content(t, made.ID, 0); got != string(content) {
			t.Errorf("the content is %q, want %q", got, content)
		}
		lines, err := r.Lines(t.Context(), "acme", made.ID, 1, 100)
		if must(t, err); len(lines) != made.Lines || made.Rows < made.Lines {
			t.Errorf("%d lines of %+v", len(lines), made)
		}
		ids := map[string]bool{}
		for i, l := range lines {
			got, err := file.ParseRequest(l.Text)
			if err != nil || l.Number != i+1 || got.URL != made.Endpoint || ids[got.CustomID] || got.CustomID == "" || !json.Valid(got.Body) || got.Body[0] != '{' {
				t.Errorf("line %d is %+v, %v", i+1, got, err)
			}
			ids[got.CustomID] = true
		}
		must(t, r.Delete(t.Context(), ada, made.ID))
	})
}
