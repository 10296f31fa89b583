package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// shortHistories has a run go on as a new execution after every turn.
const shortHistories = "limits:\n  history: {events: 1, bytes: 1}\n"

// executions returns what Temporal has of a run, in the order in which its executions followed one another.
func (s *stack) executions(t *testing.T, id string) []*workflowservice.DescribeWorkflowExecutionResponse {
	t.Helper()
	var out []*workflowservice.DescribeWorkflowExecutionResponse
	for run := ""; ; {
		d, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, run)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
		events := s.temporal.GetWorkflowHistory(t.Context(), id, runOf(d), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		started, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if run = started.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId(); run == "" {
			slices.Reverse(out)
			return out
		}
	}
}

func runOf(d *workflowservice.DescribeWorkflowExecutionResponse) string {
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// checkExecutions wants a run to have so many executions, of which each replays and passes on what the run was started with.
func checkExecutions(t *testing.T, s *stack, id string, want int) {
	t.Helper()
	all := s.executions(t, id)
	if len(all) != want {
		t.Errorf("the run has %d executions, want %d", len(all), want)
	}
	first := all[0].GetWorkflowExecutionInfo()
	for i, d := range all {
		checkReplayOf(t, s, id, runOf(d))
		info := d.GetWorkflowExecutionInfo()
		if i < len(all)-1 && info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
			t.Errorf("execution %d is %v", i, info.GetStatus())
		}
		if !proto.Equal(first.GetMemo(), info.GetMemo()) || !proto.Equal(first.GetPriority(), info.GetPriority()) ||
			first.GetTaskQueue() != info.GetTaskQueue() {
			t.Errorf("execution %d was passed on %v, want %v", i, info, first)
		}
		// The time for the whole run does not begin again.
		ends := []time.Time{
			all[0].GetWorkflowExtendedInfo().GetExecutionExpirationTime().AsTime(), d.GetWorkflowExtendedInfo().GetExecutionExpirationTime().AsTime(),
		}
		if !ends[0].Equal(ends[1]) || ends[0].IsZero() {
			t.Errorf("execution %d expires at %v, want %v", i, ends[1], ends[0])
		}
		mine, firsts := attributes(t, info.GetSearchAttributes()), attributes(t, first.GetSearchAttributes())
		delete(mine, "PerdureStatus") // which changes with the run
		delete(firsts, "PerdureStatus")
		if diff := cmp.Diff(firsts, mine); diff != "" {
			t.Errorf("search attributes of execution %d (-first +got):\n%s", i, diff)
		}
	}
}

