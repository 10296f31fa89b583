package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// commandTimeout bounds one call of a client library.
const commandTimeout = time.Minute

// library is a client library that we did not write, and what it can do.
type library struct {
	name    string
	program func() (path string, args []string, err error)
	// openAI says that it has OpenAI's methods, which are more than Perplexity's.
	openAI bool
	// helpers says that it can put a stream together itself.
	helpers bool
	// oneError says that it has one class for all errors, which tell themselves apart by their status only.
	oneError string
}

var libraries = []library{
	{name: "openai6", program: nodeProgram("openai.mjs", "openai6"), openAI: true, helpers: true},
	{name: "openai7", program: nodeProgram("openai.mjs", "openai7"), openAI: true, helpers: true},
	{name: "perplexity", program: nodeProgram("perplexity.mjs")},
	{name: "openai-go", program: goProgram, openAI: true, oneError: "*apierror.Error"},
}

func nodeProgram(args ...string) func() (string, []string, error) {
	return func() (string, []string, error) {
		node, err := exec.LookPath("node")
		if err != nil {
			return "", nil, fmt.Errorf("the client libraries from npm need Node.js: %w", err)
		}
		if matches, err := filepath.Glob("npm/node_modules/openai7/index.mjs"); err != nil || matches == nil {
			return "", nil, errors.New("internal/e2e/npm/node_modules is not up to date: run `npm ci` in internal/e2e/npm")
		}
		program, err := filepath.Abs(filepath.Join("npm", "clients", args[0]))
		return node, append([]string{program}, args[1:]...), err
	}
}

func goProgram() (string, []string, error) {
	program, err := goClient()
	return program, nil, err
}

// goClient is the path of the program in goclient, built once. Whether the library has races is not our question.
var goClient = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(suite.dir, "goclient")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = "goclient"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build goclient: %w\n%s", err, out)
	}
	return binary, nil
})

// sdk is a running program that calls a library as it is told. Its calls run at the same time.
type sdk struct {
	library
	stack *stack
	// dialectOpenAI says which dialect the stack speaks.
	dialectOpenAI bool
	cmd           *exec.Cmd
	stderr        *output

	mu      sync.Mutex
	stdin   io.WriteCloser
	waiting []chan<- seen // by the command's ID; nil once it is answered
	ended   chan struct{} // closed when the program will answer no more
}

