package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// TestCLIRun: a run with a call of a tool, into a pipe. The answer is alone on standard output, and nothing steers a terminal.
func TestCLIRun(t *testing.T) {
	t.Parallel()
	server, _ := startTools(t)
	model := cliModel(t, modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"hello \u001b[31mthere"}`}).WithText("I ask the tool.").WithReasoning("Which tool?"),
		modeltest.Text("It said hello.\n\nTwice.")))
	c := startCLI(t, cliOptions{}, "run", "Say hello", "--model", model, "--mcp", "s="+server.URL(), "--tool", "s:echo")
	out, errs := c.want(0)
	if want := "I ask the tool.\nIt said hello.\n\nTwice.\n"; out != want {
		t.Errorf("standard output is %q, want %q", out, want)
	}
	want := `✓ s: 1 tool
• thinks: Which tool?
✓ s.echo {"text":"hello \u001b[31mthere"} (0.0s)
    hello [31mthere
completed in 0.0s · 1 tool call · 22 tokens in, 14 out · resp_ID
`
	if diff := cmp.Diff(want, stable(errs)); diff != "" {
		t.Errorf("standard error (-want +got):\n%s", diff)
	}
}

// TestCLIRunForPrograms: --json is the response object, --events its events, --quiet the answer alone.
func TestCLIRunForPrograms(t *testing.T) {
	t.Parallel()
	server, _ := startTools(t)
	replies := func(request modeltest.Request) modeltest.Reply {
		if request.Turn() == 0 {
			return modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"x"}`})
		}
		return modeltest.Text("done")
	}
	model := cliModel(t, modeltest.NewFunc(replies))
	args := []string{"run", "-", "--model", model, "--mcp", "s=" + server.URL()}
	out, _ := startCLI(t, cliOptions{stdin: strings.NewReader("from a pipe\n")}, append(args, "--json")...).want(0)
	var r response
	if err := json.Unmarshal([]byte(out), &r); err != nil || strings.Count(out, "\n") != 1 || r.text() != "done" {
		t.Errorf("%v in %s", err, out)
	}
	out, errs := startCLI(t, cliOptions{stdin: strings.NewReader("x")}, append(args, "--events", "--quiet")...).want(0)
	var frames []json.RawMessage
	for line := range strings.Lines(out) {
		frames = append(frames, json.RawMessage(line))
	}
	checkEvents(t, frames)
	if errs != "" {
		t.Errorf("--quiet says %q", errs)
	}
	if out, errs = startCLI(t, cliOptions{stdin: strings.NewReader("x")}, append(args, "--quiet")...).want(0); out != "done\n" || errs != "" {
		t.Errorf("--quiet prints %q and says %q", out, errs)
	}
	// A run that is not waited for can be watched, from anywhere in it, and shown later.
	id, _ := startCLI(t, cliOptions{stdin: strings.NewReader("x")}, append(args, "--detach")...).want(0)
	id = strings.TrimSpace(id)
	watched, errs := startCLI(t, cliOptions{}, "responses", "watch", id).want(0)
	if watched != "done\n" || !strings.Contains(errs, "s.echo") || !strings.Contains(errs, id) {
		t.Errorf("watch prints %q and says %q", watched, errs)
	}
	if shown, _ := startCLI(t, cliOptions{}, "responses", "get", id).want(0); shown != watched {
		t.Errorf("get prints %q, watch %q", shown, watched)
	}
	out, _ = startCLI(t, cliOptions{}, "responses", "watch", id, "--events", "--after", "3").want(0)
	if first, _, _ := strings.Cut(out, "\n"); !strings.Contains(first, `"sequence_number":4,`) {
		t.Errorf("after event 3 comes %s", first)
	}
}

