package stream_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/events"
	"perdure/internal/responses"
)

func TestFreshIndexes(t *testing.T) {
	t.Parallel()
	o := options(responses.DialectAgent)
	o.FreshIndexes = true
	hello := message("msg_0", responses.OutputText("Hello"))
	log := []events.Event{
		turnStarted(1, 1, 0), delta(1, 1, 0, "msg_x", events.PartText, 0, ""),
		turnDone(1, 1, 0, message("msg_x", responses.OutputText("")), unanswered(called("call_y", ""))),
		turnStarted(1, 2, 0), delta(1, 2, 0, "msg_0", events.PartText, 0, "Hello"), turnDone(1, 2, 0, hello),
	}
	got := render(t, o, log, final(o, responses.ResponseCompleted, hello))
	const want = `output_item.added 0 msg_x in_progress
content_part.added 0.0
output_text.done 0.0 ""
content_part.done 0.0
output_item.done 0 msg_x completed
output_item.added 1 call_y
mcp_call.in_progress 1
mcp_call_arguments.delta 1 "{\"q\":1}"
mcp_call_arguments.done 1 "{\"q\":1}"
output_item.done 1 call_y incomplete
output_item.added 2 msg_0 in_progress
content_part.added 2.0
output_text.delta 2.0 "Hello"
output_text.done 2.0 "Hello"
content_part.done 2.0
output_item.done 2 msg_0 completed
completed completed
`
	if diff := cmp.Diff(want, trace(t, got)); diff != "" {
		t.Error(diff)
	}
	c := client{fresh: true}
	if err := c.accumulate(got); err != nil {
		t.Error(err)
	}
}

// TestFreshIndexesOnly: a client that takes no index and no ID twice gets an item that was closed too early again, but only that.
func TestFreshIndexesOnly(t *testing.T) {
	t.Parallel()
	o := options(responses.DialectAgent)
	o.FreshIndexes = true
	thought, answer := reasoning("rs_0", "hmm"), message("msg_1", responses.OutputText("So"))
	log := []events.Event{
		turnStarted(1, 1, 0), delta(1, 1, 0, "rs_0", events.PartReasoning, 0, "h"), delta(1, 1, 1, "msg_1", events.PartText, 0, "So"),
		turnDone(1, 1, 0, thought, answer),
	}
	got := render(t, o, log, final(o, responses.ResponseCompleted, thought, answer))
	const want = `output_item.added 0 rs_0
reasoning_summary_part.added 0.0
reasoning_summary_text.delta 0.0 "h"
reasoning_summary_text.done 0.0 "h"
reasoning_summary_part.done 0.0
output_item.done 0 rs_0
output_item.added 1 msg_1 in_progress
content_part.added 1.0
output_text.delta 1.0 "So"
output_item.done 0 rs_0
output_text.done 1.0 "So"
content_part.done 1.0
output_item.done 1 msg_1 completed
completed completed
`
	if diff := cmp.Diff(want, trace(t, got)); diff != "" {
		t.Error(diff)
	}
	c := client{fresh: true}
	if err := c.accumulate(got); err != nil {
		t.Error(err)
	}
}
