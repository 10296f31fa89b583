package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/temporaldev"
)

// devProcess is a "perdure dev" with what its banner says.
type devProcess struct {
	*process
	api, ui, key, keyFile, mcp string
	curl                       string // the command to try
}

var (
	bannerEnd    = regexp.MustCompile(`Ctrl-C stops everything\.`)
	bannerFields = regexp.MustCompile(`(?s)\n  API +(\S+)\n  Temporal Web UI +(\S+)\n  API key +(\S+)\n +kept in (\S+)\n.*  Demo MCP server +(\S+)\n`)
	bannerCurl   = regexp.MustCompile(`(?s)\n\n  (curl .*?)\n\n`)
)

// startDev starts "perdure dev" on free ports, and waits until it says that it is ready.
func startDev(t *testing.T, data string, flags ...string) *devProcess {
	t.Helper()
	d := &devProcess{process: devCommand(t, append([]string{"--data", data, "--http", "127.0.0.1:0"}, flags...)...)}
	t.Cleanup(func() {
		d.kill()
		if report := d.output.since(0); t.Failed() || bytes.Contains(report, []byte("WARNING: DATA RACE")) {
			t.Errorf("perdure dev wrote:\n%s", report)
		}
	})
	if _, err := d.await(t.Context(), bannerEnd); err != nil {
		t.Fatal(err)
	}
	banner := d.output.since(0)
	fields, curl := bannerFields.FindSubmatch(banner), bannerCurl.FindSubmatch(banner)
	if fields == nil || curl == nil {
		t.Fatalf("the banner cannot be read:\n%s", banner)
	}
	for i, field := range []*string{&d.api, &d.ui, &d.key, &d.keyFile, &d.mcp} {
		*field = string(fields[i+1])
	}
	d.curl = string(curl[1])
	if !bytes.Contains(banner, []byte("The model is a script, not a language model")) {
		t.Errorf("the banner does not say that the model is a script:\n%s", banner)
	}
	return d
}

