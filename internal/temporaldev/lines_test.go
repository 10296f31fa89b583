package temporaldev

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLineWriter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLogLine)
	tests := []struct {
		name   string
		writes []string
		want   []string
		last   string
	}{
		{"whole lines", []string{"a\nb\n"}, []string{"a\n", "b\n"}, "b"},
		{"split line", []string{"a", "b\nc", "d\n"}, []string{"ab\n", "cd\n"}, "cd"},
		{"no newline at the end", []string{"a\nb"}, []string{"a\n", "b\n"}, "b"},
		{"blank lines", []string{"a\n\n  \n"}, []string{"a\n", "\n", "  \n"}, "a"},
		{"too long", []string{long + "y\n"}, []string{long, "y\n"}, "y"},
		{"nothing", nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			w := &lineWriter{emit: func(line []byte) { got = append(got, string(line)) }}
			for _, s := range tt.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write: got %d, %v", n, err)
				}
			}
			w.flush()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%.2000s", diff)
			}
			if w.last != tt.last {
				t.Errorf("last: got %.80q, want %q", w.last, tt.last)
			}
		})
	}
}

func TestFirstLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		writes []string
		want   string
	}{
		{"one", []string{"ready\n"}, "ready"},
		{"split", []string{"re", "ady\nmore\n", "and more\n"}, "ready"},
		{"too long", []string{"far too long"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFirstLine(8)
			for _, s := range tt.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write: got %d, %v", n, err)
				}
			}
			if got := string(<-w.line); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
