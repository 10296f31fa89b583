package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
)

// countingModel answers each prompt with itself, counts how often it was asked, and holds those from a number on back until it is released.
type countingModel struct {
	mu      sync.Mutex
	asked   map[string]int
	from    int
	release chan struct{}
}

func newCountingModel(from int) *countingModel {
	return &countingModel{asked: map[string]int{}, from: from, release: make(chan struct{})}
}

func (m *countingModel) reply(r modeltest.Request) modeltest.Reply {
	prompt := r.Last().Content
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[prompt]++
	reply := modeltest.Text(prompt)
	if n, err := strconv.Atoi(strings.TrimPrefix(prompt, "line ")); err == nil && n >= m.from {
		return reply.Hold(m.release)
	}
	return reply
}

// checkOnce checks that each line was asked about once.
func (m *countingModel) checkOnce(t *testing.T, lines int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	want := map[string]int{}
	for n := range lines {
		want[fmt.Sprint("line ", n)] = 1
	}
	if diff := cmp.Diff(want, m.asked); diff != "" {
		t.Errorf("how often the model was asked (-want +got):\n%s", diff)
	}
}

// writeRequests writes a file of requests, and returns its directory.
func writeRequests(t *testing.T, model string, lines int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var b bytes.Buffer
	for n := range lines {
		fmt.Fprintf(&b, `{"custom_id":"c%d","method":"POST","url":"/v1/responses","body":{"model":%q,"input":"line %d"}}`+"\n", n, model, n)
	}
	if err := os.WriteFile(filepath.Join(dir, "in.jsonl"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkResults checks that every line has its answer, in the order of the requests.
func checkResults(t *testing.T, path string, lines int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		var result struct {
			CustomID string `json:"custom_id"`
			Response struct{ Body response }
		}
		if err := json.Unmarshal(line, &result); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		if result.CustomID != fmt.Sprint("c", n) || result.Response.Body.text() != fmt.Sprint("line ", n) {
			t.Errorf("line %d is the result of %s: %q", n+1, result.CustomID, result.Response.Body.text())
		}
		n++
	}
	if n != lines {
		t.Errorf("there are %d results, want %d", n, lines)
	}
}

// batches lists the batches of a stack.
func (s *stack) batches(t *testing.T) []string {
	t.Helper()
	out, _ := startCLI(t, cliOptions{url: s.url}, "batch", "list", "--json").want(0)
	var ids []string
	for line := range strings.Lines(out) {
		var b struct{ ID string }
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	return ids
}

// TestCLIBatchGoesOn: a batch whose command is interrupted, killed and cut off, and whose starter is killed, has each result once, in order,
// and no line was sent twice.
func TestCLIBatchGoesOn(t *testing.T) {
	t.Parallel()
	const lines, held = 40, 15
	s := ownStack(t, stackOptions{Temporal: sharedStack(t).options.Temporal, Model: suite.models.url()})
	counting := newCountingModel(held)
	dir := writeRequests(t, cliModel(t, modeltest.NewFunc(counting.reply)), lines)
	run := func() *cli {
		return startCLI(t, cliOptions{url: s.url, dir: dir}, "batch", "run", "in.jsonl", "-o", "out.jsonl", "--json", "--concurrency", "10")
	}
	const someDone = `"completed":(1[0-9]|[5-9])\b`

	first := run()
	first.await(first.stdout, someDone)
	// One at a time: two that write the same file would spoil it.
	if _, errs := run().want(1); !strings.Contains(errs, "another perdure batch run writes out.jsonl") {
		t.Errorf("a second command at the same time: %s", errs)
	}
	first.signal(syscall.SIGINT)
	if _, errs := first.want(130); !strings.Contains(errs, "Start the same command again") {
		t.Errorf("an interrupted command says %q", errs)
	}
	second := run()
	match := second.await(second.stderr, `Going on with the batch (batch_\S+)\.`)
	second.await(second.stdout, someDone)
	second.signal(syscall.SIGKILL)
	second.want(-1)

	third := run()
	third.await(third.stdout, someDone)
	s.starter.kill()
	third.await(third.stderr, "lost the connection|cannot reach")
	if err := s.startStarterAt(t.Context(), strings.TrimPrefix(s.url, "http://")); err != nil {
		t.Fatal(err)
	}
	close(counting.release)
	third.want(0)

	checkResults(t, filepath.Join(dir, "out.jsonl"), lines)
	counting.checkOnce(t, lines)
	if diff := cmp.Diff([]string{match[1]}, s.batches(t)); diff != "" {
		t.Errorf("the batches: %s", diff)
	}
	// It has ended. Once more is not again.
	_, errs := run().want(0)
	if !strings.Contains(errs, "has ended before, and its results are in out.jsonl") {
		t.Errorf("after its end it says %q", errs)
	}
	checkResults(t, filepath.Join(dir, "out.jsonl"), lines)
	counting.checkOnce(t, lines)
	if _, err := os.Stat(filepath.Join(dir, "out.errors.jsonl")); !os.IsNotExist(err) {
		t.Errorf("there is a file of failures without any: %v", err)
	}
}

// TestCLIBatchKilledAtTheWorstMoment: the command is killed when the server has done what it asked for and the answer is on its way.
func TestCLIBatchKilledAtTheWorstMoment(t *testing.T) {
	t.Parallel()
	const lines = 5
	for _, path := range []string{"/v1/files", "/v1/batches"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := ownStack(t, stackOptions{Temporal: sharedStack(t).options.Temporal, Model: suite.models.url()})
			counting := newCountingModel(lines)
			dir := writeRequests(t, cliModel(t, modeltest.NewFunc(counting.reply)), lines)
			target, err := url.Parse(s.url)
			if err != nil {
				t.Fatal(err)
			}
			var killed sync.Once
			answered := make(chan struct{})
			proxy := &httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
				ModifyResponse: func(r *http.Response) error {
					if r.Request.Method == http.MethodPost && r.Request.URL.Path == path {
						killed.Do(func() {
							close(answered)
							<-r.Request.Context().Done() // the one who asked is gone
						})
					}
					return nil
				},
				ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
			}
			front := httptest.NewServer(proxy)
			t.Cleanup(front.Close)
			args := []string{"batch", "run", "in.jsonl", "-o", "out.jsonl"}
			first := startCLI(t, cliOptions{url: front.URL, dir: dir}, args...)
			<-answered
			first.signal(syscall.SIGKILL)
			first.want(-1)
			startCLI(t, cliOptions{url: front.URL, dir: dir}, args...).want(0)
			checkResults(t, filepath.Join(dir, "out.jsonl"), lines)
			counting.checkOnce(t, lines)
			if n := len(s.batches(t)); n != 1 {
				t.Errorf("there are %d batches", n)
			}
		})
	}
}