// TestCLIPrompt: where a prompt may come from.
func TestCLIPrompt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	model := cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply { return modeltest.Text(r.Last().Content) }))
	for _, tt := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"an argument"}, "an argument\n"},
		{"standard input\n", nil, "standard input\n"},
		{"more\n", []string{"an argument", "--file", "-", "-f", "a.txt"}, "an argument\n\nmore\n\nfrom a file\n"},
	} {
		c := startCLI(t, cliOptions{stdin: strings.NewReader(tt.stdin), dir: dir}, append([]string{"run", "--model", model, "-q"}, tt.args...)...)
		if out, _ := c.want(0); out != tt.want {
			t.Errorf("%q with %v: got %q, want %q", tt.stdin, tt.args, out, tt.want)
		}
	}
	if _, errs := startCLI(t, cliOptions{stdin: strings.NewReader(" \n")}, "run", "--model", model).want(2); !strings.Contains(errs, "the prompt is empty") {
		t.Errorf("an empty prompt: %s", errs)
	}
}

// TestCLICredentials: tokens come from variables and files, reach their server, and are not to be seen.
func TestCLICredentials(t *testing.T) {
	t.Parallel()
	server := mcptest.NewServer(mcptest.ServerOptions{Bearer: cliToken})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	model := cliModel(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") }))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(cliToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "x", "-v", "--model", model, "--mcp", "s=" + server.URL()}
	o := cliOptions{env: []string{"MY_TOKEN=" + cliToken}, dir: dir}
	startCLI(t, o, append(args, "--authorization", "s=env:MY_TOKEN")...).want(0)
	startCLI(t, o, append(args, "--authorization", "s=file:token", "--header", "s:X-Team=env:MY_TOKEN", "--json")...).want(0)
	// The server refuses whoever does not have it: the run cannot begin.
	if _, errs := startCLI(t, o, args...).want(3); !strings.Contains(errs, `MCP server "s" could not be initialized`) {
		t.Errorf("without a token: %s", errs)
	}
	for _, wrong := range [][]string{
		{"--authorization", "s=" + cliToken}, {"--authorization", cliToken}, {"--header", "s:X-Team=" + cliToken}, {"--mcp", cliToken},
	} {
		startCLI(t, o, append(args, wrong...)...).want(2)
	}
}

// TestCLIExitCodes: scripts can tell how a run has ended.
func TestCLIExitCodes(t *testing.T) {
	t.Parallel()
	server, _ := startTools(t)
	model := cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		switch r.Last().Content {
		case "fail":
			return modeltest.Status(http.StatusBadRequest, nil, `{"error":{"message":"no"}}`)
		default:
			return modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"x"}`})
		}
	}))
	for _, tt := range []struct {
		name string
		code int
		says string
		args []string
	}{
		{"failed", 3, "the run failed", []string{"run", "fail", "--model", model}},
		{"failed, for programs", 3, "the run failed", []string{"run", "fail", "--model", model, "--json"}},
		{"incomplete", 4, "give it more with --max-steps", []string{"run", "x", "--model", model, "--mcp", "s=" + server.URL(), "--max-steps", "1"}},
		{"refused", 1, "previous_response_id: ", []string{"run", "x", "--previous", "resp_x"}},
		{"a model that nobody knows", 3, "the run failed: ", []string{"run", "x", "--model", "nobody/knows"}},
		{"unknown response", 1, "not found", []string{"responses", "get", "resp_x"}},
		{"unknown flag", 2, "unknown flag: --modl", []string{"run", "x", "--modl", "y"}},
		{"too many arguments", 2, "accepts at most 1 arg", []string{"run", "two", "prompts"}},
		{"bad time", 2, "--created-after must be a date", []string{"responses", "list", "--created-after", "yesterday"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, errs := startCLI(t, cliOptions{}, tt.args...).want(tt.code); !strings.Contains(errs, tt.says) {
				t.Errorf("it says %q, want %q", errs, tt.says)
			}
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		t.Parallel()
		c := startCLI(t, cliOptions{env: []string{"PERDURE_API_KEY=wrong"}}, "responses", "list", "--verbose")
		if _, errs := c.want(1); !strings.Contains(errs, "check the API key (PERDURE_API_KEY") || !strings.Contains(errs, "request req_") {
			t.Errorf("it says %q", errs)
		}
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		c := startCLI(t, cliOptions{url: "http://127.0.0.1:1"}, "responses", "list")
		if _, errs := c.want(1); !strings.Contains(errs, `connection refused: is the server running there? Start one with "perdure dev"`) {
			t.Errorf("it says %q", errs)
		}
	})
}

// TestCLICancel: Ctrl-C cancels the run that it interrupts, whoever watches it sees that, and one in the background stays.
func TestCLICancel(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	text := strings.Repeat("0123456789", 6)
	model := cliModel(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text(text).HoldAfter(3, release) }))

	id, _ := startCLI(t, cliOptions{}, "run", "x", "--model", model, "--detach").want(0)
	id = strings.TrimSpace(id)
	watch := startCLI(t, cliOptions{}, "responses", "watch", id, "--events")
	watch.await(watch.stdout, `response\.output_text\.delta`)
	left := startCLI(t, cliOptions{}, "responses", "watch", id, "--events")
	left.await(left.stdout, `response\.output_text\.delta`)
	left.signal(syscall.SIGINT)
	left.want(130)
	if out, _ := startCLI(t, cliOptions{}, "responses", "cancel", id).want(0); out != id+" is cancelled.\n" {
		t.Errorf("cancel says %q", out)
	}
	if _, errs := watch.want(5); !strings.Contains(errs, "the run was cancelled") {
		t.Errorf("watch says %q", errs)
	}

	run := startCLI(t, cliOptions{}, "run", "x", "--model", model, "--events")
	run.await(run.stdout, `response\.output_text\.delta`)
	run.signal(syscall.SIGINT)
	_, errs := run.want(130)
	match := regexp.MustCompile(`(resp_\S+) is cancelled\.`).FindStringSubmatch(errs)
	if match == nil {
		t.Fatalf("an interrupted run says %q", errs)
	}
	a := sharedStack(t).send(t, http.MethodGet, "/responses/"+match[1], "")
	if r := a.decode(t); r.Status != "cancelled" {
		t.Errorf("the interrupted run is %s", r.Status)
	}

	run = startCLI(t, cliOptions{}, "run", "x", "--model", model, "--events", "--background")
	run.await(run.stdout, `response\.output_text\.delta`)
	run.signal(syscall.SIGINT)
	_, errs = run.want(130)
	if match = regexp.MustCompile(`perdure responses watch (resp_\S+)`).FindStringSubmatch(errs); match == nil {
		t.Fatalf("an interrupted background run says %q", errs)
	}
	a = sharedStack(t).send(t, http.MethodGet, "/responses/"+match[1], "")
	if r := a.decode(t); r.Status != "in_progress" {
		t.Errorf("the background run is %s", r.Status)
	}
	out, _ := startCLI(t, cliOptions{}, "responses", "delete", match[1], id).want(0)
	if want := fmt.Sprintf("%s is deleted.\n%s is deleted.\n", match[1], id); out != want {
		t.Errorf("delete says %q", out)
	}
}

// TestCLIInterruptedBeforeItBegins: a run is cancelled of which nothing was heard yet, because its server is slow to list its tools.
func TestCLIInterruptedBeforeItBegins(t *testing.T) {
	t.Parallel()
	listing, release := make(chan struct{}, 16), make(chan struct{})
	server, _ := startTools(t)
	target, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
	}, FlushInterval: -1}
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case listing <- struct{}{}:
		default:
		}
		<-release
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	model := cliModel(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") }))
	run := startCLI(t, cliOptions{}, "run", "x", "--model", model, "--mcp", "s="+slow.URL+target.Path)
	<-listing
	run.signal(syscall.SIGINT)
	run.await(run.stderr, "Cancelling the run")
	close(release)
	if _, errs := run.want(130); !regexp.MustCompile(`resp_\S+ is (cancelled|completed)\.`).MatchString(errs) {
		t.Errorf("it says %q", errs)
	}
}

// TestCLIResumes: a stream goes on when its starter is killed and started again, with no byte lost or repeated.
func TestCLIResumes(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stackOptions{Temporal: sharedStack(t).options.Temporal, Model: suite.models.url()})
	release := make(chan struct{})
	text := strings.Repeat("0123456789", 8)
	double := modeltest.New(modeltest.Text(text).HoldAfter(11, release))
	model := cliModel(t, double)
	run := startCLI(t, cliOptions{url: s.url}, "run", "x", "--model", model, "--events")
	run.await(run.stdout, `response\.output_text\.delta`)
	s.starter.kill()
	run.await(run.stderr, `lost the connection to http://\S+; trying again|lost the connection to http://\S+: .*; trying again`)
	if err := s.startStarterAt(t.Context(), strings.TrimPrefix(s.url, "http://")); err != nil {
		t.Fatal(err)
	}
	close(release)
	out, _ := run.want(0)
	var frames []frame
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame{e.Type, strings.TrimSuffix(line, "\n")})
	}
	if got := joined(checkWhole(t, frames), "response.output_text.delta"); got != text {
		t.Errorf("the deltas say %q", got)
	}
	if n := len(double.Requests()); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
}

