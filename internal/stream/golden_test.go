package stream_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"perdure/internal/events"
	"perdure/internal/responses"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMCPCall compares a run with one server and one call, event by event, with what OpenAI sends.
func TestMCPCall(t *testing.T) {
	t.Parallel()
	o := options(responses.DialectOpenAI)
	tools, thought := list("mcpl_1_0", "wiki"), reasoning("rs_1_1", "I must search.")
	call, answer := called("mcp_1_2", "found"), message("msg_1_3", responses.OutputText("Here it is."))
	log := []events.Event{
		listStarted(0, tools),
		listDone(0, tools),
		turnStarted(1, 1, 1),
		delta(1, 1, 1, thought.ID, events.PartReasoning, 0, "I must "),
		delta(1, 1, 1, thought.ID, events.PartReasoning, 7, "search."),
		turnDone(1, 1, 1, thought, unanswered(call)),
		callDone(2, call),
		turnStarted(2, 1, 3),
		delta(2, 1, 3, answer.ID, events.PartText, 0, "Here"),
		delta(2, 1, 3, answer.ID, events.PartText, 4, " it is."),
		turnDone(2, 1, 3, answer),
	}
	var got bytes.Buffer
	for _, e := range render(t, o, log, final(o, responses.ResponseCompleted, tools, thought, call, answer)) {
		fmt.Fprintf(&got, "event: %s\ndata: %s\n\n", e.Type, e.Data)
	}
	const name = "testdata/mcp_call.golden"
	if *update {
		if err := os.WriteFile(name, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the stream is\n%s\nwant\n%s", got.Bytes(), want)
	}
}
