package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"perdure/workflows"
)

// checkOutput compares an output with the plan: each call once, in its place, with its result. A write that was cut off may say that its
// outcome is unknown; the IDs of those are returned.
func (p *plannedRun) checkOutput(r response) (unknown []string, err error) {
	items := r.Output
	take := func(kind string) (item, error) {
		if len(items) == 0 || items[0].Type != kind {
			return item{}, fmt.Errorf("the output is %v, without a %s where one is planned", r.types(), kind)
		}
		it := items[0]
		items = items[1:]
		return it, nil
	}
	says := func(text string) error {
		it, err := take("message")
		if err != nil {
			return err
		}
		if len(it.Content) != 1 || it.Content[0].Text != text {
			return fmt.Errorf("a message says %+v, want %q", it.Content, text)
		}
		return nil
	}
	for _, label := range []string{"a", "b"} {
		if it, err := take("mcp_list_tools"); err != nil || it.ServerLabel != label {
			return nil, fmt.Errorf("the list of %s is not there: %w", label, err)
		}
	}
	for _, turn := range p.turns {
		if turn.text != "" {
			if err := says(turn.text); err != nil {
				return nil, err
			}
		}
		for _, call := range turn.calls {
			it, err := take("mcp_call")
			if err != nil {
				return nil, err
			}
			if it.ServerLabel != call.server || it.Name != call.tool || it.Arguments != call.arguments() {
				return nil, fmt.Errorf("got the call %+v, want %+v", it, call)
			}
			switch {
			case it.Error == nil && it.Output == call.output():
			case call.tool == bookTool && it.Error != nil && it.Output == "" && strings.Contains(*it.Error, outcomeUnknown):
				unknown = append(unknown, call.id)
			default:
				return nil, fmt.Errorf("the call %s came to %q, error %v", call.id, it.Output, deref(it.Error))
			}
		}
	}
	if err := says(p.text); err != nil {
		return nil, err
	}
	if len(items) > 0 {
		return nil, fmt.Errorf("the output is %v, more than was planned", r.types())
	}
	return unknown, nil
}