// TestCLIApprovals: without a terminal, a call that needs approval is not made, and said; --yes approves.
func TestCLIApprovals(t *testing.T) {
	t.Parallel()
	s := sharedOpenAIStack(t)
	server, _ := startTools(t)
	model := cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"x"}`})
		}
		return modeltest.Text("done")
	}))
	args := []string{"run", "x", "--model", model, "--mcp", "s=" + server.URL()}
	_, errs := startCLI(t, cliOptions{url: s.url}, args...).want(4)
	if !strings.Contains(errs, `? s.echo {"text":"x"}`) || !strings.Contains(errs, "approve all with --yes") || server.Calls("echo") != 0 {
		t.Errorf("after %d calls it says %q", server.Calls("echo"), errs)
	}
	if out, _ := startCLI(t, cliOptions{url: s.url}, append(args, "--yes")...).want(0); out != "done\n" || server.Calls("echo") != 1 {
		t.Errorf("after %d calls it prints %q", server.Calls("echo"), out)
	}
}

// TestCLICompletion: shells are offered what is there. The organization is the test's own: they are not offered all runs of a large one.
func TestCLICompletion(t *testing.T) {
	t.Parallel()
	operator, own := cliOptions{env: sharedStack(t).env()}, "completion-"+uuid.NewString()
	startCLI(t, operator, "member", "add", user, "--organization", own, "--create-organization").want(0)
	out, _ := startCLI(t, operator, "key", "create", "shell", "--user", user, "--organization", own).want(0)
	key, _, _ := strings.Cut(out, "\n")
	shell := cliOptions{env: []string{"PERDURE_API_KEY=" + key}}
	model := cliModel(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") }))
	id, _ := startCLI(t, shell, "run", "x", "--model", model, "--detach").want(0)
	id = strings.TrimSpace(id)
	startCLI(t, shell, "responses", "watch", id).want(0)
	awaitListed(t, shell, id)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"responses", "watch", ""}, `(?m)^` + id + `\tcompleted openai/`},
		{[]string{"responses", "list", "--status", "can"}, `(?m)^cancelled\n`},
		{[]string{"run", "--effort", ""}, `^none\n`},
		{[]string{"run", "--file", ""}, `^:0\n`}, // files
		{[]string{"run", "--mcp", ""}, `^:4\n`},  // nothing
		{[]string{"resp"}, `(?m)^responses\t`},
	} {
		out, _ := startCLI(t, shell, append([]string{"__complete"}, tt.args...)...).want(0)
		if !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("%v: offered %q, want %s", tt.args, out, tt.want)
		}
	}
	// A server that is away, or a wrong key, is no time for an error.
	out, _ = startCLI(t, cliOptions{env: []string{"PERDURE_API_KEY=wrong"}}, "__complete", "responses", "watch", "").want(0)
	if out != ":4\n" {
		t.Errorf("without a key it offers %q", out)
	}
	for _, name := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, _ := startCLI(t, cliOptions{}, "completion", name).want(0); !strings.Contains(out, "perdure") {
			t.Errorf("there is no completion for %s", name)
		}
	}
}

// awaitListed waits until a response is in the list, which takes a moment.
func awaitListed(t *testing.T, o cliOptions, id string) {
	t.Helper()
	until(t, id+" is listed", func() bool {
		out, _ := startCLI(t, o, "responses", "list", "--limit", "0", "--status", "completed", "--json").want(0)
		return strings.Contains(out, id)
	})
}
