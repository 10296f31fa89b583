package activities_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/responses"
)

const unknownOutcome = "the outcome of this call is unknown"

func (f *fixture) callInput(server activities.Server, repeatable bool) activities.MCPCallInput {
	return activities.MCPCallInput{
		ResponseID: responseID, ItemID: "call_1_4", Server: server, Tool: "t", Arguments: f.value(`{"q": 1}`),
		Repeatable: repeatable, Attempts: 4, ThoughtSignature: "sig",
	}
}

func (f *fixture) call(in activities.MCPCallInput) (activities.MCPCallResult, error) {
	return execute[activities.MCPCallResult](f.env(), activities.MCPCallName, in)
}

// item returns the item of a result, and checks what all have in common.
func (f *fixture) item(r activities.MCPCallResult) *responses.MCPCall {
	f.t.Helper()
	item := unpack[*responses.MCPCall](f, r.Item)
	if item.ID != "call_1_4" || item.ServerLabel != "s" || item.Name != "t" || item.ThoughtSignature != "sig" {
		f.t.Errorf("item %+v", item)
	}
	if r.Failed != (item.Error != nil) || r.Failed && item.Output != "" {
		f.t.Errorf("failed %t, output %q, error %v", r.Failed, item.Output, item.Error)
	}
	return item
}

func TestMCPCallAnswers(t *testing.T) {
	t.Parallel()
	text := func(s string) string { return `{"content":[{"type":"text","text":` + s + `}]` }
	tests := []struct {
		name   string
		answer mcptest.Answer
		output string
		fault  string
	}{
		{"text", mcptest.Result(text(`"it is so"`) + `}`), "it is so", ""},
		{"no content", mcptest.Result(`{"content":[]}`), "", ""},
		{"structured", mcptest.Result(`{"content":[],"structuredContent":{"a":1}}`), `{"a":1}`, ""},
		{"the tool failed", mcptest.Result(text(`"no such page"`) + `,"isError":true}`), "", "no such page"},
		{"the tool failed without a reason", mcptest.Result(`{"content":[],"isError":true}`), "", "the tool failed and gave no reason"},
		{
			"JSON-RPC error", mcptest.Error(-32602, "q must be a string"), "",
			`MCP server "s": it answered tools/call with JSON-RPC error -32602 (call): q must be a string`,
		},
		{"unauthorized", mcptest.Status(http.StatusUnauthorized), "", `MCP server "s": it answered HTTP 401 Unauthorized (auth)`},
		{"not MCP", mcptest.Body(http.StatusOK, "text/html", "<html>"), "", "check that the URL is an MCP endpoint (protocol)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere)
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", tt.answer)
			got, err := f.call(f.callInput(f.server("s", server.URL()), true))
			if err != nil {
				t.Fatal(err)
			}
			item := f.item(got)
			if item.Output != tt.output || item.Arguments != `{"q": 1}` {
				t.Errorf("output %q of arguments %q", item.Output, item.Arguments)
			}
			switch {
			case tt.fault == "" && item.Error != nil:
				t.Errorf("error %q", *item.Error)
			case tt.fault != "" && (item.Error == nil || !strings.Contains(*item.Error, tt.fault)):
				t.Errorf("error %v, want %q", item.Error, tt.fault)
			}
			request := callRequest(t, server)
			var params struct {
				Params struct{ Arguments json.RawMessage }
			}
			if err := json.Unmarshal(request.Body, &params); err != nil || string(params.Params.Arguments) != `{"q": 1}` {
				t.Errorf("sent arguments %s, error %v", params.Params.Arguments, err)
			}
			if key := request.Header.Get("Idempotency-Key"); key != "call_1_4" {
				t.Errorf("idempotency key %q", key)
			}
		})
	}
}

func callRequest(t *testing.T, server *mcptest.Hostile) mcptest.Request {
	t.Helper()
	for _, r := range server.Requests() {
		if r.Method == "tools/call" {
			return r
		}
	}
	t.Fatal("no call was sent")
	return mcptest.Request{}
}

// A repeatable call that may pass is an error for Temporal to retry, until the last attempt.
func TestRepeatableCallIsRetried(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer mcptest.Answer
		delay  time.Duration
		again  bool
	}{
		{"lost answer", mcptest.Cut("", ""), 0, true},
		{"server error", mcptest.Status(http.StatusInternalServerError), 0, true},
		{"unavailable", mcptest.Status(http.StatusServiceUnavailable, "Retry-After", "3"), 3 * time.Second, true},
		{"rate limited", mcptest.Status(http.StatusTooManyRequests, "Retry-After", "9999"), 5 * time.Minute, true},
		{"silent", mcptest.Silent(), 0, true},
		{"unauthorized", mcptest.Status(http.StatusUnauthorized), 0, false},
		{"JSON-RPC error", mcptest.Error(-32603, "internal"), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere, func(o *activities.Options) {
				if tt.name == "silent" { // the others answer, however long that takes
					o.MCP = newMCP(t, mcpclient.Options{CallTimeout: time.Second})
				}
			})
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", tt.answer)
			in := f.callInput(f.server("s", server.URL()), true)
			got, err := f.call(in)
			if !tt.again {
				if err != nil || !got.Failed {
					t.Errorf("result %+v, error %v, want an item with an error", got, err)
				}
				return
			}
			fault := failureOf(t, err)
			if fault.Type != activities.ErrTypeMCPCall || fault.Final || fault.Delay != tt.delay {
				t.Errorf("error %+v, want a retry after %v", fault, tt.delay)
			}

			in.Attempts = 1 // there is no other attempt
			got, err = f.call(in)
			if err != nil {
				t.Fatal(err)
			}
			if item := f.item(got); strings.Contains(*item.Error, unknownOutcome) || !strings.HasPrefix(*item.Error, `MCP server "s": `) {
				t.Errorf("error %q", *item.Error)
			}
		})
	}
}

func TestAbandonedCallSendsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	in := f.callInput(f.server("s", server.URL()), true)
	in.Abandoned = true
	missing := in
	missing.Arguments = blob.Value{Ref: blob.RefOf([]byte("never stored")), Size: 9000}
	for name, in := range map[string]activities.MCPCallInput{"with its arguments": in, "when they are gone": missing} {
		got, err := f.call(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if item := f.item(got); !strings.HasPrefix(*item.Error, unknownOutcome) {
			t.Errorf("%s: error %q", name, *item.Error)
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestRecordedCallSendsNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		details    any
		repeatable bool
		sent       int
	}{
		{"recorded", map[string]bool{"sending": true}, false, 0},
		{"unreadable", "what is this", false, 0},
		{"recorded, repeatable", map[string]bool{"sending": true}, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere)
			server := closed(t, mcptest.NewHostile())
			env := f.env()
			env.SetHeartbeatDetails(tt.details)
			got, err := execute[activities.MCPCallResult](env, activities.MCPCallName, f.callInput(f.server("s", server.URL()), tt.repeatable))
			if err != nil {
				t.Fatal(err)
			}
			item := f.item(got)
			if n := server.Count("tools/call"); n != tt.sent {
				t.Errorf("%d calls were sent, want %d", n, tt.sent)
			}
			if unknown := item.Error != nil && strings.HasPrefix(*item.Error, unknownOutcome); unknown != (tt.sent == 0) {
				t.Errorf("error %v", item.Error)
			}
		})
	}
}

func TestCallWithoutItsEndpointIsTold(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := f.server("s", "http://127.0.0.1:1/")
	server.Endpoint = blob.Value{JSON: []byte(`"bm90IHNlYWxlZCBieSBhbnlib2R5"`)}
	got, err := f.call(f.callInput(server, false))
	if err != nil {
		t.Fatal(err)
	}
	if item := f.item(got); !strings.HasPrefix(*item.Error, "not called: ") {
		t.Errorf("error %q", *item.Error)
	}
}

func TestCallWithoutItsArgumentsIsRetried(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	in := f.callInput(f.server("s", "http://127.0.0.1:1/"), false)
	in.Arguments = blob.Value{Ref: blob.RefOf([]byte("not here yet")), Size: 9000}
	_, err := f.call(in)
	if got := failureOf(t, err); got.Type != activities.ErrTypeStorage || got.Final {
		t.Errorf("got %+v", got)
	}
}

func TestLongOutputIsStoredByReference(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	long := strings.Repeat("long ", 100_000)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"`+long+`"}]}`))
	got, err := f.call(f.callInput(f.server("s", server.URL()), true))
	if err != nil {
		t.Fatal(err)
	}
	if size := len(must(json.Marshal(got))); got.Item.Ref == "" || size > 500 {
		t.Errorf("history would keep %d bytes", size)
	}
	// The model may see less, the item keeps all of it.
	if item := f.item(got); item.Output != long {
		t.Errorf("the item keeps %d of %d bytes", len(item.Output), len(long))
	}
}

func TestRepeatableCallIsHandedBackWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/call", mcptest.Silent())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	in := f.callInput(f.server("s", server.URL()), true)
	done := make(chan error, 1)
	go func() {
		_, err := execute[activities.MCPCallResult](f.envUnder(ctx), activities.MCPCallName, in)
		done <- err
	}()
	if err := server.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error %v, want the cancellation", err)
	}
}

// An output for which the conversation has no room is left out, and the model hears that the call was made.
func TestOutputWithoutRoom(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{"content":[{"type":"text","text":"0123456789"}]}`, `{"content":[{"type":"text","text":"0123456789"}],"isError":true}`} {
		for room, fits := range map[int64]bool{0: true, 10: true, 9: false} {
			f := setup(t, nowhere)
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", mcptest.Result(answer))
			in := f.callInput(f.server("s", server.URL()), false)
			in.Room = room
			got, err := f.call(in)
			if err != nil {
				t.Fatal(err)
			}
			item := f.item(got)
			leftOut := item.Error != nil && strings.Contains(*item.Error, "the call was made and answered, but its output of 10 bytes is left out")
			if leftOut == fits {
				t.Errorf("room for %d: output %q, error %v", room, item.Output, item.Error)
			}
		}
	}
}