func deref(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// check checks a run after all killing is over. It returns the IDs of the writes whose outcome is unknown.
func (r *chaosRun) check(t *testing.T, m *machine) (unknown []string) {
	t.Helper()
	if r.err != nil {
		t.Errorf("its client: %v", r.err)
		return nil
	}
	var all [][]byte
	for _, url := range m.urls() {
		all = append(all, m.read(t, url, "/responses/"+r.id))
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Errorf("starters disagree about the response:\n%s\n%s", all[0], all[1])
	}
	got := answer{status: http.StatusOK, body: all[0]}.decode(t)
	if got.Status != "completed" {
		t.Fatalf("it is %s: %s", got.Status, all[0])
	}
	unknown, err := r.checkOutput(got)
	if err != nil {
		t.Error(err)
	}
	if r.answer != nil && !bytes.Equal(r.answer, all[0]) {
		t.Errorf("its client got an answer that is not the response:\n%s\n%s", r.answer, all[0])
	}
	r.checkStream(t, m, all[0])
	checkReplay(t, m.stack, r.id)
	return unknown
}

// read is a GET that must succeed now that all is well.
func (m *machine) read(t *testing.T, url, path string) []byte {
	t.Helper()
	a, err := send(t.Context(), http.MethodGet, url+"/v1"+path, apiKey, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK {
		t.Fatalf("GET %s: status %d: %s", path, a.status, a.body)
	}
	return a.body
}

// checkStream checks that the events are whole, say what the response says, and are the same again at every starter: those that the
// client has put together of pieces, if it asked for events.
func (r *chaosRun) checkStream(t *testing.T, m *machine, want []byte) {
	t.Helper()
	first := r.seen
	for _, url := range m.urls() {
		again := replay(t, url, r.id)
		if first == nil {
			first = again
			continue
		}
		if diff := difference(first, again); diff != "" {
			r.diverged = true
			t.Errorf("the events are others when they are read again: %s", diff)
		}
	}
	_, last := final(t, checkWhole(t, first))
	if got, want := decoded(t, last), decoded(t, want); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the last event differs from the response:\n%v\n%v", got, want)
	}
}

// checkConversation checks that a conversation has the items of its runs, each once and in their order.
func (c *chaosClient) checkConversation(t *testing.T) {
	t.Helper()
	var want []string
	for _, run := range c.runs {
		var r response
		if err := json.Unmarshal(run.answer, &r); err != nil {
			t.Fatal(err)
		}
		want = append(want, "run "+fmt.Sprint(run.number))
		for _, it := range r.Output {
			want = append(want, it.ID)
		}
	}
	var list struct{ Data []item }
	body := c.machine.read(t, c.machine.starter(), "/conversations/"+c.conversation+"/items?order=asc&limit=100")
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range list.Data {
		if it.Type == "message" && strings.HasPrefix(it.Content[0].Text, "run ") {
			got = append(got, it.Content[0].Text)
		} else {
			got = append(got, it.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the conversation has the items\n%v, want\n%v", got, want)
	}
}

// checkRecorded compares what Temporal has recorded with the runs: each that was accepted has ended well, and none was started twice.
func (m *machine) checkRecorded(ctx context.Context, t *testing.T, runs []*chaosRun) (ended int) {
	t.Helper()
	query := "WorkflowType = '" + workflows.ResponseName + "'"
	m.stack.awaitCount(ctx, t, int64(len(runs)), query)
	m.stack.awaitCount(ctx, t, int64(len(runs)), query+" AND ExecutionStatus = 'Completed'")
	known := map[string]bool{}
	for _, run := range runs {
		known[run.id] = true
	}
	for _, e := range m.recorded(ctx, t, "TaskQueue = '"+m.stack.queue+"' AND "+query) {
		id := e.GetExecution().GetWorkflowId()
		if !known[id] {
			t.Errorf("the run %s was accepted, and no client knows of it", id)
		}
		if e.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
			t.Errorf("the run %s was accepted, and is %s", id, e.GetStatus())
			continue
		}
		ended++
	}
	return ended
}

// recorded lists what Temporal has.
func (m *machine) recorded(ctx context.Context, t *testing.T, query string) []*workflowpb.WorkflowExecutionInfo {
	t.Helper()
	var all []*workflowpb.WorkflowExecutionInfo
	var token []byte
	for {
		page, err := m.stack.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: "default", Query: query, NextPageToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.GetExecutions()...)
		if token = page.GetNextPageToken(); len(token) == 0 {
			return all
		}
	}
}

// checkLogs looks for what no process may write, however it is killed.
func (m *machine) checkLogs(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, err := range m.failed {
		t.Error(err)
	}
	for _, p := range m.logs {
		for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "nondeterministic", "TMPRL1100"} {
			if at := bytes.Index(p.wrote(), []byte(bad)); at >= 0 {
				t.Errorf("%s wrote %q: %s", p.name, bad, tail(p.wrote()[:min(len(p.wrote()), at+4<<10)]))
			}
		}
	}
}

// problems compares what the servers have seen with what was planned, and with which writes ended as unknown, by call ID. It also returns
// how many writes arrived twice.
func (l *ledger) problems(unknown map[string]bool) (problems []error, twice int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	problems = slices.Clone(l.wrong)
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	owners := map[string]string{} // call IDs by key
	for id, call := range l.calls {
		for _, key := range call.keys {
			if key != call.keys[0] {
				problem("the attempts at %s have the idempotency keys %v", id, call.keys)
			}
			if owner := owners[key]; owner != "" && owner != id {
				problem("%s and %s have the same idempotency key", id, owner)
			}
			owners[key] = id
		}
		switch n := len(call.keys); {
		case call.tool == bookTool && n > 1:
			twice++
			problem("the write %s was made %d times", id, n)
		case n == 0 && !unknown[id]:
			problem("the call %s was never made", id)
		}
	}
	return problems, twice
}
