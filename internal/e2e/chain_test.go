package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
)

// chainLinks is how many responses go on with one another.
const chainLinks = 200

// told lists what a request tells the model.
func told(r modeltest.Request) []string {
	var out []string
	for _, m := range r.Messages {
		text := m.Role + ": " + m.Content
		for _, c := range m.ToolCalls {
			text += c.Name + c.Arguments
		}
		out = append(out, text)
	}
	return out
}

// TestLongChain: the last of many responses knows all that was said, and takes about as long as the second.
func TestLongChain(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply { return modeltest.Text("answer " + r.Last().Content) })
	ask(t, model, `"input": "x"`)
	var want []string
	var took []time.Duration
	previous := ""
	for link := range chainLinks {
		question := fmt.Sprint(link)
		begin := time.Now()
		r := s.create(t, askAgain(t, `"input": "%s"%s`, question, previous))
		took = append(took, time.Since(begin).Round(time.Millisecond))
		if r.text() != "answer "+question || len(r.Output) != 1 {
			t.Fatalf("link %d says %q in %d items", link, r.text(), len(r.Output))
		}
		previous = `, "previous_response_id": "` + r.ID + `"`
		want = append(want, "user: "+question, "assistant: answer "+question)
	}
	requests := model.Requests()
	if len(requests) != chainLinks {
		t.Fatalf("the model was asked %d times, want %d", len(requests), chainLinks)
	}
	if diff := cmp.Diff(want[:len(want)-1], told(requests[chainLinks-1])); diff != "" {
		t.Errorf("in the last link, the model was told (-want +got):\n%s", diff)
	}
	t.Logf("link 2 took %v, link %d %v", took[1], chainLinks, took[chainLinks-1])
}

// outputItem is what the tests of chains read of an item.
type outputItem struct {
	ID, Type string
	CallID   string `json:"call_id"`
}

func outputItems(t *testing.T, a answer) []outputItem {
	t.Helper()
	var r struct{ Output []outputItem }
	if err := json.Unmarshal(a.body, &r); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	return r.Output
}

