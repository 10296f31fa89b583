package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/responses"
)

const oneServer = `{"input":"go on","background":true,"max_steps":100,"tools":[
	{"type":"mcp","server_label":"a","server_url":"http://127.0.0.1:1/a"}]}`

// newCounting returns a run whose model asks for so many calls in each of its turns but the last.
func newCounting(t *testing.T, turns, calls int, output string, change ...func(*Options)) *scripted {
	t.Helper()
	var s *scripted
	s = newScripted(t, script{
		discover: func(ctx context.Context, in activities.DiscoverInput) (activities.DiscoverResult, error) {
			return activities.DiscoverResult{Item: s.options.items(ctx, in.ResponseID, &responses.MCPListTools{ServerLabel: "a"})[0]}, nil
		},
		turn: func(ctx context.Context, in activities.ModelTurnInput) (activities.ModelTurnResult, error) {
			result := activities.ModelTurnResult{Try: 1}
			if in.Turn == turns {
				result.Items = s.options.items(ctx, in.ResponseID, spoken("the end"))
				return result, nil
			}
			for i := range calls {
				result.Calls = append(result.Calls, activities.ToolCall{
					ItemID: fmt.Sprintf("call_%d", in.NextItem+i), Server: "a", Tool: "t" + strconv.Itoa(in.Turn),
					Arguments: must(s.options.Blobs.For(in.ResponseID).Pack(ctx, `{"text":"`+strings.Repeat("x", 40<<10)+`"}`, 1<<10)),
				})
			}
			return result, nil
		},
		call: func(ctx context.Context, in activities.MCPCallInput) (activities.MCPCallResult, error) {
			item := &responses.MCPCall{ID: in.ItemID, ServerLabel: "a", Name: in.Tool, Output: output}
			return activities.MCPCallResult{Item: s.options.items(ctx, in.ResponseID, item)[0]}, nil
		},
	}, change...)
	return s
}

// A turn with very many calls is shown page by page, and what is long is cut, with the whole to be had.
func TestTimelineOfManySteps(t *testing.T) {
	t.Parallel()
	output := strings.Repeat("line\n", 10_000)
	s := newCounting(t, 2, 130, output)
	id := s.create(t, oneServer).response(t).ID
	if err := s.options.Temporal.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	last := must(s.starter.Timeline(t.Context(), alice, id, TimelinePage{From: -1}))
	if last.Total != 135 || last.From != 35 || len(last.Steps) != TimelineSteps || last.Steps[99].Kind != StepEnd {
		t.Errorf("the last page has %d steps from %d of %d", len(last.Steps), last.From, last.Total)
	}
	first := must(s.starter.Timeline(t.Context(), alice, id, TimelinePage{}))
	if first.From != 0 || len(first.Steps) != TimelineSteps || first.Steps[0].Kind != StepAccepted {
		t.Errorf("the first page has %d steps from %d", len(first.Steps), first.From)
	}
	rest := must(s.starter.Timeline(t.Context(), alice, id, TimelinePage{Execution: first.Execution, From: 100}))
	if len(rest.Steps) != 35 || rest.Steps[0].Event != last.Steps[65].Event {
		t.Errorf("the second page has %d steps", len(rest.Steps))
	}
	call := rest.Steps[0]
	if call.Kind != StepCall || !call.Arguments.Cut || len(call.Arguments.Text) != shownBytes || call.Arguments.Size != 40<<10+11 ||
		!call.Output.Cut || call.Output.Text != output[:shownBytes] {
		t.Errorf("the call shows %d bytes of arguments, %d of output", len(call.Arguments.Text), len(call.Output.Text))
	}
	whole, cut, err := s.starter.StepContent(t.Context(), alice, id, rest.Execution, call.Event, call.Output.Part)
	if err != nil || cut || whole != output {
		t.Errorf("the whole output has %d bytes, cut %v, error %v", len(whole), cut, err)
	}
	whole, _, err = s.starter.StepContent(t.Context(), alice, id, rest.Execution, call.Event, call.Arguments.Part)
	if err != nil || len(whole) != call.Arguments.Size {
		t.Errorf("the whole arguments have %d bytes, error %v", len(whole), err)
	}
	for name, missing := range map[string]struct {
		execution string
		event     int64
		part      string
	}{
		"part": {rest.Execution, call.Event, PartText}, "event": {rest.Execution, 1, PartOutput}, "no execution": {"x", call.Event, PartOutput},
		"execution": {"0198e0f0-0000-7000-8000-000000000000", call.Event, PartOutput},
	} {
		_, _, err := s.starter.StepContent(t.Context(), alice, id, missing.execution, missing.event, missing.part)
		var shown *responses.Error
		if !errors.As(err, &shown) || shown.Status != http.StatusNotFound {
			t.Errorf("another %s: error %v", name, err)
		}
	}
}

