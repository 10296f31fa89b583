package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
)

// event is what tests read of an event.
type event struct {
	Type        string
	Sequence    *int `json:"sequence_number"`
	OutputIndex *int `json:"output_index"`
	Delta       string
	Text        string
	Arguments   string
	Response    *response
	Item        *item
	raw         json.RawMessage
}

// checkEvents decodes events and checks what holds for every stream from its start: numbers from 0 without gaps, created first.
func checkEvents(t *testing.T, raw []json.RawMessage) []event {
	t.Helper()
	events := checkRest(t, raw, -1)
	if len(events) == 0 || events[0].Type != "response.created" {
		t.Fatalf("the stream does not begin with response.created: %s", raw)
	}
	return events
}

// checkRest is checkEvents for a stream that goes on after an event.
func checkRest(t *testing.T, raw []json.RawMessage, after int) []event {
	t.Helper()
	var events []event
	for i, data := range raw {
		e := event{raw: data}
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if e.Sequence == nil || *e.Sequence != after+1+i {
			t.Fatalf("event %d after %d has another number: %s", i, after, data)
		}
		events = append(events, e)
	}
	return events
}

// kinds lists the types of events without their common prefix; deltas in a row count as one.
func kinds(events []event) []string {
	var kinds []string
	for _, e := range events {
		kind := strings.TrimPrefix(e.Type, "response.")
		if n := len(kinds); n == 0 || kinds[n-1] != kind || !strings.HasSuffix(kind, ".delta") {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// joined puts the deltas of a type together.
func joined(events []event, kind string) string {
	var b strings.Builder
	for _, e := range events {
		if e.Type == kind {
			b.WriteString(e.Delta)
		}
	}
	return b.String()
}

// final is the response in the last event, as it came.
func final(t *testing.T, events []event) (kind string, r json.RawMessage) {
	t.Helper()
	last := events[len(events)-1]
	var e struct{ Response json.RawMessage }
	if err := json.Unmarshal(last.raw, &e); err != nil {
		t.Fatal(err)
	}
	return last.Type, e.Response
}

var (
	beginKinds = []string{"created", "in_progress"}
	listKinds  = []string{
		"output_item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "output_item.done",
	}
	callKinds = []string{
		"output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done", "mcp_call.completed",
		"output_item.done",
	}
	functionKinds = []string{
		"output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
	}
	textKinds = []string{
		"output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
	}
	endKinds = []string{"completed"}
)

const inPieces = "A text that is long enough to come in a number of pieces, of which some are on the way when the client goes."

// mcpRun is a request whose model calls a tool and then writes [inPieces].
func mcpRun(t *testing.T) json.RawMessage {
	t.Helper()
	_, tool := startTools(t)
	return ask(t, modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__add", Arguments: `{"a":2,"b":40}`}), modeltest.Text(inPieces)),
		`"input": "What is 2 + 40?", "tools": [%s]`, tool)
}

// checkMCPRun checks the events of [mcpRun] and returns the response in the last one.
func checkMCPRun(t *testing.T, events []event) json.RawMessage {
	t.Helper()
	want := slices.Concat(beginKinds, listKinds, callKinds, textKinds, endKinds)
	if diff := cmp.Diff(want, kinds(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := joined(events, "response.output_text.delta"); got != inPieces {
		t.Errorf("the deltas say %q", got)
	}
	kind, r := final(t, events)
	if kind != "response.completed" {
		t.Errorf("the last event is %s", kind)
	}
	return r
}

func clientStreams(t *testing.T, c *sdk) {
	events := checkEvents(t, c.must(t, command{Do: "stream", Body: mcpRun(t)}).Events)
	last := checkMCPRun(t, events)
	r := events[len(events)-1].Response
	if r.Status != "completed" || r.text() != inPieces {
		t.Fatalf("the last event has status %s, text %q", r.Status, r.text())
	}
	for _, e := range events {
		if e.Type == "response.output_item.done" {
			if diff := cmp.Diff(r.Output[*e.OutputIndex], *e.Item); diff != "" {
				t.Errorf("the item %d of the last event differs from its own event (-last +own):\n%s", *e.OutputIndex, diff)
			}
		}
	}
	again := c.must(t, command{Do: "retrieve", ResponseID: r.ID})
	if diff := cmp.Diff(withoutComputed(t, again.Response), withoutComputed(t, last)); diff != "" {
		t.Errorf("the last event differs from the response (-response +event):\n%s", diff)
	}
}

// withoutComputed drops what npm's libraries add to a response.
func withoutComputed(t *testing.T, data json.RawMessage) any {
	t.Helper()
	value := decoded(t, data)
	if object, ok := value.(map[string]any); ok {
		delete(object, "output_text")
	}
	return value
}

// clientStreamsWithHelper lets the library put the response together, which fails on anything that does not fit.
func clientStreamsWithHelper(t *testing.T, c *sdk) {
	got := c.must(t, command{Do: "helper", Body: mcpRun(t)})
	checkMCPRun(t, checkEvents(t, got.Events))
	if got.OutputText != inPieces || got.Snapshot != inPieces {
		t.Errorf("the library put together %q and %q", got.OutputText, got.Snapshot)
	}
	if types := got.response(t).types(); !slices.Equal(types, []string{"mcp_list_tools", "mcp_call", "message"}) {
		t.Errorf("the library put together the items %v", types)
	}
}

func clientStreamsFunction(t *testing.T, c *sdk) {
	body := ask(t, modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "get_weather", Arguments: `{"city":"Paris"}`}), modeltest.Text("18 degrees.")),
		`"input": "How warm is Paris?", "tools": [%s]`, weatherTool)
	do := "stream"
	if c.helpers {
		do = "helper"
	}
	got := c.must(t, command{Do: do, Body: body})
	events := checkEvents(t, got.Events)
	if diff := cmp.Diff(slices.Concat(beginKinds, functionKinds, endKinds), kinds(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := joined(events, "response.function_call_arguments.delta"); got != `{"city":"Paris"}` {
		t.Errorf("the deltas say %s", got)
	}
	_, r := final(t, events)
	if c.helpers {
		r = got.Response
	}
	c.finishFunction(t, r, "18 degrees.")
}

// clientStreamsRetriedTurn streams a turn that breaks off in the middle of its message. Its item gives way to another one with the same
// index, or with the next for the helper that gives up a stream in which an index occurs twice.
func clientStreamsRetriedTurn(t *testing.T, c *sdk) {
	script := modeltest.New(modeltest.Text(strings.Repeat("This breaks off. ", 9)).TruncateAfter(6), modeltest.Text(inPieces))
	do, want := "stream", []int{0, 0}
	if c.helpers {
		do, want = "helper", []int{0, 1}
	}
	got := c.must(t, command{Do: do, Body: ask(t, script, `"input": "Hello."`)})
	events := checkEvents(t, got.Events)
	var indexes []int
	for _, e := range events {
		if e.Type == "response.output_item.added" {
			indexes = append(indexes, *e.OutputIndex)
		}
	}
	if !slices.Equal(indexes, want) {
		t.Errorf("the items have the indexes %v, want %v", indexes, want)
	}
	_, last := final(t, events)
	r := answer{status: http.StatusOK, body: last}.decode(t)
	if len(r.Output) != 1 || r.text() != inPieces {
		t.Errorf("the last event has %s", last)
	}
	if c.helpers && got.OutputText != inPieces {
		t.Errorf("the library put together %q", got.OutputText)
	}
}

// clientSeesFailure streams a run that fails for good, which is no error of the library's.
func clientSeesFailure(t *testing.T, c *sdk) {
	body := ask(t, modeltest.New(modeltest.Status(401, nil, `{"error":{"message":"Incorrect API key provided"}}`)), `"input": "Hello."`)
	do := "stream"
	if c.helpers {
		do = "helper"
	}
	got := c.must(t, command{Do: do, Body: body})
	events := checkEvents(t, got.Events)
	if diff := cmp.Diff(append(slices.Clone(beginKinds), "failed"), kinds(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if r := events[len(events)-1].Response; r.Status != "failed" || r.Error == nil || !strings.Contains(r.Error.Message, "401") {
		t.Errorf("got status %s, error %+v", r.Status, r.Error)
	}
}

// heldRun starts a background run that has written some of [inPieces], and waits for release to write the rest.
func heldRun(t *testing.T) (body json.RawMessage, release func()) {
	t.Helper()
	held := make(chan struct{})
	_, tool := startTools(t)
	return ask(t, modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__add", Arguments: `{"a":2,"b":40}`}),
		modeltest.Text(inPieces).HoldAfter(4, held)), // the role, and three pieces of the text
		`"input": "What is 2 + 40?", "tools": [%s], "background": true`, tool), func() { close(held) }
}

// The events of [heldRun] before it is held: created, queued, in_progress, the list's 4, the call's 6, the text's first 5.
// A resumed stream must not depend on where in them it was cut.
var cuts = []int{0, 4, 9, 15}

// clientResumes cuts a stream in the middle of a run and goes on. What it sees is what a client sees that was never cut.
func clientResumes(t *testing.T, c *sdk) {
	for _, cut := range cuts {
		t.Run(fmt.Sprint("after ", cut), func(t *testing.T) {
			t.Parallel()
			body, release := heldRun(t)
			begun := c.must(t, command{Do: "stream", Body: body, StopAfter: &cut}).Events
			events := checkEvents(t, begun)
			if len(events) != cut+1 {
				t.Fatalf("got %d events, want %d", len(events), cut+1)
			}
			id := events[0].Response.ID
			if events[0].Response.Status != "queued" {
				t.Errorf("the first event has the status %s, want queued", events[0].Response.Status)
			}
			rest := c.begin(t, command{Do: "resume", ResponseID: id, StartingAfter: &cut})
			uncut := c.begin(t, command{Do: "resume", ResponseID: id})
			release()
			all := c.wait(t, uncut).check(t).Events
			sameEvents(t, all, append(begun, c.wait(t, rest).check(t).Events...))
			checkResumable(t, checkEvents(t, all))

			// The run is over, and its stream still there.
			sameEvents(t, all[cut+1:], c.must(t, command{Do: "resume", ResponseID: id, StartingAfter: &cut}).Events)
			last := len(all) - 1
			if after := c.must(t, command{Do: "resume", ResponseID: id, StartingAfter: &last}).Events; len(after) != 0 {
				t.Errorf("after the last event there are %s", after)
			}
		})
	}
}

func checkResumable(t *testing.T, events []event) {
	t.Helper()
	want := slices.Concat([]string{"created", "queued", "in_progress"}, listKinds, callKinds, textKinds, endKinds)
	if diff := cmp.Diff(want, kinds(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := joined(events, "response.output_text.delta"); got != inPieces {
		t.Errorf("the deltas say %q", got)
	}
}

func sameEvents(t *testing.T, want, got []json.RawMessage) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(decoded(t, want[i]), decoded(t, got[i])); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}

// clientResumesWithHelper lets the library put the response together of a stream that it picks up.
func clientResumesWithHelper(t *testing.T, c *sdk) {
	body, release := heldRun(t)
	cut := 9
	begun := checkEvents(t, c.must(t, command{Do: "stream", Body: body, StopAfter: &cut}).Events)
	rest := c.begin(t, command{Do: "resume_helper", ResponseID: begun[0].Response.ID, StartingAfter: &cut})
	release()
	got := c.wait(t, rest).check(t)
	checkResumable(t, append(begun, checkRest(t, got.Events, cut)...))
	if got.OutputText != inPieces {
		t.Errorf("the library put together %q", got.OutputText)
	}
}

// deadline bounds polling.
type deadline <-chan time.Time

func after(d time.Duration) deadline { return time.After(d) }

// pause waits between two looks, and fails the test when it has looked for long enough.
func (d deadline) pause(t *testing.T, format string, args ...any) {
	t.Helper()
	select {
	case <-d:
		t.Fatalf("gave up waiting for "+format, args...)
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	case <-time.After(pollEvery):
	}
}
