package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// TestCutOffCallsAreKnown: whoever goes on from a cancelled run, by its ID or in its conversation, is told of the call that was made and of
// the one that may have been.
func TestCutOffCallsAreKnown(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"response", "conversation"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := sharedStack(t)
			server, tool := startHostile(t)
			server.On("tools/call", mcptest.InTurn(mcptest.Result(`{"content":[{"type":"text","text":"booked"}]}`), mcptest.Silent()))
			call := modeltest.Call{Name: "s__t", Arguments: "{}"}
			model := modeltest.New(modeltest.Calls(call, call), modeltest.Text("I know."))
			in := ""
			if way == "conversation" {
				in = fmt.Sprintf(`"conversation": "%s", `, s.send(t, http.MethodPost, "/conversations", "{}").decode(t).ID)
			}
			first := s.create(t, ask(t, model, `%s"input": "x", "background": true, "parallel_tool_calls": false, "tools": [%s]`, in, tool))
			if err := server.Await(t.Context(), "tools/call", 2); err != nil {
				t.Fatal(err)
			}
			cancelled := s.send(t, http.MethodPost, "/responses/"+first.ID+"/cancel", "")
			calls := 0
			for _, item := range wireItems(t, cancelled) {
				if item.Type == "mcp_call" {
					calls++
				}
			}
			if got := cancelled.decode(t); got.Status != "cancelled" || calls != 2 {
				t.Errorf("status %s with %d calls: %s", got.Status, calls, cancelled.body)
			}
			checkReplay(t, s, first.ID)
			if way == "response" {
				in = fmt.Sprintf(`"previous_response_id": "%s", `, first.ID)
			}
			if r := s.create(t, askAgain(t, `%s"input": "Did it work?"`, in)); r.text() != "I know." {
				t.Errorf("got the text %q", r.text())
			}
			if got := strings.Join(told(model.Requests()[1]), "\n"); !strings.Contains(got, "tool: booked") || !strings.Contains(got, "outcome of this call is unknown") {
				t.Errorf("the model was told\n%s", got)
			}
		})
	}
}
