package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"perdure/internal/modeltest"
)

// TestCLIOnTerminal: text comes as it is made, calls are drawn while they last, and NO_COLOR is plain.
func TestCLIOnTerminal(t *testing.T) {
	t.Parallel()
	server, _ := startTools(t)
	release := make(chan struct{})
	long := strings.Repeat("word ", 60)
	model := cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return modeltest.Calls(modeltest.Call{Name: "s__slow", Arguments: `{}`})
		}
		return modeltest.Text("Half of it,\x1b[31m"+long).HoldAfter(3, release)
	}))
	c, _ := startCLIOnTerminal(t, cliOptions{}, "run", "x", "--model", model, "--mcp", "s="+server.URL())
	c.await(c.stdout, `\x1b\[2m… s\.slow \{\} \(\d\.[1-9]s\)`) // drawn again after a while
	server.Release()
	c.await(c.stdout, `Half of it`) // before the model has said the other half
	close(release)
	out, _ := c.want(0)
	if !strings.Contains(out, "\x1b[32m✓\x1b[0m s.slow {}") || !strings.Contains(out, "\x1b[32mcompleted\x1b[0m in ") {
		t.Errorf("it shows %q", out)
	}
	if strings.Contains(out, "\x1b[31mword") {
		t.Errorf("the model steers the terminal: %q", out)
	}
	plain, _ := startCLIOnTerminal(t, cliOptions{env: []string{"NO_COLOR=1"}}, "run", "x", "--model", model, "--mcp", "s="+server.URL())
	out, _ = plain.want(0)
	if strings.Contains(out, "\x1b") || !strings.Contains(out, "✓ s.slow {}") {
		t.Errorf("with NO_COLOR it shows %q", out)
	}
}

// TestCLIAsksForApproval: the calls of the dialect openai are made, or not, as whoever sits there says.
func TestCLIAsksForApproval(t *testing.T) {
	t.Parallel()
	s := sharedOpenAIStack(t)
	model := cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return modeltest.Calls(
				modeltest.Call{Name: "s__echo", Arguments: `{"text":"one"}`}, modeltest.Call{Name: "s__echo", Arguments: `{"text":"two"}`})
		}
		return modeltest.Text("done")
	}))
	for _, tt := range []struct {
		replies []string
		calls   int
	}{{[]string{"y", "n"}, 1}, {[]string{"", "x"}, 0}, {[]string{"a"}, 2}} {
		server, _ := startTools(t)
		c, keyboard := startCLIOnTerminal(t, cliOptions{url: s.url}, "run", "x", "--model", model, "--mcp", "s="+server.URL())
		for n, reply := range tt.replies {
			c.await(c.stdout, `(?s)(Make this call\? .*){`+string(rune('1'+n))+`}`)
			typeLine(t, keyboard, reply)
		}
		out, _ := c.want(0)
		if server.Calls("echo") != tt.calls || !regexp.MustCompile(`done\r\n`).MatchString(out) {
			t.Errorf("after %v there were %d calls, want %d; it shows %q", tt.replies, server.Calls("echo"), tt.calls, out)
		}
	}
	// Ctrl-C is an answer, too.
	server, _ := startTools(t)
	c, keyboard := startCLIOnTerminal(t, cliOptions{url: s.url}, "run", "x", "--model", model, "--mcp", "s="+server.URL())
	c.await(c.stdout, `Make this call\?`)
	if _, err := keyboard.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	c.want(130)
	if server.Calls("echo") != 0 {
		t.Error("the call was made")
	}
}

func typeLine(t *testing.T, keyboard *os.File, text string) {
	t.Helper()
	if _, err := keyboard.WriteString(text + "\n"); err != nil {
		t.Fatal(err)
	}
}

// TestCLIBatchOnTerminal: a bar with the rate and the time left, that other lines stand above.
func TestCLIBatchOnTerminal(t *testing.T) {
	t.Parallel()
	const lines, held = 12, 6
	s := ownStack(t, stackOptions{Temporal: sharedStack(t).options.Temporal, Model: suite.models.url()})
	counting := newCountingModel(held)
	dir := writeRequests(t, cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Last().Content == "line 2" {
			return modeltest.Status(http.StatusBadRequest, nil, `{"error":{"message":"not this one"}}`)
		}
		return counting.reply(r)
	})), lines)
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	c, _ := startCLIOnTerminal(t, cliOptions{url: s.url}, "batch", "run", in, "-o", out)
	c.await(c.stdout, "\x1b\\[36m█{12}░{12}  50% \x1b\\[0m6 of 12 · 1 failed")
	c.await(c.stdout, "\x1b\\[31m✗\x1b\\[0m c2: ")
	close(counting.release)
	shown, _ := c.want(4)
	if !regexp.MustCompile(`\d/s · `).MatchString(shown) || !strings.Contains(shown, "12 of 12 · 1 failed · completed · batch_") {
		t.Errorf("it shows %q", shown)
	}
	// What remains is not the bar.
	if last := shown[strings.LastIndex(shown, "\x1b[J"):]; strings.Contains(last, "█") {
		t.Errorf("at the end it shows %q", last)
	}
}

// TestCLIAsksForSecrets: whoever adds a server is asked whether they trust it, and for its key, which is not shown while it is typed.
func TestCLIAsksForSecrets(t *testing.T) {
	t.Parallel()
	d := startDev(t, filepath.Join(t.TempDir(), "data"))
	github := strings.Replace(d.mcp, "/mcp", "/github/mcp", 1)
	o := cliOptions{url: d.api, env: []string{"PERDURE_API_KEY=" + d.key}}
	c, keyboard := startCLIOnTerminal(t, o, "connector", "add", "asked", github, "--token", "ask", "--enable")
	c.await(c.stdout, "token: ")
	typeLine(t, keyboard, cliToken)
	c.await(c.stdout, `Do you trust it\? \[y/N\]`)
	typeLine(t, keyboard, "y")
	if out, _ := c.want(0); !strings.Contains(out, "Connected") {
		t.Errorf("it shows %q", out)
	}
	c, keyboard = startCLIOnTerminal(t, o, "connector", "add", "not trusted", d.mcp)
	c.await(c.stdout, `Do you trust it\?`)
	typeLine(t, keyboard, "")
	if out, _ := c.want(1); !strings.Contains(out, "nothing was saved") {
		t.Errorf("it shows %q", out)
	}
	c, keyboard = startCLIOnTerminal(t, o, "connector", "update", "asked", "--token", "ask")
	c.await(c.stdout, "token: ")
	if _, err := keyboard.WriteString("half a secret\x03"); err != nil {
		t.Fatal(err)
	}
	if out, _ := c.want(130); strings.Contains(out, "half") {
		t.Errorf("it shows %q", out)
	}
}
