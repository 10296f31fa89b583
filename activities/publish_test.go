package activities_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/events/eventstest"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
)

func is(kind events.Kind) func(events.Event) bool {
	return func(e events.Event) bool { return e.Kind == kind }
}

// told returns what the event log has of the response, up to the first event that last is true for.
func (f *fixture) told(last func(events.Event) bool) []events.Event {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	reader, err := f.options.Events.Read(ctx, responseID)
	if err != nil {
		f.t.Fatal(err)
	}
	defer reader.Close()
	var all []events.Event
	for {
		e, err := reader.Next(ctx)
		if err != nil {
			f.t.Fatalf("after %s: %v", story(f.t, all), err)
		}
		if all = append(all, e); last(e) {
			return all
		}
	}
}

// story writes one line for each event, and one for all deltas of a part that follow each other.
func story(t *testing.T, all []events.Event) []string {
	t.Helper()
	var lines []string
	before, size := "", map[string]int{}
	for _, e := range all {
		line := fmt.Sprintf("%s @%d", e.Kind, e.Index)
		if e.Turn > 0 {
			line += fmt.Sprintf(" turn %d try %d", e.Turn, e.Try)
		}
		if e.ItemID != "" {
			line += " " + e.ItemID
		}
		switch e.Kind {
		case events.DeltaAdded:
			line += " " + e.Delta.Part + ":"
			part := e.ItemID + e.Delta.Part
			if e.Delta.At != size[part] {
				t.Errorf("a delta of %s at %d, want %d", part, e.Delta.At, size[part])
			}
			size[part] += len(e.Delta.Text)
			if strings.HasPrefix(before, line) {
				lines[len(lines)-1] += e.Delta.Text
				continue
			}
			before, line = line, line+e.Delta.Text
		case events.TurnDone:
			for _, s := range e.Slots {
				line += " " + s.ItemID
				if s.Call != nil {
					line += "=" + s.Call.Server + "." + s.Call.Tool
				}
			}
		case events.CallStarted:
			line += fmt.Sprintf(" %s.%s %s by %s", e.Call.Server, e.Call.Tool, e.Call.Arguments.JSON, e.Call.ApprovalRequestID)
		}
		if e.Item != nil {
			line += " with its item"
		}
		lines = append(lines, line)
	}
	return lines
}

// raw replies with chunks, each given as its delta.
func raw(finish string, deltas ...string) modeltest.Reply {
	var b strings.Builder
	for _, d := range deltas {
		fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":0,\"delta\":%s}]}\n\n", d)
	}
	fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":%q}]}\n\ndata: [DONE]\n\n", finish)
	return modeltest.Raw(b.String())
}

func callDelta(index int, name, arguments string) string {
	return fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":"c%[1]d","function":{"name":%q,"arguments":%q}}]}`, index, name, arguments)
}