// A run that went on as new executions is walked from its beginning to its end, and back.
func TestTimelineOfExecutions(t *testing.T) {
	t.Parallel()
	s := newCounting(t, 5, 1, "ok", func(o *Options) { o.Limits.Run.HistoryEvents, o.Limits.Run.HistoryBytes = 10, 1<<20 })
	id := s.create(t, oneServer).response(t).ID
	last := s.await(t, id, TimelinePage{From: -1}, "it has ended", hasStopped)
	at := must(s.starter.Timeline(t.Context(), alice, id, TimelinePage{}))
	if at.Earlier != "" || at.Steps[0].Kind != StepAccepted {
		t.Errorf("it begins with\n%s", inWords(at.Steps))
	}
	var tools []string
	executions := 1
	for ; at.Later != ""; executions++ {
		next := must(s.starter.Timeline(t.Context(), alice, id, TimelinePage{Execution: at.Later}))
		if next.Earlier != at.Execution || next.Steps[0].Kind != StepContinued || at.Steps[len(at.Steps)-1].State != StepHandedOn {
			t.Errorf("after %s comes %+v", at.Execution, next)
		}
		for _, step := range at.Steps {
			if step.Kind == StepCall {
				tools = append(tools, step.Tool)
			}
		}
		at = next
	}
	if executions < 3 || at.Execution != last.Execution || strings.Join(tools, " ") != "t1 t2 t3 t4" {
		t.Errorf("%d executions with calls of %v, the last is %s", executions, tools, at.Execution)
	}
	gone := must(s.starter.Timeline(t.Context(), alice, id, TimelinePage{Execution: "0198e0f0-0000-7000-8000-000000000000"}))
	if !gone.Gone || len(gone.Steps) != 0 {
		t.Errorf("an execution that is not there has %+v", gone)
	}
}

// A step that waits for its next attempt says so, until the run is cancelled; a run that was deleted is nobody's.
func TestTimelineOfCancelledRun(t *testing.T) {
	t.Parallel()
	s := newScripted(t, script{turn: func(context.Context, activities.ModelTurnInput) (activities.ModelTurnResult, error) {
		return activities.ModelTurnResult{}, temporal.NewApplicationErrorWithOptions("the model is too busy", activities.ErrTypeModel,
			temporal.ApplicationErrorOptions{NextRetryDelay: time.Hour})
	}}, func(o *Options) { o.Limits.RunTimeout = 24 * time.Hour }) // Temporal does not wait for what would come after the run's time
	id := s.create(t, `{"input":"hi","background":true}`).response(t).ID
	now := s.await(t, id, TimelinePage{}, "the turn waits", func(now *Timeline) bool {
		return len(now.Steps) == 2 && now.Steps[1].State == StepRetrying
	})
	turn := now.Steps[1]
	if turn.LastFailure != "the model is too busy" || turn.Asked != time.Hour ||
		time.Until(turn.NextAttempt) < 30*time.Minute || turn.Attempts != 2 || turn.MaxAttempts != 2 {
		t.Errorf("the turn is %+v", turn)
	}
	if err := s.starter.StopRun(pageRequest(t), alice, id); err != nil {
		t.Fatal(err)
	}
	after := s.await(t, id, TimelinePage{}, "it has ended", hasStopped)
	if got := inWords(after.Steps); got != "accepted done\nturn cancelled p/m\ncancellation done\nend cancelled cancelled\n" {
		t.Errorf("got\n%s", got)
	}
	if err := s.starter.StopRun(pageRequest(t), alice, id); err != nil {
		t.Errorf("cancelled again: %v", err)
	}
	if err := s.starter.DeleteRun(pageRequest(t), alice, id); err != nil {
		t.Fatal(err)
	}
	var shown *responses.Error
	if _, err := s.starter.Timeline(t.Context(), alice, id, TimelinePage{}); !errors.As(err, &shown) || shown.Status != http.StatusNotFound {
		t.Errorf("of a run that was deleted: %v", err)
	}
}

// A run that is not stored is not shown either, while it goes on or after.
func TestTimelineOfUnstoredRun(t *testing.T) {
	t.Parallel()
	s := newCounting(t, 1, 0, "")
	id := s.create(t, `{"input":"hi","store":false}`).response(t).ID
	_, runErr := s.starter.Run(t.Context(), alice, id)
	_, err := s.starter.Timeline(t.Context(), alice, id, TimelinePage{})
	for _, err := range []error{runErr, err} {
		var shown *responses.Error
		if !errors.As(err, &shown) || shown.Status != http.StatusNotFound {
			t.Errorf("error %v", err)
		}
	}
}

// A page that comes again gets the events after the one that it names.
func TestStreamOfRun(t *testing.T) {
	t.Parallel()
	s := newCounting(t, 2, 1, "ok")
	id := s.create(t, oneServer).response(t).ID
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.starter.FollowRun(w, r, alice, id); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	all := eventsOf(t, server.URL, "")
	if len(all) < 4 || !strings.HasPrefix(all[0], "0 response.created") || !strings.HasSuffix(all[len(all)-1], "response.completed") {
		t.Fatalf("the events are %q", all)
	}
	if again := eventsOf(t, server.URL, "2"); strings.Join(again, "\n") != strings.Join(all[3:], "\n") {
		t.Errorf("after event 2 come %q", again)
	}
	a, err := do(t.Context(), http.MethodGet, server.URL+"?starting_after=two", nil)
	if err != nil || a.status != http.StatusBadRequest {
		t.Errorf("after an event that is none: HTTP %d, %v", a.status, err)
	}
}

// eventsOf returns the number and the type of each event of a stream.
func eventsOf(t *testing.T, url, after string) []string {
	t.Helper()
	if after != "" {
		url += "?starting_after=" + after
	}
	a, err := do(t.Context(), http.MethodGet, url, nil)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("HTTP %d, %v: %s", a.status, err, a.body)
	}
	var events []string
	for line := range strings.Lines(a.body) {
		data, ok := strings.CutPrefix(line, "data: {")
		if !ok {
			continue
		}
		var event struct {
			Type     string
			Sequence int `json:"sequence_number"`
		}
		if err := json.Unmarshal([]byte("{"+data), &event); err != nil {
			t.Fatal(err)
		}
		events = append(events, fmt.Sprint(event.Sequence, " ", event.Type))
	}
	return events
}
