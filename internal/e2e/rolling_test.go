package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// fleet is a stack with two workers and two starters.
type fleet struct {
	*stack
	model   *modeltest.Server
	mcp     *mcptest.Hostile
	workers [2]*process
	phases  []*phase

	mu       sync.Mutex
	starters [2]*process
	urls     [2]string
}

// phase is the time in which one process is restarted. The model holds its answers to the phase's requests for so long.
type phase struct {
	asked chan struct{} // gets a value for each of those requests that has come to the model
	open  chan struct{} // closed when it may answer
}

// rollingText is what the model says. It holds after the first half.
var rollingText = manyPieces("word", 20)

// shortGraces are shorter than what holds, so that everything is handed back, or let go. Nobody waits for the heartbeat timeout.
const shortGraces = "http:\n  shutdown_grace: 1s\n" + shortGrace

func newFleet(t *testing.T, phases int) *fleet {
	t.Helper()
	f := &fleet{mcp: mcptest.NewHostile()}
	for range phases {
		f.phases = append(f.phases, &phase{asked: make(chan struct{}, 100), open: make(chan struct{})})
	}
	f.model = modeltest.NewFunc(f.reply)
	t.Cleanup(func() {
		if err := errors.Join(f.model.Close(), f.mcp.Close()); err != nil {
			t.Error(err)
		}
	})
	f.stack = ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: f.model.URL(), Settings: shortGraces})
	f.workers[0], f.starters[0], f.urls[0] = f.worker, f.starter, f.url
	if err := errors.Join(f.startWorker(), f.startStarter(t.Context())); err != nil {
		t.Fatal(err)
	}
	f.workers[1], f.starters[1], f.urls[1] = f.worker, f.starter, f.url
	return f
}

// reply answers "phase N" when that phase is over, and "quick" with a call of the tool.
func (f *fleet) reply(r modeltest.Request) modeltest.Reply {
	for n, p := range f.phases {
		if r.Messages[0].Content == phaseInput(n) {
			p.asked <- struct{}{}
			return modeltest.Text(rollingText).HoldAfter(11, p.open)
		}
	}
	return callThenText(r)
}

func phaseInput(n int) string { return fmt.Sprintf("phase %d", n) }

func (f *fleet) starterURL(i int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.urls[i]
}

// restartWorker stops a worker and starts another one in its place, once the one that is left has taken over all steps.
func (f *fleet) restartWorker(t *testing.T, i int, p *phase, ids []string) {
	t.Helper()
	had := f.stepsOf(t, f.workers[i], ids)
	if code, err := f.workers[i].stop(); code != 0 || err != nil {
		t.Errorf("worker %d, told to stop: exit code %d, %v", i, code, err)
	}
	p.await(t, had)
	t.Logf("worker %d has handed back %d steps", i, had)
	if err := f.startWorker(); err != nil {
		t.Fatal(err)
	}
	f.workers[i] = f.worker
}

// stepsOf counts the steps that a worker has under way.
func (s *stack) stepsOf(t *testing.T, worker *process, ids []string) int {
	t.Helper()
	n := 0
	for _, id := range ids {
		described, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range described.GetPendingActivities() {
			if strings.HasPrefix(step.GetLastWorkerIdentity(), fmt.Sprintf("%d@", worker.cmd.Process.Pid)) {
				n++
			}
		}
	}
	return n
}

// await waits until the model was asked so many times more.
func (p *phase) await(t *testing.T, times int) {
	t.Helper()
	deadline := time.After(startTimeout)
	for n := range times {
		select {
		case <-p.asked:
		case <-deadline:
			t.Fatalf("the model was asked %d times within %v, want %d", n, startTimeout, times)
		}
	}
}

func (f *fleet) restartStarter(t *testing.T, i int) {
	t.Helper()
	if code, err := f.starters[i].stop(); code != 0 || err != nil {
		t.Errorf("starter %d, told to stop: exit code %d, %v", i, code, err)
	}
	if err := f.startStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starters[i], f.urls[i] = f.starter, f.url
}

// clients are one of each kind, at one starter.
type clients struct {
	waiting    <-chan result
	stream     *sse
	seen       []frame
	background string
}

func (f *fleet) startClients(t *testing.T, starter, n int) *clients {
	t.Helper()
	url, body := f.starterURL(starter), fmt.Sprintf(`{"input": %q`, phaseInput(n))
	c := &clients{waiting: f.sendLater(t, url, apiKey, body+`}`), stream: postStream(t, url, []byte(body+`, "stream": true}`))}
	c.seen = c.stream.until(t, rollingText[:10*pieceSize])
	a, err := send(t.Context(), http.MethodPost, url+"/v1/responses", apiKey, body+`, "background": true}`)
	if err != nil {
		t.Fatal(err)
	}
	c.background = a.decode(t).ID
	return c
}

