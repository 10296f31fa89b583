package stream_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/events"
	"perdure/internal/responses"
	"perdure/internal/stream"
)

// trace says in one line per event what a client is told, without the lifecycle events before the first item.
func trace(t *testing.T, log []stream.Event) string {
	t.Helper()
	var b strings.Builder
	for _, e := range log {
		var w struct {
			wireEvent
			Item struct {
				wireItem
				Status string  `json:"status"`
				Error  *string `json:"error"`
			} `json:"item"`
			Response struct {
				Status string              `json:"status"`
				Error  *responses.RunError `json:"error"`
			} `json:"response"`
		}
		if err := json.Unmarshal(e.Data, &w); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimPrefix(e.Type, "response.")
		if w.Output != nil {
			line += fmt.Sprintf(" %d", *w.Output)
		}
		for _, n := range []*int{w.Content, w.Summary} {
			if n != nil {
				line += fmt.Sprintf(".%d", *n)
			}
		}
		for _, s := range []*string{w.Delta, w.Text, w.Refusal, w.Args, w.Item.Error} {
			if s != nil {
				line += fmt.Sprintf(" %q", *s)
			}
		}
		if w.Response.Error != nil {
			line += " because " + w.Response.Error.Message
		}
		for _, s := range []string{w.Item.ID, w.Item.Status, w.Response.Status} {
			if s != "" {
				line += " " + s
			}
		}
		fmt.Fprintln(&b, line)
	}
	_, after, _ := strings.Cut(b.String(), "in_progress in_progress\n")
	return after
}