// threeTurns calls a tool in two turns and ends with a text in the third.
func threeTurns(text string) *modeltest.Server {
	return modeltest.New(
		twoCalls().WithReasoning("Two of them.").WithUsage(100, 10, 20),
		modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"again"}`}).WithText("Once more.").WithUsage(200, 0, 30),
		modeltest.Text(text).WithUsage(300, 0, 40))
}

// TestContinuedRun: a run whose history is full goes on as a new execution, and nobody who waits for it, watches it, polls it, cancels or
// deletes it can tell.
func TestContinuedRun(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: suite.models.url(), Settings: shortHistories})
	first, url := s.starter, s.url
	if err := s.startStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := s.url
	s.starter, s.url = first, url
	for name, check := range map[string]func(*testing.T, *stack, string){
		"a client that waits": continuedWhileWaiting, "streams": continuedWhileStreaming, "in the background": continuedInBackground,
		"cancelled": continuedThenCancelled, "in a conversation": continuedInConversation,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, s, second)
		})
	}
}

// continuedWhileWaiting compares a run with the same in one execution.
func continuedWhileWaiting(t *testing.T, s *stack, _ string) {
	type seen struct {
		Types, Outputs []string
		Told           [][]string
		Usage          any
	}
	run := func(t *testing.T, s *stack) (seen, string) {
		t.Helper()
		_, tool := startTools(t)
		model := threeTurns("The end.")
		r := s.create(t, ask(t, model, `"input": "x", "tools": [%s]`, tool))
		if r.Status != "completed" || r.text() != "The end." {
			t.Errorf("got status %s, text %q", r.Status, r.text())
		}
		out := seen{Types: r.types(), Usage: r.Usage}
		for _, item := range r.Output {
			out.Outputs = append(out.Outputs, item.Name+item.Arguments+item.Output)
		}
		for _, request := range model.Requests() {
			out.Told = append(out.Told, told(request))
		}
		return out, r.ID
	}
	var got, want seen
	var id string
	t.Run("continued", func(t *testing.T) { got, id = run(t, s) })
	t.Run("whole", func(t *testing.T) {
		var whole string
		want, whole = run(t, sharedStack(t))
		checkExecutions(t, sharedStack(t), whole, 1)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-in one execution +in three):\n%s", diff)
	}
	checkExecutions(t, s, id, 3)
	if got := s.details(t, id); !strings.Contains(got, "openai/gpt-5.5@") || !strings.Contains(got, "· s · went on from an earlier execution") {
		t.Errorf("the last execution says of itself: %s", got)
	}
}

// continuedWhileStreaming cuts clients off at every event, on both sides of each boundary, and has them go on at both starters.
func continuedWhileStreaming(t *testing.T, s *stack, second string) {
	_, tool := startTools(t)
	release := make(chan struct{})
	text := manyPieces("word", 10)
	model := modeltest.New(twoCalls().WithText("Let me see."),
		modeltest.Text("").WithReasoning("Lost."+strings.Repeat(".", 40)).TruncateAfter(2), // the next attempt has another number
		modeltest.Calls(modeltest.Call{Name: "s__fail", Arguments: "{}"}), modeltest.Text(text).HoldAfter(5, release))
	w := watch(t, []string{s.url, second}, ask(t, model, `"input": "x", "background": true, "stream": true, "tools": [%s]`, tool))
	w.until(t, text[:4*pieceSize])
	close(release)
	events := w.finish(t)
	last := events[len(events)-1].Response
	want := []string{"mcp_list_tools", "message", "mcp_call", "mcp_call", "mcp_call", "message"}
	if diff := cmp.Diff(want, last.types()); diff != "" || last.text() != text {
		t.Errorf("got the text %q and the items (-want +got):\n%s", last.text(), diff)
	}
	checkExecutions(t, s, w.id, 3)
}

// continuedInBackground asks for everything that can be asked of a response while it runs in its third execution, and afterwards.
func continuedInBackground(t *testing.T, s *stack, second string) {
	_, tool := startTools(t)
	release := make(chan struct{})
	model := modeltest.New(twoCalls(), twoCalls(), modeltest.Text("The end.").Hold(release), modeltest.Text("And more."))
	mine := ownRuns(t)
	key := uuid.NewString()
	body := string(ask(t, model, `"input": "remember me", "background": true, "metadata": {"a": "b"}, "tools": [%s]`, tool))
	begun := s.send(t, http.MethodPost, "/responses", body, "Idempotency-Key", key).decode(t)
	if _, err := model.WaitRequest(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	before := len(s.executions(t, begun.ID))
	if before != 3 {
		t.Errorf("the run is in execution %d, want 3", before)
	}
	want := []string{"mcp_list_tools", "mcp_call", "mcp_call", "mcp_call", "mcp_call"}
	s.awaitItems(t, begun.ID, want)
	for status, n := range map[string]int{"": 1, "&status=in_progress": 1, "&status=completed": 0, "&status=failed": 0, "&server_label=s": 1} {
		s.awaitListed(t, mine+status, n)
	}
	if again := s.send(t, http.MethodPost, "/responses", body, "Idempotency-Key", key).decode(t); again.ID != begun.ID {
		t.Errorf("sent again, the request has the response %s, want %s", again.ID, begun.ID)
	}
	checkInput := func() {
		t.Helper()
		a := s.send(t, http.MethodGet, "/responses/"+begun.ID+"/input_items", "")
		if a.status != http.StatusOK || strings.Count(string(a.body), "remember me") != 1 || strings.Contains(string(a.body), "mcp_call") {
			t.Errorf("status %d, input items %s", a.status, a.body)
		}
	}
	checkInput()
	close(release)
	done := s.awaitStatus(t, begun.ID, "completed")
	if diff := cmp.Diff(append(want, "message"), done.types()); diff != "" || done.text() != "The end." {
		t.Errorf("it says %q with the items (-want +got):\n%s", done.text(), diff)
	}
	checkInput()
	var created struct {
		CreatedAt int64 `json:"created_at"`
	}
	if err := json.Unmarshal(s.send(t, http.MethodGet, "/responses/"+begun.ID, "").body, &created); err != nil {
		t.Fatal(err)
	}
	at := created.CreatedAt
	s.awaitListed(t, mine+"&status=completed", 1)
	s.awaitListed(t, fmt.Sprintf("%s&created_before=%d", mine, at+1), 1) // the last execution began later
	s.awaitListed(t, fmt.Sprintf("%s&created_before=%d", mine, at), 0)
	if page := string(s.send(t, http.MethodGet, "/responses?"+mine, "").body); !strings.Contains(page, fmt.Sprintf(`"created_at":%d,`, at)) {
		t.Errorf("created at %d, it is listed as %s", at, page)
	}
	if more := s.create(t, askAgain(t, `"input": "y", "previous_response_id": "%s"`, begun.ID)); more.text() != "And more." {
		t.Errorf("what goes on with it says %q", more.text())
	}
	requests := model.Requests()
	if n := len(told(requests[len(requests)-1])); n != 11 { // two questions, four calls and their results, an answer
		t.Errorf("it was told %d messages: %q", n, told(requests[len(requests)-1]))
	}
	checkExecutions(t, s, begun.ID, 3)
	checkDeleted(t, s, begun.ID)
}

// awaitItems waits until a response in progress shows its items. On a busy machine, a run may take longer to answer than a client is let
// wait for it.
func (s *stack) awaitItems(t *testing.T, id string, want []string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		r := s.get(t, id)
		if slices.Equal(r.types(), want) && r.Status == "in_progress" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the response is %s and has the items %v, want %v", r.Status, r.types(), want)
		case <-time.After(pollEvery):
		}
	}
}

// checkDeleted deletes a response and wants all its executions gone.
func checkDeleted(t *testing.T, s *stack, id string) {
	t.Helper()
	all := s.executions(t, id)
	if a := s.send(t, http.MethodDelete, "/responses/"+id, ""); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	refused(t, s.send(t, http.MethodGet, "/responses/"+id, ""), http.StatusNotFound, "not found")
	ctx, cancel := context.WithTimeout(t.Context(), deletedWithin)
	defer cancel()
	for _, d := range all {
		for {
			_, err := s.temporal.DescribeWorkflowExecution(ctx, id, runOf(d))
			var gone *serviceerror.NotFound
			if errors.As(err, &gone) {
				break
			}
			if err != nil {
				t.Fatalf("execution %s: %v", runOf(d), err)
			}
			select {
			case <-ctx.Done():
				t.Fatalf("execution %s is there %v after the deletion", runOf(d), deletedWithin)
			case <-time.After(pollEvery):
			}
		}
	}
}

// deletedWithin is how long Temporal may take: it looks at what is to be deleted once in a while.
const deletedWithin = 3 * time.Minute

// continuedThenCancelled cancels a run in its second execution.
func continuedThenCancelled(t *testing.T, s *stack, _ string) {
	_, tool := startTools(t)
	model := modeltest.New(twoCalls(), modeltest.Text(inPieces).HoldAfter(4, nil))
	body := ask(t, model, `"input": "x", "background": true, "stream": true, "tools": [%s]`, tool)
	ends := suite.models.watchEnds(plugName(t))
	stream := postStream(t, s.url, body)
	begun := stream.until(t, inPieces[:3*pieceSize])
	<-ends // of the first turn
	u := underWay{s, responseOf(t, begun).ID, stream, begun, ends}
	if got := s.send(t, http.MethodPost, "/responses/"+u.id+"/cancel", "").decode(t); got.Status != "cancelled" {
		t.Errorf("cancelled, it is %s", got.Status)
	}
	u.requestEnds(t)
	u.checkCancelled(t)
	want := []string{"mcp_list_tools", "mcp_call", "mcp_call"}
	if diff := cmp.Diff(want, s.get(t, u.id).types()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	checkExecutions(t, s, u.id, 2)
}

// continuedInConversation: the conversation gets all items of a run, from whichever execution.
func continuedInConversation(t *testing.T, s *stack, _ string) {
	_, tool := startTools(t)
	created := s.send(t, http.MethodPost, "/conversations", `{"items": [{"type": "message", "role": "user", "content": "before"}]}`).decode(t)
	body := ask(t, threeTurns("The end."), `"input": "x", "conversation": "%s", "tools": [%s]`, created.ID, tool)
	r := s.create(t, body)
	a := s.send(t, http.MethodGet, "/conversations/"+created.ID+"/items?limit=100&order=asc", "")
	var page struct{ Data []item }
	if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	var types []string
	for _, it := range page.Data {
		types = append(types, it.Type)
	}
	if diff := cmp.Diff(append([]string{"message", "message"}, r.types()...), types); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	checkExecutions(t, s, r.ID, 3)
}