// devCommand runs "perdure dev" with its Temporal server on free ports.
func devCommand(t *testing.T, flags ...string) *process {
	t.Helper()
	// Found, or built, before the clock of a start runs.
	binary, err := temporaldev.Locate(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"dev", "--temporal", "127.0.0.1:0", "--temporal-ui", "127.0.0.1:0"}, flags...)
	p, err := startPerdure([]string{"PERDURE_TEMPORAL_BINARY=" + binary}, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// TestDev is a newcomer's first hour.
func TestDev(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	// When they are free again, nobody else is to be found there.
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	ports := []string{"--http", at(), "--temporal-ui", at()}
	if err := os.WriteFile(filepath.Join(data, "demo-address"), []byte(at()), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDev(t, data, ports...)

	if n := len(processesWith(t, data)); runtime.GOOS == "linux" && n != 2 {
		t.Errorf("%d processes work on the data directory, want perdure and its Temporal server", n)
	}

	first := d.try(t, d.curl)
	checkFirstRun(t, first)
	checkKeyFile(t, d, filepath.Join(data, "api-key"))
	checkAddressTaken(t, d)
	checkOwnDemoOnly(t, d)
	d.checkExamples(t)
	for name, example := range seedExamples(d) {
		r := d.try(t, example)
		if diff := cmp.Diff([]string{"mcp_list_tools", "mcp_call", "message"}, r.types()); diff != "" || r.Status != "completed" {
			t.Errorf("%s: status %s, output (-want +got):\n%s", name, r.Status, diff)
		}
		if r.Model != "openai/gpt-5.5" || r.Output[1].Error != nil || r.text() == "" {
			t.Errorf("%s: got %+v", name, r)
		}
	}

	if err := d.signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code, err := d.wait(); code != 0 || err != nil {
		t.Errorf("Ctrl-C: exit code %d, %v", code, err)
	}
	checkNothingLeft(t, d, data)

	again := startDev(t, data, ports...)
	if again.key != d.key {
		t.Error("the API key has changed over a restart")
	}
	again.checkRunInUI(t, first.ID)
	if r := again.try(t, again.curl); r.Status != "completed" {
		t.Errorf("after a restart: status %s", r.Status)
	}

	again.kill()
	checkNothingLeft(t, again, data)
}

// try runs a command as a user would who pastes it into a terminal.
func (d *devProcess) try(t *testing.T, command string) response {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v (this test needs bash and curl)\n%s\n%s", err, command, &stderr)
	}
	var r response
	if err := json.Unmarshal(out, &r); err != nil || r.Status == "" {
		t.Fatalf("got no response, %v: %s", err, out)
	}
	return r
}

// seedExamples are the two examples of the Agent API's documentation, as curl commands against the demo servers.
func seedExamples(d *devProcess) map[string]string {
	curl := func(body string) string {
		return fmt.Sprintf("curl -sS %s/v1/responses -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '%s'", d.api, d.key, body)
	}
	github := strings.TrimSuffix(d.mcp, "/mcp") + "/github/mcp"
	return map[string]string{
		"deepwiki": curl(fmt.Sprintf(`{
			"model": "openai/gpt-5.5",
			"input": "Use DeepWiki to explain what the perplexityai/perplexity-py repository does.",
			"tools": [{"type": "mcp", "server_label": "deepwiki", "server_url": "%s"}]
		}`, d.mcp)),
		"github": curl(fmt.Sprintf(`{
			"model": "openai/gpt-5.5",
			"input": "Use GitHub to find open issues about authentication in perplexityai/perplexity-py.",
			"tools": [{
				"type": "mcp", "server_label": "github", "server_url": "%s", "authorization": "any-token",
				"allowed_tools": ["search_repositories", "list_issues", "issue_read"]
			}]
		}`, github)),
	}
}

// checkOwnDemoOnly: the one server on this machine that may be reached is the demo.
func checkOwnDemoOnly(t *testing.T, d *devProcess) {
	t.Helper()
	demo, err := url.Parse(d.mcp)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{
		d.api, d.ui, "http://localhost:" + demo.Port(), "https://" + demo.Host, "http://127.0.0.2:" + demo.Port(), "https://10.0.0.1", "http://mcp.example.com",
	} {
		a, err := request(t.Context(), http.MethodPost, d.api+"/v1/responses", d.key, `{"input":"x","tools":[{"type":"mcp","server_label":"s","server_url":"`+other+`/mcp"}]}`)
		if err != nil || a.status != http.StatusBadRequest || !bytes.Contains(a.body, []byte("tools[0].server_url")) {
			t.Errorf("%s: status %d, %v: %s", other, a.status, err, a.body)
		}
	}
}

func checkFirstRun(t *testing.T, r response) {
	t.Helper()
	if diff := cmp.Diff([]string{"mcp_list_tools", "mcp_call", "message"}, r.types()); diff != "" || r.Status != "completed" {
		t.Fatalf("status %s, output (-want +got):\n%s", r.Status, diff)
	}
	list, call := r.Output[0], r.Output[1]
	if list.ServerLabel != "deepwiki" || len(list.Tools) != 3 || call.Name != "ask_question" || call.Output == "" || call.Error != nil {
		t.Errorf("got %+v and %+v", list, call)
	}
	if r.Usage.InputTokens <= 0 || r.Usage.OutputTokens <= 0 {
		t.Errorf("got usage %+v", r.Usage)
	}
}

func checkKeyFile(t *testing.T, d *devProcess, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("%s has mode %o", path, mode)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(key) != d.key+"\n" || d.keyFile != path {
		t.Errorf("the banner says that the key is in %s", d.keyFile)
	}
}

// checkAddressTaken starts a second one where the first is.
func checkAddressTaken(t *testing.T, d *devProcess) {
	t.Helper()
	address := strings.TrimPrefix(d.api, "http://")
	tests := []struct {
		data, http, want string
	}{
		{t.TempDir(), address, address + " is already in use; choose another address with --http"},
		{filepath.Dir(d.keyFile), "127.0.0.1:0", "another perdure dev uses " + filepath.Dir(d.keyFile)},
	}
	for _, test := range tests {
		p := devCommand(t, "--data", test.data, "--http", test.http)
		code, err := p.wait()
		if got := string(p.output.since(0)); code != 1 || err != nil || !strings.HasPrefix(got, "perdure: "+test.want) {
			t.Errorf("got exit code %d, %v, %q, want 1 and %q", code, err, got, test.want)
		}
	}
}

// checkNothingLeft waits until no process works on the data directory and no port is held any more.
func checkNothingLeft(t *testing.T, d *devProcess, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		left := processesWith(t, data)
		for _, raw := range []string{d.api, d.ui, d.mcp} {
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if conn, err := net.Dial("tcp", u.Host); err == nil {
				conn.Close()
				left = append(left, raw)
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			t.Fatalf("left behind: %v", left)
		}
	}
}

// processesWith lists the processes that have a text in their command lines. Where there is no /proc, it finds none.
func processesWith(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		// A process may end at any time.
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(text)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// checkRunInUI looks a run up as the Web UI does.
func (d *devProcess) checkRunInUI(t *testing.T, id string) {
	t.Helper()
	a, err := request(t.Context(), http.MethodGet, d.ui+"/api/v1/namespaces/default/workflows/"+id, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var run struct {
		Info struct{ Status string } `json:"workflowExecutionInfo"`
	}
	if err := json.Unmarshal(a.body, &run); err != nil || run.Info.Status != "WORKFLOW_EXECUTION_STATUS_COMPLETED" {
		t.Errorf("the Web UI shows the run %s as %q, %v: status %d", id, run.Info.Status, err, a.status)
	}
}
