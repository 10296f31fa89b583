package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

var batchSize = flag.Int("batch.lines", 2000, "lines of the batch of TestBatchSurvives")

// batchTimeout bounds the test: the race detector and other tests at the same time make it slow.
const batchTimeout = 15 * time.Minute

// brokenBodies are bodies of requests that are refused, each with its status.
var brokenBodies = []struct {
	body   string
	status int
}{
	{`{"model":"openai/gpt-5.5"}`, 400},
	{`{"model":"openai/gpt-5.5","input":42}`, 400},
	{`{"model":"openai/gpt-5.5","input":"x","temperature":"hot"}`, 400},
	{`{"model":"openai/gpt-5.5","input":"x","tools":[{"type":"telepathy"}]}`, 400},
	{`{"model":"openai/gpt-5.5","input":"x","previous_response_id":"resp_nobody"}`, 400},
}

// Every 20th line is broken, and every 20th one, others than those, writes by a tool.
func isBroken(n int) bool { return n%20 == 3 }
func writes(n int) bool   { return n%20 == 11 }

// batchDoubles are the model and the server of tools of a batch, which know what was really done.
type batchDoubles struct {
	mu       sync.Mutex
	asked    int
	refused  int
	bookings map[string]int
	problems []string
}

// reply is the model. It refuses one request in twenty-five because there are too many.
func (d *batchDoubles) reply(r modeltest.Request) modeltest.Reply {
	d.mu.Lock()
	d.asked++
	refuse := d.asked%25 == 0
	if refuse {
		d.refused++
	}
	d.mu.Unlock()
	if refuse {
		return modeltest.RateLimited(1)
	}
	var n int
	if _, err := fmt.Sscanf(r.Messages[0].Content, "line %d", &n); err != nil || isBroken(n) {
		d.problem("the model was asked %q", r.Messages[0].Content)
	}
	if writes(n) && r.Turn() == 0 {
		return modeltest.Calls(modeltest.Call{Name: "s__book", Arguments: fmt.Sprintf(`{"id":"%d"}`, n)})
	}
	return modeltest.Text(fmt.Sprint("answer ", n))
}

func (d *batchDoubles) problem(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

// serve is the server with the tool that writes.
func (d *batchDoubles) serve() *mcptest.Hostile {
	server := mcptest.NewHostile()
	server.On("tools/list", mcptest.Result(`{"tools":[{"name":"book","inputSchema":{"type":"object"}}]}`))
	server.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		var params struct{ Arguments struct{ ID string } }
		if err := json.Unmarshal(m.Params, &params); err != nil || params.Arguments.ID == "" {
			d.problem("a call cannot be read: %s", m.Params)
		}
		d.mu.Lock()
		d.bookings[params.Arguments.ID]++
		d.mu.Unlock()
		mcptest.Result(`{"content":[{"type":"text","text":"booked"}]}`)(w, r, m)
	})
	return server
}