// TestChain goes on through MCP calls and function calls, and in two directions from one response.
func TestChain(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	server, tool := startTools(t)
	model := modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"from the tool"}`}), modeltest.Text("The tool spoke."),
		modeltest.Calls(
			modeltest.Call{ID: "call_paris", Name: "get_weather", Arguments: `{"city":"Paris"}`},
			modeltest.Call{ID: "call_oslo", Name: "get_weather", Arguments: `{"city":"Oslo"}`}),
		modeltest.Text("18 and 9 degrees."), modeltest.Text("That was all."), modeltest.Text("Another way."))
	first := s.create(t, ask(t, model, `"input": "Ask the tool.", "tools": [%s]`, tool))
	a := s.send(t, http.MethodPost, "/responses", string(askAgain(t,
		`"input": "And the weather?", "previous_response_id": "%s", "tools": [%s]`, first.ID, weatherTool)))
	second := a.decode(t)
	var calls []string
	for _, item := range outputItems(t, a) {
		calls = append(calls, item.CallID)
	}
	if len(calls) != 2 {
		t.Fatalf("got the calls %v, want two", calls)
	}
	goOn := func(input string) answer {
		return s.send(t, http.MethodPost, "/responses",
			string(askAgain(t, `"input": %s, "previous_response_id": "%s", "tools": [%s]`, input, second.ID, weatherTool)))
	}
	output := func(id, text string) string {
		return fmt.Sprintf(`{"type": "function_call_output", "call_id": "%s", "output": "%s"}`, id, text)
	}
	refused(t, goOn(`"Never mind."`), http.StatusBadRequest, calls[0])
	refused(t, goOn("["+output(calls[0], "18")+"]"), http.StatusBadRequest, calls[1])
	refused(t, goOn("["+output(calls[0], "18")+", "+output(calls[1], "9")+", "+output("call_unknown", "x")+"]"), http.StatusBadRequest, "call_unknown")
	third := goOn("[" + output(calls[1], "9") + ", " + output(calls[0], "18") + "]").decode(t)
	for _, want := range []string{"That was all.", "Another way."} {
		if r := s.create(t, askAgain(t, `"input": "Is that all?", "previous_response_id": "%s"`, third.ID)); r.text() != want {
			t.Errorf("got the text %q, want %q", r.text(), want)
		}
	}
	want := []string{
		"user: Ask the tool.", `assistant: s__echo{"text":"from the tool"}`, "tool: from the tool", "assistant: The tool spoke.",
		"user: And the weather?", `assistant: get_weather{"city":"Paris"}get_weather{"city":"Oslo"}`, "tool: 18", "tool: 9",
		"assistant: 18 and 9 degrees.", "user: Is that all?",
	}
	for _, n := range []int{4, 5} {
		if diff := cmp.Diff(want, told(model.Requests()[n])); diff != "" {
			t.Errorf("the model was told (-want +got):\n%s", diff)
		}
	}
	if n := server.Calls("echo"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// TestNoSuchPreviousResponse pins what a chain must not go on with.
func TestNoSuchPreviousResponse(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	release := make(chan struct{})
	held := s.create(t, ask(t, modeltest.New(modeltest.Text("held").Hold(release)), `"input": "x", "background": true`)).ID
	refused(t, s.send(t, http.MethodPost, "/responses", string(askAgain(t, `"input": "x", "previous_response_id": "%s"`, held))),
		http.StatusBadRequest, "when it has ended")
	for _, id := range []string{"resp_00000000-0000-4000-8000-000000000000", "resp_x", "../x", "msg_1"} {
		refused(t, s.send(t, http.MethodPost, "/responses", string(askAgain(t, `"input": "x", "previous_response_id": "%s"`, id))),
			http.StatusBadRequest, "previous_response_id")
	}
	close(release)
	s.awaitStatus(t, held, "completed")
}

// TestDelete: a response that was deleted is gone, and what goes on with it is not.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	never := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Last().Content == "hold" {
			return modeltest.Text(inPieces).HoldAfter(2, never)
		}
		return modeltest.Text("answer " + r.Last().Content)
	})
	first := s.create(t, ask(t, model, `"input": "one"`))
	second := s.create(t, askAgain(t, `"input": "two", "previous_response_id": "%s"`, first.ID))
	held := s.create(t, askAgain(t, `"input": "hold", "background": true`))
	s.awaitStatus(t, held.ID, "in_progress")
	for _, id := range []string{first.ID, held.ID} {
		a := s.send(t, http.MethodDelete, "/responses/"+id, "")
		want := fmt.Sprintf(`{"deleted":true,"id":"%s","object":"response"}`, id)
		if a.status != http.StatusOK || string(a.body) != want+"\n" {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		for path, method := range map[string]string{
			"": http.MethodGet, "?stream=true": http.MethodGet, "/input_items": http.MethodGet, "/cancel": http.MethodPost,
		} {
			refused(t, s.send(t, method, "/responses/"+id+path, ""), http.StatusNotFound, "not found")
		}
		refused(t, s.send(t, http.MethodDelete, "/responses/"+id, ""), http.StatusNotFound, "not found")
		a = s.send(t, http.MethodPost, "/responses", string(askAgain(t, `"input": "x", "previous_response_id": "%s"`, id)))
		refused(t, a, http.StatusBadRequest, "Previous response with id")
	}
	third := s.create(t, askAgain(t, `"input": "three", "previous_response_id": "%s"`, second.ID))
	requests := model.Requests()
	want := []string{"user: one", "assistant: answer one", "user: two", "assistant: answer two", "user: three"}
	if diff := cmp.Diff(want, told(requests[len(requests)-1])); diff != "" || third.text() != "answer three" {
		t.Errorf("got %q, and the model was told (-want +got):\n%s", third.text(), diff)
	}
}
