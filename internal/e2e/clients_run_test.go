package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
)

func clientCreates(t *testing.T, c *sdk) {
	body := ask(t, modeltest.New(modeltest.Text("Hello back.")), `"input": "Hello.", "metadata": {"k": "v"}`)
	got := c.must(t, command{Do: "create", Body: body})
	if r := got.response(t); r.Status != "completed" || got.OutputText != "Hello back." || r.Usage.OutputTokens != 7 {
		t.Errorf("got status %s, text %q, usage %+v", r.Status, got.OutputText, r.Usage)
	}
	again := c.must(t, command{Do: "retrieve", ResponseID: got.response(t).ID})
	if diff := cmp.Diff(decoded(t, got.Response), decoded(t, again.Response)); diff != "" || again.OutputText != got.OutputText {
		t.Errorf("what was created and what is retrieved differ (-created +retrieved):\n%s", diff)
	}
}

// decoded decodes what is compared.
func decoded(t *testing.T, data json.RawMessage) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return value
}

// clientContinues goes on after an MCP call, and the model sees what was called.
func clientContinues(t *testing.T, c *sdk) {
	server, tool := startTools(t)
	model := modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"from the tool"}`}),
		modeltest.Text("It said so."), modeltest.Text("It said: from the tool."))
	first := c.must(t, command{Do: "create", Body: ask(t, model, `"input": "Ask the tool.", "tools": [%s]`, tool)})
	r := first.response(t)
	if types := r.types(); !slices.Equal(types, []string{"mcp_list_tools", "mcp_call", "message"}) {
		t.Fatalf("got items %v: %s", types, first.Response)
	}
	if call := r.Output[1]; call.Output != "from the tool" || call.Error != nil || call.Arguments != `{"text":"from the tool"}` {
		t.Errorf("got the call %+v", call)
	}

	second := c.must(t, command{
		Do: "create", Body: askAgain(t, `"input": "What did it say?", "previous_response_id": "%s", "tools": [%s]`, r.ID, tool),
	})
	if second.OutputText != "It said: from the tool." {
		t.Errorf("got the text %q", second.OutputText)
	}
	// OpenAI does not list again what the conversation holds already.
	want := []string{"mcp_list_tools", "message"}
	if c.dialectOpenAI {
		want = want[1:]
	}
	if types := second.response(t).types(); !slices.Equal(types, want) {
		t.Errorf("the second response has the items %v, want %v", types, want)
	}
	var told []string
	for _, m := range model.Requests()[2].Messages {
		told = append(told, m.Role+": "+m.Content)
	}
	wantTold := []string{
		"user: Ask the tool.", "assistant: ", "tool: from the tool", "assistant: It said so.", "user: What did it say?",
	}
	if diff := cmp.Diff(wantTold, told); diff != "" {
		t.Errorf("the model was told (-want +got):\n%s", diff)
	}
	if n := server.Calls("echo"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// clientRunsFunction runs a function at the client and sends its output with previous_response_id.
func clientRunsFunction(t *testing.T, c *sdk) {
	model := modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "get_weather", Arguments: `{"city":"Paris"}`}), modeltest.Text("18 degrees."))
	first := c.must(t, command{Do: "create", Body: ask(t, model, `"input": "How warm is Paris?", "tools": [%s]`, weatherTool)})
	c.finishFunction(t, first.Response, "18 degrees.")
	if last := model.Requests()[1].Last(); last.Role != "tool" || last.Content != "18" {
		t.Errorf("the model was told %+v, want the function's output", last)
	}
}

// finishFunction answers the response's only item, a call of get_weather.
func (c *sdk) finishFunction(t *testing.T, data json.RawMessage, want string) {
	t.Helper()
	var r struct {
		ID     string
		Output []struct {
			Type, Name, Arguments string
			CallID                string `json:"call_id"`
		}
	}
	if err := json.Unmarshal(data, &r); err != nil || len(r.Output) != 1 {
		t.Fatalf("want one item, %v: %s", err, data)
	}
	call := r.Output[0]
	if call.Type != "function_call" || call.Name != "get_weather" || call.Arguments != `{"city":"Paris"}` || call.CallID == "" {
		t.Fatalf("got the call %+v", call)
	}
	second := c.must(t, command{Do: "create", Body: askAgain(t,
		`"input": [{"type": "function_call_output", "call_id": "%s", "output": "18"}], "previous_response_id": "%s", "tools": [%s]`,
		call.CallID, r.ID, weatherTool)})
	if second.OutputText != want {
		t.Errorf("got the text %q, want %q", second.OutputText, want)
	}
}

// clientPolls waits for a background run by asking for it.
func clientPolls(t *testing.T, c *sdk) {
	held := make(chan struct{})
	body := ask(t, modeltest.New(modeltest.Text("At last.").HoldAfter(2, held)), `"input": "Take your time.", "background": true`)
	created := c.must(t, command{Do: "create", Body: body}).response(t)
	if created.Status != "queued" || len(created.Output) != 0 {
		t.Errorf("got status %s with %d items, want queued and none", created.Status, len(created.Output))
	}
	if r := c.poll(t, created.ID, "in_progress"); r.text() == "At last." {
		t.Error("the run has an output that its model has not written yet")
	}
	close(held)
	if r := c.poll(t, created.ID, "completed"); r.text() != "At last." {
		t.Errorf("got the text %q", r.text())
	}
}

// poll retrieves a response until it has a status.
func (c *sdk) poll(t *testing.T, id, status string) response {
	t.Helper()
	deadline := after(commandTimeout)
	for {
		r := c.must(t, command{Do: "retrieve", ResponseID: id}).response(t)
		if r.Status == status {
			return r
		}
		if !slices.Contains([]string{"queued", "in_progress"}, r.Status) {
			t.Fatalf("the response is %s, want %s: %+v", r.Status, status, r.Error)
		}
		deadline.pause(t, "the response to be %s, it is %s", status, r.Status)
	}
}

// clientCancels cancels a background run in the middle of a model's turn, twice.
func clientCancels(t *testing.T, c *sdk) {
	held := make(chan struct{})
	defer close(held)
	model := modeltest.New(modeltest.Text("This answer never ends.").HoldAfter(2, held))
	body := ask(t, model, `"input": "Hello.", "background": true`)
	id := c.must(t, command{Do: "create", Body: body}).response(t).ID
	if _, err := model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stream := c.begin(t, command{Do: "resume", ResponseID: id})
	canceled := c.must(t, command{Do: "cancel", ResponseID: id})
	if r := canceled.response(t); r.ID != id || r.Status != "cancelled" {
		t.Errorf("got %s", canceled.Response)
	}
	if r := c.poll(t, id, "cancelled"); r.Error != nil {
		t.Errorf("a response that was cancelled has the error %+v", r.Error)
	}
	events := checkEvents(t, c.wait(t, stream).check(t).Events)
	if last := events[len(events)-1]; last.Response == nil || last.Response.Status != "cancelled" {
		t.Errorf("the stream ends with %+v, want an event with the response that was cancelled", last)
	}
	if r := c.must(t, command{Do: "cancel", ResponseID: id}).response(t); r.Status != "cancelled" {
		t.Errorf("cancelled again, the response is %s", r.Status)
	}
}

// clientDeletes deletes a response, which is gone at once.
func clientDeletes(t *testing.T, c *sdk) {
	id := c.must(t, command{Do: "create", Body: ask(t, modeltest.New(modeltest.Text("Gone.")), `"input": "Hello."`)}).response(t).ID
	c.must(t, command{Do: "delete", ResponseID: id})
	c.wantError(t, c.call(t, command{Do: "retrieve", ResponseID: id}), "NotFoundError", http.StatusNotFound, c.errorType("not_found"), "")
}

// clientListsInput reads the input in pages, in both directions.
func clientListsInput(t *testing.T, c *sdk) {
	body := ask(t, modeltest.New(modeltest.Text("Four.")), `"input": [
		{"type": "message", "role": "user", "content": "one"}, {"type": "message", "role": "assistant", "content": "two"},
		{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "three"}]}]`)
	id := c.must(t, command{Do: "create", Body: body}).response(t).ID
	for _, order := range []string{"asc", "desc"} {
		for _, limit := range []int{1, 2, 100} {
			got := c.must(t, command{Do: "input_items", ResponseID: id, Query: map[string]any{"order": order, "limit": limit}})
			var texts, ids []string
			for _, data := range got.Items {
				var it struct {
					ID      string
					Type    string
					Content []struct{ Text string }
				}
				if err := json.Unmarshal(data, &it); err != nil || it.Type != "message" || len(it.Content) != 1 {
					t.Fatalf("%v in the item %s", err, data)
				}
				texts, ids = append(texts, it.Content[0].Text), append(ids, it.ID)
			}
			want := []string{"one", "two", "three"}
			if order == "desc" {
				slices.Reverse(want)
			}
			if !slices.Equal(texts, want) {
				t.Errorf("%s, %d a page: got %v, want %v", order, limit, texts, want)
			}
			if slices.Sort(ids); len(slices.Compact(ids)) != len(want) || strings.Join(ids, "") == "" {
				t.Errorf("the items have no IDs of their own: %v", ids)
			}
		}
	}
}
