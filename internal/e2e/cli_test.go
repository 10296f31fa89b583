package e2e

import (
	"bytes"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"perdure/internal/modeltest"
)

// cli is a command line at work as a client of the API.
type cli struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{}
	shown          <-chan struct{} // closed when a terminal has shown all; nil without one
	code           int             // read after ended is closed
}

// cliOptions are what a command gets besides its arguments.
type cliOptions struct {
	url   string // of the server; empty for that of the shared stack
	env   []string
	stdin io.Reader
	dir   string
}

// startCLI runs a command of perdure against a stack, as alice. Wherever a command writes, her key is not to be seen.
func startCLI(t *testing.T, o cliOptions, args ...string) *cli {
	t.Helper()
	binary, err := perdure()
	if err != nil {
		t.Fatal(err)
	}
	if o.url == "" {
		o.url = sharedStack(t).url
	}
	c := &cli{t: t, cmd: exec.Command(binary, args...), stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	if c.cmd.Dir = o.dir; o.dir == "" {
		c.cmd.Dir = t.TempDir()
	}
	c.cmd.Env = append(baseEnv(), "GORACE=atexit_sleep_ms=0", "PERDURE_URL="+o.url, "PERDURE_API_KEY="+apiKey)
	c.cmd.Env = append(c.cmd.Env, o.env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = o.stdin, c.stdout, c.stderr
	c.cmd.SysProcAttr = dieWithParent()
	c.start(args)
	return c
}

// start starts the command and waits for its end in the background.
func (c *cli) start(args []string) {
	c.t.Helper()
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // the code says how
		c.code = c.cmd.ProcessState.ExitCode()
		close(c.ended)
	}()
	c.t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.ended
		out, errs := c.stdout.since(0), c.stderr.since(0)
		for _, secret := range []string{apiKey, cliToken} {
			if bytes.Contains(out, []byte(secret)) || bytes.Contains(errs, []byte(secret)) {
				c.t.Errorf("perdure %v shows a secret", args)
			}
		}
		if bytes.Contains(errs, []byte("WARNING: DATA RACE")) {
			c.t.Errorf("perdure %v has a data race:\n%s", args, errs)
		}
		if c.t.Failed() {
			c.t.Logf("perdure %v: exit code %d\n%.4000s\n%.4000s", args, c.code, out, errs)
		}
	})
}

// cliToken must show nowhere but at the MCP server that it is for.
const cliToken = "tok-e2e-canary-of-the-command-line"

// wait returns the exit code and what was written.
func (c *cli) wait() (code int, stdout, stderr string) {
	c.t.Helper()
	<-c.ended
	if c.shown != nil {
		<-c.shown
	}
	return c.code, string(c.stdout.since(0)), string(c.stderr.since(0))
}

// want waits for an exit code, and returns what was written.
func (c *cli) want(code int) (stdout, stderr string) {
	c.t.Helper()
	got, stdout, stderr := c.wait()
	if got != code {
		c.t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, code, stdout, stderr)
	}
	return stdout, stderr
}

// await waits until something is written to standard output or, for notes of the command, standard error.
func (c *cli) await(out *output, pattern string) []string {
	c.t.Helper()
	match, err := out.await(c.t.Context(), regexp.MustCompile(pattern))
	if err != nil {
		c.t.Fatal(err)
	}
	return match
}

func (c *cli) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// cliModel plugs a model in, and returns the name by which runs ask for it.
func cliModel(t *testing.T, model *modeltest.Server) string {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	suite.models.plug(t, name, model)
	return "openai/gpt-5.5@" + name
}

// unstable are the parts of what a run says of itself that differ from run to run.
var unstable = regexp.MustCompile(`resp_[0-9a-f-]{36}|\d+\.\ds|req_[0-9a-f-]{36}|127\.0\.0\.1:\d+|(?m:^==.*$)`)

// stable is a text without them.
func stable(text string) string {
	return unstable.ReplaceAllStringFunc(text, func(s string) string {
		switch {
		case strings.HasPrefix(s, "resp_"):
			return "resp_ID"
		case strings.HasPrefix(s, "req_"):
			return "req_ID"
		case strings.HasPrefix(s, "127."):
			return "HOST"
		default:
			return "0.0s"
		}
	})
}