func TestModelTurnTellsWhatItDoes(t *testing.T) {
	t.Parallel()
	const (
		think, thinkMore = `{"reasoning":"Hm. "}`, `{"reasoning":"Well. "}`
		write, writeMore = `{"content":"It "}`, `{"content":"is. "}`
		refuse           = `{"refusal":"No. "}`
	)
	onlyFunctions := activities.Settings{
		Functions: []*responses.FunctionTool{weather}, Choice: responses.ToolChoice{Mode: responses.ToolChoiceAuto, Only: []responses.ToolRef{{Name: "weather"}}},
	}
	both := activities.Settings{Functions: []*responses.FunctionTool{weather}}
	tests := []struct {
		name     string
		settings activities.Settings
		reply    modeltest.Reply
		want     []string // after the first
		items    []string
	}{
		{
			"text", both, raw("stop", write, writeMore),
			[]string{"delta @2 turn 1 try 1 msg_1_2 text:It is. ", "turn_done @2 turn 1 try 1 msg_1_2"},
			[]string{"msg_1_2 output_text=It is. "},
		},
		{
			"thoughts in between", both, raw("stop", think, thinkMore, write, think, writeMore, thinkMore),
			[]string{
				"delta @2 turn 1 try 1 rs_1_2 reasoning:Hm. Well. ", "delta @3 turn 1 try 1 msg_1_3 text:It ",
				"delta @4 turn 1 try 1 rs_1_4 reasoning:Hm. ", "delta @3 turn 1 try 1 msg_1_3 text:is. ",
				"delta @5 turn 1 try 1 rs_1_5 reasoning:Well. ", "turn_done @2 turn 1 try 1 rs_1_2 msg_1_3 rs_1_4 rs_1_5",
			},
			[]string{"rs_1_2 Hm. Well. ", "msg_1_3 output_text=It is. ", "rs_1_4 Hm. ", "rs_1_5 Well. "},
		},
		{
			"a refusal after text", both, raw("stop", write, refuse, writeMore, refuse),
			[]string{"delta @2 turn 1 try 1 msg_1_2 text:It is. ", "turn_done @2 turn 1 try 1 msg_1_2"},
			[]string{"msg_1_2 output_text=It is. refusal=No. No. "},
		},
		{
			"a refusal before text", both, raw("stop", refuse, write, refuse),
			[]string{"delta @2 turn 1 try 1 msg_1_2 refusal:No. No. ", "turn_done @2 turn 1 try 1 msg_1_2"},
			[]string{"msg_1_2 refusal=No. No. output_text=It "},
		},
		{
			"functions beside MCP tools", both, raw("tool_calls", write, callDelta(0, "weather", "{}"), callDelta(1, "docs__read", "{}")),
			[]string{"delta @2 turn 1 try 1 msg_1_2 text:It ", "turn_done @2 turn 1 try 1 msg_1_2 call_1_3=docs.read fc_1_4"},
			[]string{"msg_1_2 output_text=It ", "call_1_3", "fc_1_4 call_1_4 {}"},
		},
		{
			"only functions", onlyFunctions,
			raw("tool_calls", write, callDelta(0, "weather", `{"q":`), callDelta(1, "weather", `{`), callDelta(0, "", `1}`), callDelta(1, "", `}`)),
			[]string{"delta @2 turn 1 try 1 msg_1_2 text:It ", "turn_done @2 turn 1 try 1 msg_1_2 fc_1_3 fc_1_4"},
			[]string{"msg_1_2 output_text=It ", `fc_1_3 call_1_3 {"q":1}`, "fc_1_4 call_1_4 {}"},
		},
		{
			"a function that nobody offered", onlyFunctions, raw("tool_calls", callDelta(0, "other", "{}"), callDelta(1, "weather", "{}")),
			[]string{"turn_done @2 turn 1 try 1 call_1_2 fc_1_3"},
			[]string{"call_1_2", "fc_1_3 call_1_3 {}"},
		},
		{
			"text and thoughts after a function", onlyFunctions, raw("tool_calls", think, callDelta(0, "weather", "{}"), write, think),
			[]string{
				"delta @2 turn 1 try 1 rs_1_2 reasoning:Hm. ", "delta @3 turn 1 try 1 msg_1_3 text:It ",
				"delta @4 turn 1 try 1 rs_1_4 reasoning:Hm. ", "turn_done @2 turn 1 try 1 rs_1_2 msg_1_3 rs_1_4 fc_1_5",
			},
			[]string{"rs_1_2 Hm. ", "msg_1_3 output_text=It ", "rs_1_4 Hm. ", "fc_1_5 call_1_5 {}"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(tt.reply))
			f := setup(t, m.URL())
			got := f.turn(f.turnInput(tt.settings))
			want := append([]string{"turn_started @2 turn 1 try 1"}, tt.want...)
			all := f.told(is(events.TurnDone))
			if diff := cmp.Diff(want, story(t, all)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.items, f.itemsOf(got)); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			// What is told at the end is what the workflow gets.
			values := append(got.Items[:len(got.Items):len(got.Items)], make([]blob.Value, len(got.Calls))...)
			values = append(values, got.Functions...)
			slots := all[len(all)-1].Slots
			for i, s := range slots {
				if s.Item != nil && i < len(values) && values[i].JSON != nil && string(s.Item.JSON) != string(values[i].JSON) {
					t.Errorf("slot %d is %s, the item is %s", i, s.Item.JSON, values[i].JSON)
				}
			}
			if len(slots) != len(values) {
				t.Errorf("%d slots for %d items", len(slots), len(values))
			}
		})
	}
}

// itemsOf writes what a turn came to.
func (f *fixture) itemsOf(r activities.ModelTurnResult) []string {
	f.t.Helper()
	var out []string
	for _, v := range r.Items {
		switch item := unpack[responses.Item](f, v).(type) {
		case *responses.Reasoning:
			out = append(out, item.ID+" "+item.Summary[0].Text)
		case *responses.Message:
			line := item.ID + " "
			for _, p := range item.Content {
				line += p.Type + "=" + p.Text
			}
			out = append(out, line)
		}
	}
	for _, c := range r.Calls {
		out = append(out, c.ItemID)
	}
	for _, v := range r.Functions {
		c := unpack[*responses.FunctionCall](f, v)
		out = append(out, c.ID+" "+c.CallID+" "+c.Arguments)
	}
	return out
}