// TestBatchSurvives: a batch with broken lines, lines that write, and a model that refuses turns now and then, while workers, starters,
// the event log and Temporal are killed: each line is answered once, errors are where they belong, and no write is made twice.
func TestBatchSurvives(t *testing.T) {
	t.Parallel()
	d := &batchDoubles{bookings: map[string]int{}}
	model, tools := modeltest.NewFunc(d.reply).Forget(), d.serve()
	closeAtEnd(t, model.Close)
	closeAtEnd(t, tools.Close)
	m := newMachine(t, model.URL(), "")
	for _, url := range m.urls() {
		if err := awaitReady(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	var content strings.Builder
	for n := range *batchSize {
		body := fmt.Sprintf(`{"model":"openai/gpt-5.5","input":"line %d"}`, n)
		switch {
		case isBroken(n):
			body = brokenBodies[n/20%len(brokenBodies)].body
		case writes(n):
			body = fmt.Sprintf(`{"model":"openai/gpt-5.5","input":"line %d","tools":[{"type":"mcp","server_label":"s","server_url":%q}]}`, n, tools.URL())
		}
		content.WriteString(batchRequest(fmt.Sprint("custom-", n), body) + "\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), batchTimeout)
	defer cancel()
	url := m.starter()
	began := time.Now()
	b := createBatch(ctx, t, url, upload(ctx, t, url, content.String()), "")
	killed := m.killDuring(ctx, t, b.ID, "worker-1", "temporal", "starter-1", "worker-2", "nats", "starter-2", "temporal", "worker-1")
	b = m.batchUntil(ctx, t, b.ID, "completed", ended)
	t.Logf("%d lines in %v, %d processes killed meanwhile, %d turns refused", *batchSize, time.Since(began).Round(time.Second), killed, d.refused)

	url = m.starter()
	output, failed := batchLines(ctx, t, url, b.OutputFileID), batchLines(ctx, t, url, b.ErrorFileID)
	wrong := d.checkLines(t, output, failed)
	if c := b.RequestCounts; b.Status != "completed" || c.Total != *batchSize || c.Completed != len(output) || c.Failed != len(failed) || b.Usage.TotalTokens == 0 {
		t.Errorf("the batch is %+v, with %d lines of output and %d of errors", b, len(output), len(failed))
	}
	if d.refused == 0 || wrong > 0 {
		t.Errorf("%d turns were refused, %d lines are wrong", d.refused, wrong)
	}
	for _, problem := range d.problems {
		t.Error(problem)
	}
	for id, n := range d.bookings {
		if n > 1 {
			t.Errorf("line %s has written %d times", id, n)
		}
	}
	m.checkLogs(t)
	checkReplay(t, m.stack, b.ID)
}

// checkLines wants each line once, in order, where it belongs.
func (d *batchDoubles) checkLines(t *testing.T, output, failed []batchLine) (wrong int) {
	t.Helper()
	bad := func(format string, args ...any) {
		if wrong++; wrong <= 20 {
			t.Errorf(format, args...)
		}
	}
	for n := range *batchSize {
		lines := &output
		if isBroken(n) {
			lines = &failed
		}
		if len(*lines) == 0 || (*lines)[0].CustomID != fmt.Sprint("custom-", n) {
			bad("line %d is missing, or not in its place", n)
			continue
		}
		l := (*lines)[0]
		*lines = (*lines)[1:]
		switch {
		case l.Response == nil || l.Error != nil:
			bad("line %d has no answer: %+v", n, l)
		case isBroken(n):
			if want := brokenBodies[n/20%len(brokenBodies)].status; l.Response.StatusCode != want || !strings.Contains(string(l.Response.Body), `"error":{`) {
				bad("line %d was refused with %d, want status %d: %s", n, l.Response.StatusCode, want, l.Response.Body)
			}
		case l.Response.StatusCode != http.StatusOK || l.answer(t).Status != "completed" || l.answer(t).text() != fmt.Sprint("answer ", n):
			bad("line %d was answered with %d: %s", n, l.Response.StatusCode, l.Response.Body)
		case writes(n):
			call := l.answer(t).Output[1]
			unknown := call.Error != nil && strings.Contains(*call.Error, outcomeUnknown)
			if !unknown && (call.Output != "booked" || d.bookings[fmt.Sprint(n)] != 1) {
				bad("line %d has called the tool %d times: %+v", n, d.bookings[fmt.Sprint(n)], call)
			}
		}
	}
	if len(output)+len(failed) > 0 {
		bad("%d lines of output and %d of errors are too many", len(output), len(failed))
	}
	return wrong
}

// killDuring kills parts of the machine one after another, spread over the lines of a batch, and has each come back after a moment.
func (m *machine) killDuring(ctx context.Context, t *testing.T, id string, names ...string) (killed int) {
	t.Helper()
	for i, name := range names {
		until := (i + 1) * *batchSize / (len(names) + 2)
		m.batchUntil(ctx, t, id, fmt.Sprintf("past line %d", until), func(b batchObject) bool {
			return ended(b) || b.RequestCounts.Completed+b.RequestCounts.Failed >= until
		})
		for _, p := range m.parts {
			if p.name != name || !p.kill() {
				continue
			}
			killed++
			pause(ctx, 2*time.Second)
			if err := m.launch(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return killed
}

// batchUntil polls a batch, at whichever starter is there, until it is as wanted.
func (m *machine) batchUntil(ctx context.Context, t *testing.T, id, what string, as func(batchObject) bool) batchObject {
	t.Helper()
	var last batchObject
	for {
		if b, ok := batchAt(ctx, m.starter(), id); ok {
			if last = b; as(b) {
				return b
			}
		}
		if !pause(ctx, 200*time.Millisecond) {
			t.Fatalf("the batch is not %s but %+v", what, last)
		}
	}
}