func TestStream(t *testing.T) {
	t.Parallel()
	openai := options(responses.DialectOpenAI)
	hello := message("msg_0", responses.OutputText("Hello"))
	thinking := []events.Event{
		turnStarted(1, 1, 0), delta(1, 1, 0, "rs_0", events.PartReasoning, 0, "h"), delta(1, 1, 1, "msg_1", events.PartText, 0, "So"),
		turnDone(1, 1, 0, reasoning("rs_0", "hmm"), message("msg_1", responses.OutputText("So"))),
	}
	tests := map[string]struct {
		log   []events.Event
		final *responses.Response
		want  string
	}{
		"lists in any order": {
			[]events.Event{
				listDone(2, list("mcpl_2", "c")), listStarted(1, list("mcpl_1", "b")), listDone(1, list("mcpl_1", "b")),
				listStarted(0, list("mcpl_0", "a")),
				listStarted(0, list("mcpl_0", "a")), listDone(0, list("mcpl_0", "a")),
			},
			final(openai, responses.ResponseCompleted, list("mcpl_0", "a"), list("mcpl_1", "b"), list("mcpl_2", "c")), `
output_item.added 0 mcpl_0
mcp_list_tools.in_progress 0
output_item.added 1 mcpl_1
mcp_list_tools.in_progress 1
output_item.added 2 mcpl_2
mcp_list_tools.in_progress 2
mcp_list_tools.completed 2
output_item.done 2 mcpl_2
mcp_list_tools.completed 1
output_item.done 1 mcpl_1
mcp_list_tools.completed 0
output_item.done 0 mcpl_0
completed completed
`,
		},
		"a turn that is tried again": {
			[]events.Event{
				turnStarted(1, 1, 0), delta(1, 1, 0, "rs_0", events.PartReasoning, 0, "hm"), delta(1, 1, 1, "msg_1", events.PartText, 0, "He"),
				turnStarted(1, 2, 0), delta(1, 2, 0, "msg_0", events.PartText, 0, "He"),
				delta(1, 1, 1, "msg_1", events.PartText, 2, "llo"), turnDone(1, 1, 0, reasoning("rs_0", "hm"), message("msg_1")),
				turnDone(1, 2, 0, hello), turnDone(1, 2, 0, hello),
			},
			final(openai, responses.ResponseCompleted, hello), `
output_item.added 0 rs_0
reasoning_summary_part.added 0.0
reasoning_summary_text.delta 0.0 "hm"
reasoning_summary_text.done 0.0 "hm"
reasoning_summary_part.done 0.0
output_item.done 0 rs_0
output_item.added 1 msg_1 in_progress
content_part.added 1.0
output_text.delta 1.0 "He"
output_text.done 1.0 "He"
content_part.done 1.0
output_item.done 1 msg_1 incomplete
output_item.added 0 msg_0 in_progress
content_part.added 0.0
output_text.delta 0.0 "He"
output_text.delta 0.0 "llo"
output_text.done 0.0 "Hello"
content_part.done 0.0
output_item.done 0 msg_0 completed
completed completed
`,
		},
		"a lost delta": {
			[]events.Event{
				turnStarted(1, 1, 0), delta(1, 1, 0, "msg_0", events.PartText, 0, "H"), delta(1, 1, 0, "msg_0", events.PartText, 2, "l"),
				delta(1, 1, 0, "msg_0", events.PartText, 1, "e"), turnDone(1, 1, 0, hello),
			},
			final(openai, responses.ResponseCompleted, hello), `
output_item.added 0 msg_0 in_progress
content_part.added 0.0
output_text.delta 0.0 "H"
output_text.delta 0.0 "e"
output_text.delta 0.0 "llo"
output_text.done 0.0 "Hello"
content_part.done 0.0
output_item.done 0 msg_0 completed
completed completed
`,
		},
		"text, then a refusal": {
			[]events.Event{
				turnStarted(1, 1, 0), delta(1, 1, 0, "msg_0", events.PartText, 0, "Hm"), delta(1, 1, 0, "msg_0", events.PartRefusal, 0, "No"),
				turnDone(1, 1, 0, message("msg_0", responses.OutputText("Hm"), refusal("No."))),
			},
			final(openai, responses.ResponseCompleted, message("msg_0", responses.OutputText("Hm"), refusal("No."))), `
output_item.added 0 msg_0 in_progress
content_part.added 0.0
output_text.delta 0.0 "Hm"
output_text.done 0.0 "Hm"
content_part.done 0.0
content_part.added 0.1
refusal.delta 0.1 "No"
refusal.delta 0.1 "."
refusal.done 0.1 "No."
content_part.done 0.1
output_item.done 0 msg_0 completed
completed completed
`,
		},
		"an empty message": {
			[]events.Event{turnStarted(1, 1, 0), turnDone(1, 1, 0, message("msg_0", responses.OutputText("")))},
			final(openai, responses.ResponseCompleted, message("msg_0", responses.OutputText(""))), `
output_item.added 0 msg_0 in_progress
content_part.added 0.0
output_text.done 0.0 ""
content_part.done 0.0
output_item.done 0 msg_0 completed
completed completed
`,
		},
		"functions": {
			[]events.Event{
				turnStarted(1, 1, 0),
				turnDone(1, 1, 0, function("fc_0", "{}"), function("fc_1", "")),
			},
			final(openai, responses.ResponseCompleted, function("fc_0", "{}"), function("fc_1", "")), `
output_item.added 0 fc_0 in_progress
function_call_arguments.delta 0 "{}"
function_call_arguments.done 0 "{}"
output_item.done 0 fc_0 completed
output_item.added 1 fc_1 in_progress
function_call_arguments.done 1 ""
output_item.done 1 fc_1 completed
completed completed
`,
		},
		"calls that are made, refused and asked about": {
			[]events.Event{
				turnStarted(1, 1, 0),
				turnDone(1, 1, 0, unanswered(called("mcp_0", "yes")), failedCall("mcp_1", "refused"),
					&responses.MCPApprovalRequest{ID: "mcpr_2", ServerLabel: "wiki", Name: "search", Arguments: "{}"}),
				callDone(0, called("mcp_0", "yes")), callDone(0, called("mcp_0", "yes")),
			},
			final(openai, responses.ResponseCompleted, called("mcp_0", "yes"), failedCall("mcp_1", "refused"),
				&responses.MCPApprovalRequest{ID: "mcpr_2", ServerLabel: "wiki", Name: "search", Arguments: "{}"}), `
output_item.added 0 mcp_0 in_progress
mcp_call.in_progress 0
mcp_call_arguments.delta 0 "{\"q\":1}"
mcp_call_arguments.done 0 "{\"q\":1}"
output_item.added 1 mcp_1 in_progress
mcp_call.in_progress 1
mcp_call_arguments.delta 1 "{\"q\":1}"
mcp_call_arguments.done 1 "{\"q\":1}"
mcp_call.failed 1
output_item.done 1 "refused" mcp_1 failed
output_item.added 2 mcpr_2
output_item.done 2 mcpr_2
mcp_call.completed 0
output_item.done 0 mcp_0 completed
completed completed
`,
		},
		"a call that was made, and a worker that was given up and does not know": {
			[]events.Event{
				turnStarted(1, 1, 0), delta(1, 1, 0, "rs_0", events.PartReasoning, 0, "h"), callDone(1, called("mcp_1", "yes")),
				turnStarted(1, 2, 0), delta(1, 2, 0, "msg_y", events.PartText, 0, "He"), turnDone(1, 2, 0, message("msg_y")),
				turnDone(1, 1, 0, reasoning("rs_0", "h"), message("msg_x"), message("msg_z")),
			},
			final(openai, responses.ResponseCompleted, reasoning("rs_0", "h"), called("mcp_1", "yes")), `
output_item.added 0 rs_0
reasoning_summary_part.added 0.0
reasoning_summary_text.delta 0.0 "h"
reasoning_summary_text.done 0.0 "h"
reasoning_summary_part.done 0.0
output_item.done 0 rs_0
output_item.added 1 mcp_1 in_progress
mcp_call.in_progress 1
mcp_call_arguments.delta 1 "{\"q\":1}"
mcp_call_arguments.done 1 "{\"q\":1}"
mcp_call.completed 1
output_item.done 1 mcp_1 completed
completed completed
`,
		},
		"a call whose worker died before its result was recorded, and that came to something else": {
			[]events.Event{
				turnStarted(1, 1, 0), turnDone(1, 1, 0, unanswered(called("mcp_0", ""))), callDone(0, called("mcp_0", "yes")),
				callDone(0, failedCall("mcp_0", "unknown")), callDone(0, failedCall("mcp_0", "unknown")),
			},
			final(openai, responses.ResponseCompleted, failedCall("mcp_0", "unknown")), `
output_item.added 0 mcp_0 in_progress
mcp_call.in_progress 0
mcp_call_arguments.delta 0 "{\"q\":1}"
mcp_call_arguments.done 0 "{\"q\":1}"
mcp_call.completed 0
output_item.done 0 mcp_0 completed
output_item.done 0 "unknown" mcp_0 failed
completed completed
`,
		},
		"reasoning whose end was lost": {
			thinking, final(openai, responses.ResponseCompleted, reasoning("rs_0", "hmm"), message("msg_1", responses.OutputText("So"))), `
output_item.added 0 rs_0
reasoning_summary_part.added 0.0
reasoning_summary_text.delta 0.0 "h"
reasoning_summary_text.done 0.0 "h"
reasoning_summary_part.done 0.0
output_item.done 0 rs_0
output_item.added 1 msg_1 in_progress
content_part.added 1.0
output_text.delta 1.0 "So"
output_item.added 0 rs_0
reasoning_summary_part.added 0.0
reasoning_summary_text.delta 0.0 "hmm"
reasoning_summary_text.done 0.0 "hmm"
reasoning_summary_part.done 0.0
output_item.done 0 rs_0
output_text.done 1.0 "So"
content_part.done 1.0
output_item.done 1 msg_1 completed
completed completed
`,
		},
		"reasoning that lacks a piece": {
			[]events.Event{
				turnStarted(1, 1, 0), delta(1, 1, 0, "rs_0", events.PartReasoning, 0, "h"), delta(1, 1, 0, "rs_0", events.PartReasoning, 2, "m"),
				delta(1, 1, 1, "msg_1", events.PartText, 0, ""),
			},
			final(openai, responses.ResponseCompleted, reasoning("rs_0", "hmm"), message("msg_1", responses.OutputText(""))), `
output_item.added 0 rs_0
reasoning_summary_part.added 0.0
reasoning_summary_text.delta 0.0 "h"
output_item.added 1 msg_1 in_progress
content_part.added 1.0
reasoning_summary_text.delta 0.0 "mm"
reasoning_summary_text.done 0.0 "hmm"
reasoning_summary_part.done 0.0
output_item.done 0 rs_0
output_text.done 1.0 ""
content_part.done 1.0
output_item.done 1 msg_1 completed
completed completed
`,
		},
		"nothing in the log": {
			nil, final(openai, responses.ResponseIncomplete, failedCall("mcp_0", "no")), `
output_item.added 0 mcp_0 in_progress
mcp_call.in_progress 0
mcp_call_arguments.delta 0 "{\"q\":1}"
mcp_call_arguments.done 0 "{\"q\":1}"
mcp_call.failed 0
output_item.done 0 "no" mcp_0 failed
incomplete incomplete
`,
		},
		"a run that was cancelled": {
			[]events.Event{
				turnStarted(1, 1, 0), turnDone(1, 1, 0, hello, unanswered(called("mcp_1", ""))),
				{Kind: events.Ended},
				callDone(1, called("mcp_1", "late")),
			},
			final(openai, responses.ResponseCancelled, hello), `
output_item.added 0 msg_0 in_progress
content_part.added 0.0
output_text.delta 0.0 "Hello"
output_text.done 0.0 "Hello"
content_part.done 0.0
output_item.done 0 msg_0 completed
output_item.added 1 mcp_1 in_progress
mcp_call.in_progress 1
mcp_call_arguments.delta 1 "{\"q\":1}"
mcp_call_arguments.done 1 "{\"q\":1}"
output_item.done 1 mcp_1 incomplete
incomplete cancelled
`,
		},
		"a list that failed": {
			[]events.Event{listStarted(0, list("mcpl_0", "a"))}, final(openai, responses.ResponseFailed), `
output_item.added 0 mcpl_0
mcp_list_tools.in_progress 0
mcp_list_tools.failed 0
output_item.done 0 "it failed" mcpl_0
failed because it failed failed
`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, openai, tt.log, tt.final)
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), trace(t, got)); diff != "" {
				t.Error(diff)
			}
			var c client
			if err := c.accumulate(got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBackground(t *testing.T) {
	t.Parallel()
	o := options(responses.DialectAgent)
	o.Response.Background = true
	var got []string
	for _, e := range render(t, o, nil, final(o, responses.ResponseCompleted)) {
		var w struct{ Response struct{ Status string } }
		if err := json.Unmarshal(e.Data, &w); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Type+" "+w.Response.Status)
	}
	want := []string{
		"response.created queued", "response.queued queued", "response.in_progress in_progress", "response.completed completed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStarted(t *testing.T) {
	t.Parallel()
	for _, e := range []events.Event{
		turnStarted(1, 1, 0), delta(1, 1, 0, "msg_0", events.PartText, 0, ""), turnDone(1, 1, 0),
		{Kind: events.CallStarted, ItemID: "mcp_0", Call: callOf(called("mcp_0", ""))},
		callDone(0, called("mcp_0", "")),
	} {
		r := stream.New(options(responses.DialectAgent))
		for _, before := range []events.Event{listStarted(0, list("mcpl_0", "a")), listDone(0, list("mcpl_0", "a"))} {
			if _, err := r.Add(t.Context(), before); err != nil || r.Started() {
				t.Fatalf("after %s: started %v, error %v", before.Kind, r.Started(), err)
			}
		}
		if _, err := r.Add(t.Context(), e); err != nil || !r.Started() {
			t.Errorf("after %s: started %v, error %v", e.Kind, r.Started(), err)
		}
	}
}
