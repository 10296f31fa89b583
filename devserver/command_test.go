package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRunCommand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		script string
		code   int
		stdout string
	}{
		{"success", `echo "$GREETING"`, 0, "hello\n"},
		{"failure", `exit 7`, 7, ""},
		{"killed", `kill -9 $$`, 128 + 9, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			code, err := runCommand(t.Context(), []string{"sh", "-c", tt.script}, []string{"GREETING=hello"}, &stdout)
			if code != tt.code || err != nil || stdout.String() != tt.stdout {
				t.Errorf("got %d, %q, %v, want %d, %q", code, &stdout, err, tt.code, tt.stdout)
			}
		})
	}
	if code, err := runCommand(t.Context(), []string{"no-such-command-anywhere"}, nil, nil); code != 127 || err == nil {
		t.Errorf("unknown command: got %d, %v, want 127 and an error", code, err)
	}
}

// When the parent of the server dies, the command and its children are told to end.
func TestRunCommandParentGone(t *testing.T) {
	t.Parallel()
	parent := untilEOF(t.Context(), strings.NewReader(""))
	code, err := runCommand(parent, []string{"sh", "-c", "sleep 60; true"}, nil, nil)
	if code != 128+15 || err != nil {
		t.Errorf("got %d, %v, want %d", code, err, 128+15)
	}
}
