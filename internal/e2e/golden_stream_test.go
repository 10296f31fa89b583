package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
)

// TestGoldenStream pins every byte of the stream of one MCP call, in both dialects, but for IDs, times and ports. The goldens are
// written by "go test ./internal/e2e -run TestGoldenStream -update": read the difference before you keep it.
func TestGoldenStream(t *testing.T) {
	t.Parallel()
	for dialect, start := range map[string]func(*testing.T) *stack{"agent": sharedStack, "openai": sharedOpenAIStack} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			_, tool := startTools(t)
			body := ask(t, modeltest.New(
				modeltest.Calls(modeltest.Call{Name: "s__add", Arguments: `{"a":2,"b":40}`}), modeltest.Text("It is 42.")),
				`"input": "What is 2 + 40?", "stream": true, "tools": [%s]`, strings.Replace(tool, "{", `{"allowed_tools": ["add"], `, 1))
			got, err := s.respond(t.Context(), string(body))
			if err != nil {
				t.Fatal(err)
			}
			if kind := got.header.Get("Content-Type"); got.status != http.StatusOK || kind != "text/event-stream" {
				t.Fatalf("got status %d, content type %q: %s", got.status, kind, got.body)
			}
			compareGolden(t, filepath.Join("testdata", "streams", "mcp_call."+dialect+".sse.golden"), normalizeStream(got.body))
		})
	}
}

var ownModel = regexp.MustCompile(`@[^"@]+"`)

// normalizeStream replaces what differs from run to run and drops comments, which come with the time.
func normalizeStream(stream []byte) []byte {
	stream = ownModel.ReplaceAll(normalize(stream), []byte(`"`))
	return comment.ReplaceAll(stream, nil)
}

var comment = regexp.MustCompile(`(?m)^:.*\n\n`)

// compareGolden compares with a file, or rewrites it.
func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
