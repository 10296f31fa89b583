package modeltest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/modeltest"
)

const hello = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

// post returns the status and the body, or the error of reading it.
func post(t *testing.T, ctx context.Context, server *modeltest.Server, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL()+"/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func streaming(body string) string { return strings.TrimSuffix(body, "}") + `,"stream":true}` }

func TestScript(t *testing.T) {
	t.Parallel()
	server := modeltest.New(modeltest.Text("one"), modeltest.Calls(modeltest.Call{Name: "f", Arguments: `{}`}))
	var first struct {
		Choices []struct {
			Message      struct{ Content string }
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	_, body, err := post(t, t.Context(), server, hello)
	if err != nil || json.Unmarshal([]byte(body), &first) != nil {
		t.Fatalf("%s, %v", body, err)
	}
	if first.Choices[0].Message.Content != "one" || first.Choices[0].FinishReason != "stop" || first.Usage.Total == 0 {
		t.Errorf("the first reply is %s", body)
	}
	_, body, err = post(t, t.Context(), server, strings.TrimSuffix(streaming(hello), "}")+`,"stream_options":{"include_usage":true}}`)
	if err != nil || !strings.HasSuffix(body, "data: [DONE]\n\n") || !strings.Contains(body, `"name":"f"`) || !strings.Contains(body, `"prompt_tokens"`) {
		t.Errorf("the second reply is %s, %v", body, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	requests := server.Requests()
	want := []modeltest.Message{{Role: "user", Content: "hi"}}
	if diff := cmp.Diff(want, requests[1].Messages); diff != "" || !requests[1].Stream || requests[0].Model != "m" {
		t.Errorf("recorded %+v", requests)
	}
}

func TestScriptIsStrict(t *testing.T) {
	t.Parallel()
	few := modeltest.New()
	if code, _, err := post(t, t.Context(), few, hello); err != nil || code != http.StatusInternalServerError {
		t.Errorf("a request too many gets %d, %v", code, err)
	}
	if err := few.Close(); err == nil || !strings.Contains(err.Error(), "no reply") {
		t.Errorf("a request too many: Close says %v", err)
	}
	many := modeltest.New(modeltest.Text("a"), modeltest.Text("b"))
	if _, _, err := post(t, t.Context(), many, hello); err != nil {
		t.Fatal(err)
	}
	if err := many.Close(); err == nil || !strings.Contains(err.Error(), "1 of the replies") {
		t.Errorf("a reply too many: Close says %v", err)
	}
	unexpected := modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Reply{} })
	if code, _, err := post(t, t.Context(), unexpected, hello); err != nil || code != http.StatusInternalServerError {
		t.Errorf("an unexpected request gets %d, %v", code, err)
	}
	if err := unexpected.Close(); err == nil {
		t.Error("an unexpected request: Close says nothing")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	conversation := func(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }
	call := func(id, name, arguments string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":"` + arguments + `"}}`
	}
	calls := func(calls string) string { return `{"role":"assistant","content":null,"tool_calls":[` + calls + `]}` }
	answer := func(id string) string { return `{"role":"tool","tool_call_id":"` + id + `","content":"ok"}` }
	tool := func(name, schema string) string {
		return `{"type":"function","function":{"name":"` + name + `","parameters":` + schema + `}}`
	}
	good := `{"type":"object","properties":{}}`
	with := func(members string) string { return strings.TrimSuffix(hello, "}") + "," + members + "}" }
	for name, body := range map[string]string{
		"not JSON":               `{`,
		"no model":               `{"messages":[{"role":"user","content":"hi"}]}`,
		"no messages":            conversation(``),
		"unknown role":           conversation(`{"role":"robot","content":"hi"}`),
		"no content":             conversation(`{"role":"user"}`),
		"image from the system":  conversation(`{"role":"system","content":[{"type":"image_url","image_url":{"url":"u"}}]}`),
		"unanswered":             conversation(calls(call("a", "f", "{}"))),
		"answered too late":      conversation(calls(call("a", "f", "{}")) + `,{"role":"user","content":"x"},` + answer("a")),
		"answer without a call":  conversation(answer("a")),
		"answered twice":         conversation(calls(call("a", "f", "{}")) + "," + answer("a") + "," + answer("a")),
		"the same ID twice":      conversation(calls(call("a", "f", "{}")+","+call("a", "f", "{}")) + "," + answer("a") + "," + answer("a")),
		"long ID":                conversation(calls(call(strings.Repeat("a", 41), "f", "{}")) + "," + answer(strings.Repeat("a", 41))),
		"bad name":               conversation(calls(call("a", "f g", "{}")) + "," + answer("a")),
		"bad arguments":          conversation(calls(call("a", "f", "{")) + "," + answer("a")),
		"bad tool name":          with(`"tools":[` + tool("f.g", good) + `]`),
		"two tools of one name":  with(`"tools":[` + tool("f", good) + `,` + tool("f", good) + `]`),
		"schema of no object":    with(`"tools":[` + tool("f", `true`) + `]`),
		"schema, no properties":  with(`"tools":[` + tool("f", `{"type":"object"}`) + `]`),
		"schema with anyOf":      with(`"tools":[` + tool("f", `{"type":"object","properties":{},"anyOf":[]}`) + `]`),
		"tool of another type":   with(`"tools":[{"type":"mcp","function":{"name":"f","parameters":` + good + `}}]`),
		"choice without tools":   with(`"tool_choice":"auto"`),
		"parallel without tools": with(`"parallel_tool_calls":true`),
		"options without stream": with(`"stream_options":{"include_usage":true}`),
	} {
		server := modeltest.New(modeltest.Text("never"))
		if code, _, err := post(t, t.Context(), server, body); err != nil || code != http.StatusBadRequest {
			t.Errorf("%s: status %d, %v; want 400", name, code, err)
		}
		if err := server.Close(); err == nil || !strings.Contains(err.Error(), "request 0") {
			t.Errorf("%s: Close says %v, want the fault of request 0", name, err)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	t.Parallel()
	server := modeltest.New()
	for path, want := range map[string]int{"/models": http.StatusOK, "/responses": http.StatusNotFound} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if err := server.Close(); err == nil || !strings.Contains(err.Error(), "/v1/responses") || strings.Contains(err.Error(), "/v1/models") {
		t.Errorf("Close says %v, want the unknown path alone", err)
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	server := modeltest.New(modeltest.Truncated(2))
	_, body, err := post(t, t.Context(), server, streaming(hello))
	if err == nil || strings.Count(body, "data:") != 2 {
		t.Errorf("read %q, %v; want two chunks and an error", body, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	server := modeltest.New(modeltest.Text("held").Hold(open), modeltest.Text("held for ever").HoldAfter(1, nil))
	answered := make(chan string)
	go func() {
		_, body, err := post(t, t.Context(), server, hello)
		if err != nil {
			body = err.Error()
		}
		answered <- body
	}()
	if _, err := server.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-answered:
		t.Fatalf("the reply was not held: %s", body)
	default:
	}
	close(open)
	if body := <-answered; !strings.Contains(body, "held") {
		t.Errorf("the reply is %q", body)
	}
	go func() {
		_, body, err := post(t, t.Context(), server, streaming(hello))
		if err == nil {
			body = "no error"
		}
		answered <- body
	}()
	if _, err := server.WaitRequest(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil { // releases the second
		t.Error(err)
	}
	if body := <-answered; strings.Contains(body, "no error") {
		t.Error("closing the server completed a reply that was held")
	}
}

func TestWaitRequestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := modeltest.New()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.WaitRequest(ctx, 0); err == nil {
		t.Error("there is no request to wait for")
	}
}

func TestTurn(t *testing.T) {
	t.Parallel()
	for messages, want := range map[string]int{
		"":             0,
		"user":         0,
		"user a t":     1,
		"a user":       0,
		"user a t a t": 2,
	} {
		var r modeltest.Request
		for role := range strings.FieldsSeq(messages) {
			role = map[string]string{"user": "user", "a": "assistant", "t": "tool"}[role]
			r.Messages = append(r.Messages, modeltest.Message{Role: role})
		}
		if got := r.Turn(); got != want {
			t.Errorf("Turn after %q = %d, want %d", messages, got, want)
		}
	}
}
