package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"perdure/internal/linktest"
	"perdure/internal/modeltest"
)

const everything = "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js"

var everythingReady = regexp.MustCompile(`listening on port \d+`)

// TestServerEverything runs tools of npm's @modelcontextprotocol/server-everything, a server that we did not write.
func TestServerEverything(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	server := startEverything(t)
	suite.models.plug(t, "everything", modeltest.New(
		modeltest.Calls(
			modeltest.Call{Name: "everything__get-sum", Arguments: `{"a": 2, "b": 40}`},
			modeltest.Call{Name: "everything__echo", Arguments: `{"message": "hello"}`},
			modeltest.Call{Name: "everything__get-tiny-image", Arguments: `{}`},
			modeltest.Call{Name: "everything__get-structured-content", Arguments: `{"location": "Chicago"}`},
			modeltest.Call{Name: "everything__get-sum", Arguments: `{"a": "two"}`},
		),
		modeltest.Text("42")))
	a, err := s.respond(t.Context(), fmt.Sprintf(`{"model": "openai/gpt-5.5@everything", "input": "What is 2 + 40?",
		"tools": [{"type": "mcp", "server_label": "everything", "server_url": "%s"}]}`, server))
	if err != nil {
		t.Fatal(err)
	}
	r := a.decode(t)
	if len(r.Output) != 7 || len(r.Output[0].Tools) < 5 {
		t.Fatalf("got %s", a.body)
	}
	for i, want := range []string{"The sum of 2 and 40 is 42.", "Echo: hello", `\[image image/png, \d+ bytes\]`, `"temperature"`} {
		if got := r.Output[i+1]; got.Error != nil || !regexp.MustCompile(want).MatchString(got.Output) {
			t.Errorf("%s: got %q, %v, want %q", got.Name, got.Output, got.Error, want)
		}
	}
	if wrong := r.Output[5]; wrong.Error == nil || wrong.Output != "" {
		t.Errorf("a call with wrong arguments: got %+v, want an error", wrong)
	}
	checkReplay(t, s, r.ID)
}

func startEverything(t *testing.T) (url string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("node is not installed; the npm packages of this test need it")
	}
	if matches, _ := filepath.Glob(everything); err != nil || matches == nil {
		t.Fatalf("%s is missing, %v: run `npm ci` in internal/e2e/npm", everything, err)
	}
	program, err := filepath.Abs(everything)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	p, err := startProcess("server-everything", node, []string{fmt.Sprintf("PORT=%d", port)}, program, "streamableHttp")
	if err != nil {
		t.Fatal(err)
	}
	p.showOnFailure(t)
	t.Cleanup(p.kill)
	if _, err := p.await(t.Context(), everythingReady); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/mcp", port)
}

// freePort returns a port where nobody listens but the test's own programs, if they do.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := linktest.Hold()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return port.Number
}