// TestCLIBatch: what a batch with failures looks like, and all that can be done with batches.
func TestCLIBatch(t *testing.T) {
	t.Parallel()
	const lines = 12
	s := ownStack(t, stackOptions{Temporal: sharedStack(t).options.Temporal, Model: suite.models.url()})
	counting := newCountingModel(lines)
	fail := true
	model := cliModel(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		reply := counting.reply(r)
		counting.mu.Lock()
		defer counting.mu.Unlock()
		if fail && r.Last().Content == "line 7" {
			return modeltest.Status(http.StatusBadRequest, nil, `{"error":{"message":"not this one"}}`)
		}
		return reply
	}))
	dir := writeRequests(t, model, lines)
	at := func(args ...string) *cli { return startCLI(t, cliOptions{url: s.url, dir: dir}, args...) }
	_, errs := at("batch", "run", "in.jsonl", "-o", "out.jsonl", "--metadata", "why=test").want(4)
	if !regexp.MustCompile(`✗ c7: .*\n(?s:.*)12 of 12 · 1 failed · completed · batch_\S+\nperdure: 1 request of the batch (batch_\S+) failed \(in out\.errors\.jsonl\): send them again with: perdure batch retry batch_`).MatchString(errs) {
		t.Errorf("it says %q", errs)
	}
	failed, err := os.ReadFile(filepath.Join(dir, "out.errors.jsonl"))
	if err != nil || bytes.Count(failed, []byte("\n")) != 1 || !bytes.Contains(failed, []byte(`"custom_id":"c7"`)) {
		t.Errorf("the failures are %s, %v", failed, err)
	}
	id := s.batches(t)[0]
	written, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
	if err != nil || bytes.Count(written, []byte("\n")) != lines-1 {
		t.Errorf("%d results, %v", bytes.Count(written, []byte("\n")), err)
	}
	if out, _ := at("batch", "download", id).want(0); out != string(written) {
		t.Error("what is downloaded later differs")
	}
	if out, _ := at("batch", "download", id, "--failed").want(0); out != string(failed) {
		t.Error("the failures that are downloaded later differ")
	}
	at("batch", "download", id, "-o", "out.jsonl").want(1) // it is there
	if out, _ := at("batch", "get", id).want(0); !strings.Contains(out, "12 of 12 done, 1 of them failed") {
		t.Errorf("get shows %q", out)
	}
	if out, _ := at("__complete", "batch", "watch", "").want(0); !strings.Contains(out, id+"\tcompleted, 12 of 12, ") {
		t.Errorf("offered is %q", out)
	}
	if _, errs := at("batch", "watch", id).want(4); !strings.Contains(errs, "12 of 12 · 1 failed · completed") {
		t.Errorf("watch says %q", errs)
	}

	// A changed input is another batch's.
	in, err := os.OpenFile(filepath.Join(dir, "in.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(in, `{"custom_id":"more","method":"POST","url":"/v1/responses","body":{"model":%q,"input":"line 12"}}`+"\n", model)
	in.Close()
	if _, errs := at("batch", "run", "in.jsonl", "-o", "out.jsonl").want(1); !strings.Contains(errs, "in.jsonl is not what was sent as the batch "+id) || !strings.Contains(errs, "--restart") {
		t.Errorf("a changed input: %s", errs)
	}

	counting.mu.Lock()
	fail = false
	counting.mu.Unlock()
	again, _ := at("batch", "retry", id).want(0)
	again = strings.TrimSpace(again)
	at("batch", "watch", again, "--json").want(0)
	if out, _ := at("batch", "download", again).want(0); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"custom_id":"c7"`) {
		t.Errorf("the retry has %q", out)
	}

	// One that waits can be paused, resumed and cancelled.
	at("batch", "run", "in.jsonl", "-o", "other.jsonl", "--detach").want(0) // line 12 is held
	other := s.batches(t)[0]
	if out, _ := at("batch", "pause", other).want(0); out != other+" is paused.\n" {
		t.Errorf("pause says %q", out)
	}
	at("batch", "resume", other).want(0)
	watch := at("batch", "watch", other)
	at("batch", "cancel", other).want(0)
	if _, errs := watch.want(5); !strings.Contains(errs, "was cancelled: ") {
		t.Errorf("watch says %q", errs)
	}
	at("batch", "run", "in.jsonl", "-o", "other.jsonl").want(5)

	for _, wrong := range []struct {
		name, text, says string
		code             int
	}{
		{"no JSON", "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{\"input\":\"x\"}}\nnonsense\n", "line 2", 1},
		{"empty", "", "is empty", 1},
	} {
		path := filepath.Join(dir, "wrong.jsonl")
		if err := os.WriteFile(path, []byte(wrong.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs := at("batch", "run", "wrong.jsonl").want(wrong.code); !strings.Contains(errs, wrong.says) {
			t.Errorf("%s: it says %q", wrong.name, errs)
		}
	}
}