// finish checks that each client comes to its answer, if need be at the other starter, which is allowed only if its own was restarted.
func (f *fleet) finish(t *testing.T, c *clients, starter int, restarted bool) {
	t.Helper()
	f.completed(t, c.background, "the client that polls")
	a := (<-c.waiting).must(t)
	match := goesOnAs.FindSubmatch(a.body)
	switch {
	case restarted && a.status == http.StatusServiceUnavailable && match != nil:
		f.completed(t, string(match[1]), "the client that waited")
	case restarted:
		t.Errorf("the client that waited got status %d, want 503 with the ID of the run: %s", a.status, a.body)
	default:
		if r := a.decode(t); r.Status != "completed" || r.text() != rollingText {
			t.Errorf("the client that waits got status %s, text %q", r.Status, r.text())
		}
	}
	rest, err := c.stream.rest()
	seen := append(c.seen, rest...)
	if restarted {
		if !errors.Is(err, errCutOff) {
			t.Errorf("the stream of a starter that stops ended with %v, want that it is cut off", err)
		}
		var resumed *sse
		if resumed, err = resume(t.Context(), f.starterURL(1-starter), responseOf(t, seen).ID, len(seen)-1); err == nil {
			rest, err = resumed.rest()
			seen = append(seen, rest...)
		}
	}
	if err != nil {
		t.Fatalf("the stream: %v", err)
	}
	events := checkWhole(t, seen)
	if r := events[len(events)-1].Response; r == nil || r.Status != "completed" || r.text() != rollingText {
		t.Errorf("the stream ends with %s", events[len(events)-1].raw)
	}
}

// completed waits until a response is, at whichever starter.
func (f *fleet) completed(t *testing.T, id, who string) {
	t.Helper()
	f.url = f.starterURL(0)
	if r := f.awaitStatus(t, id, "completed"); r.text() != rollingText {
		t.Errorf("%s got the text %q", who, r.text())
	}
}

// ids are those of the n runs of a phase's clients, all of which are under way. Visitors' runs have another model.
func (f *fleet) ids(t *testing.T, n int, begun time.Time) []string {
	t.Helper()
	query := fmt.Sprintf("TaskQueue = '%s' AND WorkflowType = 'Response' AND ExecutionStatus = 'Running' AND PerdureModel = 'openai/gpt-5.5' "+
		"AND StartTime >= '%s'", f.queue, begun.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano))
	deadline := time.After(startTimeout)
	for {
		answer, err := f.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: client.DefaultNamespace, Query: query})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, run := range answer.GetExecutions() {
			ids = append(ids, run.GetExecution().GetWorkflowId())
		}
		if len(ids) == n {
			return ids
		}
		select {
		case <-deadline:
			t.Fatalf("Temporal shows %d runs of clients, want %d", len(ids), n)
		case <-time.After(pollEvery):
		}
	}
}

// visit makes short requests until ctx ends, each with a key and at whichever starter takes it, as a client behind a load balancer
// does. It returns how many there were.
func (f *fleet) visit(ctx context.Context, first int) (runs int, err error) {
	for ; ctx.Err() == nil; runs++ {
		body := fmt.Sprintf(`{"input": "quick", "model": "backup/gpt-5.5", "tools": [{"type": "mcp", "server_label": "s", "server_url": "%s"}]}`, f.mcp.URL())
		a, err := f.insist(context.WithoutCancel(ctx), first+runs, body)
		if err != nil {
			return runs, err
		}
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"status":"completed"`) || strings.Contains(string(a.body), "outcome of this call") {
			return runs, fmt.Errorf("a short request got status %d: %s", a.status, a.body)
		}
	}
	return runs, nil
}

// insist makes a request until it is answered by a starter that does not stop.
func (f *fleet) insist(ctx context.Context, starter int, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	key := uuid.NewString()
	for i := starter; ; i++ {
		a, err := send(ctx, http.MethodPost, f.starterURL(i%2)+"/v1/responses", apiKey, body, "Idempotency-Key", key)
		if err == nil && a.status != http.StatusServiceUnavailable {
			return a, nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return a, errors.Join(err, fmt.Errorf("no starter answers: the last one said %d: %s", a.status, a.body))
		}
	}
}

// TestRollingRestart: while clients of all kinds are served, every worker and every starter is told to stop, one after another, and
// another one started. No run fails, no call is made twice, and every client comes to its answer.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	restarts := []struct {
		name    string
		worker  bool
		process int
	}{{"first worker", true, 0}, {"first starter", false, 0}, {"second worker", true, 1}, {"second starter", false, 1}}
	f := newFleet(t, len(restarts))
	visiting, leave := context.WithCancel(t.Context())
	defer leave()
	var visitors sync.WaitGroup
	var runs [2]int
	var errs [2]error
	for i := range runs {
		visitors.Go(func() { runs[i], errs[i] = f.visit(visiting, i) })
	}
	for n, restart := range restarts {
		t.Logf("the %s is restarted", restart.name)
		p, begun := f.phases[n], time.Now()
		first, second := f.startClients(t, 0, n), f.startClients(t, 1, n)
		p.await(t, 6)
		if restart.worker {
			f.restartWorker(t, restart.process, p, f.ids(t, 6, begun))
		} else {
			f.restartStarter(t, restart.process)
		}
		close(p.open)
		f.finish(t, first, 0, !restart.worker && restart.process == 0)
		f.finish(t, second, 1, !restart.worker && restart.process == 1)
	}
	leave()
	visitors.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
	t.Logf("beside these, %d short runs", runs[0]+runs[1])
	keys := callKeys(t, f.mcp)
	slices.Sort(keys)
	if n := len(slices.Compact(slices.Clone(keys))); n != len(keys) || n != runs[0]+runs[1] {
		t.Errorf("%d runs made %d calls with %d keys, want one each", runs[0]+runs[1], len(keys), n)
	}
	all := int64(6*len(restarts) + runs[0] + runs[1])
	f.awaitCount(t.Context(), t, all, "WorkflowType = 'Response' AND ExecutionStatus = 'Completed' AND PerdureStatus = 'completed'")
	f.awaitCount(t.Context(), t, all, "WorkflowType = 'Response'")
}