// command is a call of a library.
type command struct {
	ID            int               `json:"id"`
	Do            string            `json:"do"`
	Body          json.RawMessage   `json:"body,omitempty"`
	ResponseID    string            `json:"response_id,omitempty"`
	BatchID       string            `json:"batch_id,omitempty"`
	StartingAfter *int              `json:"starting_after,omitempty"`
	StopAfter     *int              `json:"stop_after,omitempty"` // cut the stream after this event
	Query         map[string]any    `json:"query,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	BaseURL       string            `json:"base_url,omitempty"`
	File          *commandFile      `json:"file,omitempty"`
	MaxRetries    int               `json:"max_retries,omitempty"`
}

// commandFile is a file to upload, or one that is there.
type commandFile struct {
	ID       string `json:"id,omitempty"`
	Filename string `json:"filename,omitempty"`
	Content  string `json:"content,omitempty"`
}

// seen is what a library made of the answer.
type seen struct {
	ID         int
	Response   json.RawMessage
	OutputText string `json:"output_text"`
	Snapshot   string // the text as the library's helper has put it together
	Events     []json.RawMessage
	Items      []json.RawMessage
	Error      *sdkError
}

// sdkError is an error as the library's users see it.
type sdkError struct {
	Classes []string
	Message string
	Status  int
	Type    string
	Code    any
	Param   *string
}

func startClient(t *testing.T, l library, s *stack) *sdk {
	t.Helper()
	path, args, err := l.program()
	if err != nil {
		t.Fatal(err)
	}
	c := &sdk{library: l, stack: s, cmd: exec.Command(path, args...), stderr: newOutput(), ended: make(chan struct{})}
	c.cmd.Env = append(baseEnv(), "BASE_URL="+s.url, "API_KEY="+apiKey)
	c.cmd.Stderr = c.stderr
	c.cmd.SysProcAttr = dieWithParent()
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go c.read(stdout)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended by itself
		<-c.ended
		_ = c.cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the client of %s wrote:\n%s", l.name, c.stderr.since(0))
		}
	})
	return c
}

func (c *sdk) read(stdout io.Reader) {
	defer close(c.ended)
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var s seen
		if err := json.Unmarshal(line, &s); err != nil {
			_, _ = fmt.Fprintf(c.stderr, "%v in the answer %s", err, line)
			return
		}
		c.mu.Lock()
		if s.ID < len(c.waiting) && c.waiting[s.ID] != nil {
			c.waiting[s.ID] <- s
			c.waiting[s.ID] = nil
		}
		c.mu.Unlock()
	}
}

// begin calls the library and returns at once.
func (c *sdk) begin(t *testing.T, do command) <-chan seen {
	t.Helper()
	answered := make(chan seen, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	do.ID = len(c.waiting)
	c.waiting = append(c.waiting, answered)
	line, err := json.Marshal(do)
	if err == nil {
		_, err = c.stdin.Write(append(line, '\n'))
	}
	if err != nil {
		t.Fatalf("tell the client to %s: %v\n%s", do.Do, err, c.stderr.since(0))
	}
	return answered
}

func (c *sdk) wait(t *testing.T, answered <-chan seen) seen {
	t.Helper()
	select {
	case s := <-answered:
		return s
	case <-c.ended:
		t.Fatalf("the client ended\n%s", c.stderr.since(0))
	case <-time.After(commandTimeout):
		t.Fatalf("no answer from the client after %v\n%s", commandTimeout, c.stderr.since(0))
	}
	return seen{}
}

// call calls the library, which may fail.
func (c *sdk) call(t *testing.T, do command) seen {
	t.Helper()
	return c.wait(t, c.begin(t, do))
}

// must calls the library, which may not fail.
func (c *sdk) must(t *testing.T, do command) seen {
	t.Helper()
	return c.call(t, do).check(t)
}

func (s seen) check(t *testing.T) seen {
	t.Helper()
	if s.Error != nil {
		t.Fatalf("the library throws %v: status %d, %q\nafter these events:\n%s",
			s.Error.Classes, s.Error.Status, s.Error.Message, bytes.Join(rawBytes(s.Events), []byte("\n")))
	}
	return s
}

func rawBytes(messages []json.RawMessage) [][]byte {
	var lines [][]byte
	for _, m := range messages {
		lines = append(lines, m)
	}
	return lines
}

// response decodes the response object.
func (s seen) response(t *testing.T) response {
	t.Helper()
	var r response
	if err := json.Unmarshal(s.Response, &r); err != nil {
		t.Fatalf("%v in %s", err, s.Response)
	}
	return r
}

// wantError checks an error's class and its fields. The class is that of npm's libraries.
func (c *sdk) wantError(t *testing.T, got seen, class string, status int, kind, param string) {
	t.Helper()
	if got.Error == nil {
		t.Errorf("no error, want %s: response %s, %d events", class, got.Response, len(got.Events))
		return
	}
	e := got.Error
	if c.oneError != "" {
		class = c.oneError
	}
	if len(e.Classes) == 0 || e.Classes[0] != class || e.Status != status || e.Type != kind {
		t.Errorf("got %v with status %d and type %q, want %s, %d, %q: %s", e.Classes, e.Status, e.Type, class, status, kind, e.Message)
	}
	if c.oneError == "" && !slices.Contains(e.Classes, "APIError") {
		t.Errorf("got %v, want a subclass of APIError", e.Classes)
	}
	gotParam := ""
	if e.Param != nil {
		gotParam = *e.Param
	}
	if gotParam != param {
		t.Errorf("got the parameter %q, want %q", gotParam, param)
	}
	if e.Message == "" {
		t.Error("the error has no message")
	}
}

// numeric reports whether an error's code is its HTTP status, as a number or, in Go, in digits.
func (e *sdkError) numeric() bool {
	return strings.Trim(fmt.Sprint(e.Code), "0123456789") == ""
}
