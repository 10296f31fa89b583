package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perdure/internal/modeltest"
)

// TestFileCommands: a file of requests goes up, is seen, comes back and goes.
func TestFileCommands(t *testing.T) {
	t.Parallel()
	d := deploy(t, modeltest.New())
	dir := t.TempDir()
	key, in, out := filepath.Join(dir, "key"), filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	const line = `{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"input":"x"}}` + "\n"
	for path, text := range map[string]string{key: "key-of-ann\n", in: line} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := perdure(t.Context(), append(args, "--server", d.url, "--api-key-file", key)...)
		if code != want {
			t.Fatalf("perdure %v: exit %d, %q", args, code, errs)
		}
		return out + errs
	}
	id := strings.TrimSpace(at(0, "file", "upload", in))
	if listed := at(0, "file", "list", "--purpose", "batch"); !strings.Contains(listed, id+"  in.jsonl  ") || !strings.Contains(listed, "in 29d") {
		t.Errorf("listed is %q", listed)
	}
	if shown := at(0, "file", "get", id); !strings.Contains(shown, "processed") || !strings.Contains(shown, "in.jsonl") {
		t.Errorf("shown is %q", shown)
	}
	if shown := at(0, "file", "get", id, "--json"); !strings.Contains(shown, `"status_details":null`) {
		t.Errorf("for programs it is %q", shown)
	}
	at(0, "file", "download", id, "-o", out)
	if text, err := os.ReadFile(out); err != nil || string(text) != line {
		t.Errorf("downloaded is %q, %v", text, err)
	}
	if said := at(0, "file", "delete", id); said != id+" is deleted.\n" {
		t.Errorf("it says %q", said)
	}
	at(1, "file", "get", id)
	if err := os.WriteFile(in, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := at(1, "file", "upload", in); !strings.Contains(said, "line 1") {
		t.Errorf("it says %q", said)
	}
	if said := at(1, "file", "upload", dir); !strings.Contains(said, "is not a file") {
		t.Errorf("it says %q", said)
	}
}
