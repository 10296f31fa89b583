package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestChaosNotices: each thing that must not happen is noticed if it does.
func TestChaosNotices(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tool    string
		keys    []string // of the requests that arrived
		unknown bool
		want    string // none if nothing is wrong
	}{
		"a write":                       {bookTool, []string{"k"}, false, ""},
		"a write that never left":       {bookTool, nil, true, ""},
		"a write without an answer":     {bookTool, []string{"k"}, true, ""},
		"a write that was made twice":   {bookTool, []string{"k", "k"}, false, "the write x was made 2 times"},
		"a write that was never made":   {bookTool, nil, false, "the call x was never made"},
		"a read that was made again":    {lookTool, []string{"k", "k"}, false, ""},
		"a read that was never made":    {lookTool, nil, false, "the call x was never made"},
		"a retry that has another key":  {putTool, []string{"k", "l"}, false, "idempotency keys [k l]"},
		"a key that another call has":   {putTool, []string{"other"}, false, "the same idempotency key"},
		"a call that nobody asked for":  {"", nil, false, "which no model asked for"},
		"a call without a key":          {lookTool, []string{""}, false, "has the keys"},
		"a call of something else's ID": {"?", nil, false, "which no model asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger([][]*plannedRun{{{turns: []plannedTurn{{calls: []plannedCall{
				{id: "x", server: "a", tool: tt.tool}, {id: "y", server: "a", tool: lookTool},
			}}}}}})
			l.arrival("a", lookTool, "y", "other", "other")
			for _, key := range tt.keys {
				l.arrival("a", tt.tool, "x", key, key)
			}
			switch tt.tool {
			case "":
				l.arrival("a", lookTool, "z", "k", "k")
			case "?":
				l.arrival("b", lookTool, "y", "k", "k")
			}
			problems, _ := l.problems(map[string]bool{"x": tt.unknown})
			if got := fmt.Sprint(problems); (tt.want == "") != (len(problems) == 0) || !strings.Contains(got, tt.want) {
				t.Errorf("noticed %s, want %q", got, tt.want)
			}
		})
	}
}

// TestChaosNoticesEvents: so is each event that is lost, doubled or changed.
func TestChaosNoticesEvents(t *testing.T) {
	t.Parallel()
	event := func(number int, text string) frame {
		return frame{"e", fmt.Sprintf(`{"type":"e","sequence_number":%d,"delta":%q}`, number, text)}
	}
	r := newChaosRun(&plannedRun{})
	for at, text := range []string{"a", "b"} {
		if err := r.see(event(at, text), at); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		f    frame
		at   int
		want string
	}{
		"lost":               {event(3, "d"), 2, "another number"},
		"doubled":            {event(1, "b"), 2, "another number"},
		"changed":            {event(1, "c"), 1, "sent again is"},
		"sent again, as was": {event(1, "b"), 1, ""},
	} {
		if err := r.see(tt.f, tt.at); (err == nil) != (tt.want == "") || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestChaosNoticesOutputs: so is an output that is not the planned one.
func TestChaosNoticesOutputs(t *testing.T) {
	t.Parallel()
	text := func(s string) item { return item{Type: "message", Content: []struct{ Text string }{{s}}} }
	call := func(id, tool, output string, failure *string) item {
		c := plannedCall{id: id}
		return item{Type: "mcp_call", ServerLabel: "a", Name: tool, Arguments: c.arguments(), Output: output, Error: failure}
	}
	p := &plannedRun{text: "end", turns: []plannedTurn{{text: "begin", calls: []plannedCall{
		{id: "x", server: "a", tool: lookTool}, {id: "y", server: "a", tool: bookTool},
	}}}}
	lists := []item{{Type: "mcp_list_tools", ServerLabel: "a"}, {Type: "mcp_list_tools", ServerLabel: "b"}}
	look, book := call("x", lookTool, "look x", nil), call("y", bookTool, "book y", nil)
	lost := "it broke off; " + outcomeUnknown + ": check"
	good := append(slices.Clone(lists), text("begin"), look, book, text("end"))
	with := func(at int, it item) []item {
		out := slices.Clone(good)
		out[at] = it
		return out
	}
	for name, tt := range map[string]struct {
		output  []item
		unknown string
		fails   bool
	}{
		"as planned":             {good, "", false},
		"unknown write":          {with(4, call("y", bookTool, "", &lost)), "y", false},
		"unknown read":           {with(3, call("x", lookTool, "", &lost)), "", true},
		"another result":         {with(4, call("y", bookTool, "book z", nil)), "", true},
		"a call in place of one": {with(4, look), "", true},
		"another text":           {with(5, text("en")), "", true},
		"an item is missing":     {slices.Delete(slices.Clone(good), 4, 5), "", true},
		"an item is there twice": {slices.Insert(slices.Clone(good), 4, look), "", true},
		"more at the end":        {append(slices.Clone(good), text("end")), "", true},
		"nothing":                {nil, "", true},
	} {
		unknown, err := p.checkOutput(response{Output: tt.output})
		if (err != nil) != tt.fails || strings.Join(unknown, " ") != tt.unknown {
			t.Errorf("%s: unknown %v, error %v", name, unknown, err)
		}
	}
}

// TestChaosPlan: a seed makes one plan, with as many runs as were asked for and all shapes among the first few.
func TestChaosPlan(t *testing.T) {
	t.Parallel()
	for _, runs := range []int{1, 2, 12, 300} {
		plan := func() [][]*plannedRun { return planTasks(rand.New(rand.NewPCG(7, 0)), runs) }
		var numbers []int
		seen := map[shape]bool{}
		for _, task := range plan() {
			for _, run := range task {
				numbers = append(numbers, run.number)
				seen[run.shape] = true
			}
		}
		slices.Sort(numbers)
		if len(numbers) != runs || len(slices.Compact(numbers)) != runs {
			t.Errorf("%d runs are planned as %v", runs, numbers)
		}
		if runs >= 12 && len(seen) != 7 {
			t.Errorf("%d runs have the shapes %v", runs, seen)
		}
		if a, b := fmt.Sprintf("%+v", flat(plan())), fmt.Sprintf("%+v", flat(plan())); a != b {
			t.Error("one seed makes two plans")
		}
	}
}

func flat(tasks [][]*plannedRun) []plannedRun {
	var out []plannedRun
	for _, task := range tasks {
		for _, run := range task {
			out = append(out, *run)
		}
	}
	return out
}