// Whoever watches sees what the model writes while it writes.
func TestDeltasAreTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		reply  modeltest.Reply
		chunks int
		part   string
	}{
		{"reasoning", modeltest.Text("answer").WithReasoning("I think, and think."), 2, events.PartReasoning},
		{"text", modeltest.Text("A long answer in pieces."), 2, events.PartText},
		{"refusal", modeltest.Empty().WithRefusal("Never, and not today."), 2, events.PartRefusal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			m := closed(t, modeltest.New(tt.reply.HoldAfter(tt.chunks, release)))
			f := setup(t, m.URL())
			in := f.turnInput(activities.Settings{Functions: []*responses.FunctionTool{weather}})
			done := make(chan error, 1)
			go func() {
				_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, in)
				done <- err
			}()
			f.told(func(e events.Event) bool {
				return e.Kind == events.DeltaAdded && e.Delta.Part == tt.part && e.Delta.Text != ""
			})
			select {
			case err := <-done:
				t.Fatalf("the turn is over: %v", err)
			default:
			}
			close(release)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A turn that another model makes has IDs of its own, so that what the first one said can be told apart.
func TestRetriedTurnHasItsOwnIDs(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Calls(
		modeltest.Call{Name: "weather", Arguments: "{}"}, modeltest.Call{Name: "docs__write", Arguments: "{}"},
	).WithText("Wait.")))
	f := setup(t, m.URL())
	in := f.turnInput(activities.Settings{
		Functions: []*responses.FunctionTool{weather}, Approvals: map[string]responses.ApprovalPolicy{"docs": {Mode: responses.ApproveNever}},
	})
	in.Tries, in.Fallback = 3, 2
	got := f.turn(in)
	const suffix = "r2004"
	want := []string{"msg_1_2" + suffix + " output_text=Wait.", "mcp_1_3" + suffix, "fc_1_4" + suffix + " call_1_4" + suffix + " {}"}
	if diff := cmp.Diff(want, f.itemsOf(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e := f.told(is(events.TurnDone))[0]; e.Try != 2004 || got.Try != 2004 {
		t.Errorf("first event %+v", e)
	}
}

func TestDiscoverTellsWhatItDoes(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/list", mcptest.Result(fourTools))
	in := activities.DiscoverInput{ResponseID: responseID, ItemID: "mcpl_1_3", Index: 3, Server: f.server("s", server.URL())}
	if _, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName, in); err != nil {
		t.Fatal(err)
	}
	want := []string{"list_started @3 mcpl_1_3", "list_done @3 mcpl_1_3 with its item"}
	if diff := cmp.Diff(want, story(t, f.told(is(events.ListDone)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMCPCallTellsWhatItDoes(t *testing.T) {
	t.Parallel()
	const started = `call_started @5 call_1_4 s.t "{\"q\": 1}" by mcpr_1`
	tests := []struct {
		name   string
		change func(*activities.MCPCallInput)
		want   []string
	}{
		{"a call of a turn", func(in *activities.MCPCallInput) {}, []string{"call_done @5 call_1_4 with its item"}},
		{
			"a call that was approved", func(in *activities.MCPCallInput) { in.ApprovalRequestID = "mcpr_1" },
			[]string{started, "call_done @5 call_1_4 with its item"},
		},
		{
			"a call that was given up", func(in *activities.MCPCallInput) { in.ApprovalRequestID, in.Abandoned = "mcpr_1", true },
			[]string{started, "call_done @5 call_1_4 with its item"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere)
			server := closed(t, mcptest.NewHostile())
			in := f.callInput(f.server("s", server.URL()), true)
			in.Index = 5
			tt.change(&in)
			got, err := f.call(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, story(t, f.told(is(events.CallDone)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if item := f.item(got); item.ApprovalRequestID != in.ApprovalRequestID {
				t.Errorf("item %+v", item)
			}
		})
	}
}

// A call that is given up is told of although the attempt before it was told of too.
func TestAbandonedCallIsToldAfterItsAttempts(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	in := f.callInput(f.server("s", server.URL()), true)
	for _, abandoned := range []bool{false, true} {
		in.Abandoned = abandoned
		if _, err := f.call(in); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	f.told(func(e events.Event) bool {
		if e.Kind == events.CallDone {
			n++
		}
		return n == 2
	})
}

// Without the event log nobody can watch, but all steps go on.
func TestStepsDoWithoutTheLog(t *testing.T) {
	t.Parallel()
	log := eventstest.StartServer(t)
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	server := closed(t, mcptest.NewHostile())
	f := setup(t, m.URL(), func(o *activities.Options) { o.Events = eventstest.Connect(t, log.URL()) })
	log.Stop()
	began := time.Now()
	if got := f.itemsOf(f.turn(f.turnInput(activities.Settings{}))); len(got) != 1 {
		t.Errorf("items %v", got)
	}
	if _, err := f.call(f.callInput(f.server("s", server.URL()), true)); err != nil {
		t.Error(err)
	}
	// Each may wait a second for the log; the rest is patience with a busy machine.
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("two steps took %v", took)
	}
}
