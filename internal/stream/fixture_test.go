package stream_test

import (
	"context"
	"encoding/json"
	"testing"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/responses"
	"perdure/internal/stream"
)

const responseID = "resp_1"

// options are for a run without blobs: all values are inline.
func options(d responses.Dialect) stream.Options {
	return stream.Options{
		Response: &responses.Response{ID: responseID, Object: "response", Model: "m/m", ServiceTier: "default", Truncation: "disabled"},
		Dialect:  d,
		Item: func(_ context.Context, v blob.Value) (responses.Item, error) {
			return responses.UnmarshalItem(v.JSON)
		},
		Text: func(_ context.Context, v blob.Value) (string, error) {
			var s string
			return s, json.Unmarshal(v.JSON, &s)
		},
	}
}

func value(v any) *blob.Value {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &blob.Value{JSON: data}
}

// final is the response as the run ended.
func final(o stream.Options, status string, output ...responses.Item) *responses.Response {
	r := *o.Response
	r.Status, r.Output = status, output
	if status == responses.ResponseFailed {
		r.Error = &responses.RunError{Code: "server_error", Message: "it failed", Type: "server_error"}
	}
	return &r
}

// render is the whole stream of a log and of its end.
func render(t *testing.T, o stream.Options, log []events.Event, end *responses.Response) []stream.Event {
	t.Helper()
	r := stream.New(o)
	out, err := r.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range log {
		made, err := r.Add(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, made...)
	}
	made, err := r.Finish(end)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, made...)
}

func turnStarted(turn, try, index int) events.Event {
	return events.Event{Kind: events.TurnStarted, Turn: turn, Try: try, Index: index}
}

func delta(turn, try, index int, id, part string, at int, text string) events.Event {
	return events.Event{
		Kind: events.DeltaAdded, Turn: turn, Try: try, Index: index, ItemID: id,
		Delta: &events.Delta{Part: part, At: at, Text: text},
	}
}

func turnDone(turn, try, index int, items ...responses.Item) events.Event {
	e := events.Event{Kind: events.TurnDone, Turn: turn, Try: try, Index: index}
	for _, item := range items {
		e.Slots = append(e.Slots, slot(item))
	}
	return e
}

// slot is that of an item of a turn; a call without output and error is to be made.
func slot(item responses.Item) events.Slot {
	if call, ok := item.(*responses.MCPCall); ok && call.Output == "" && call.Error == nil {
		return events.Slot{ItemID: call.ID, Call: callOf(call)}
	}
	return events.Slot{ItemID: idOf(item), Item: value(item)}
}

func callOf(call *responses.MCPCall) *events.Call {
	return &events.Call{
		Server: call.ServerLabel, Tool: call.Name, Arguments: *value(call.Arguments), ApprovalRequestID: call.ApprovalRequestID,
	}
}

func callDone(index int, call *responses.MCPCall) events.Event {
	return events.Event{Kind: events.CallDone, Index: index, ItemID: call.ID, Item: value(call)}
}

func listStarted(index int, list *responses.MCPListTools) events.Event {
	return events.Event{Kind: events.ListStarted, Index: index, ItemID: list.ID, Server: list.ServerLabel}
}

func listDone(index int, list *responses.MCPListTools) events.Event {
	return events.Event{Kind: events.ListDone, Index: index, ItemID: list.ID, Item: value(list)}
}

// idOf reads the ID as a client does.
func idOf(item responses.Item) string {
	data, err := json.Marshal(item)
	if err != nil {
		panic(err)
	}
	var head struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		panic(err)
	}
	return head.ID
}

func list(id, label string) *responses.MCPListTools {
	return &responses.MCPListTools{ID: id, ServerLabel: label, Tools: []responses.MCPToolInfo{{
		Name: "search", Description: "Finds.", InputSchema: responses.Schema(`{"type":"object"}`),
		Annotations: &responses.ToolAnnotations{ReadOnly: true},
	}}}
}

func message(id string, parts ...responses.Part) *responses.Message {
	return &responses.Message{ID: id, Role: responses.RoleAssistant, Status: responses.StatusCompleted, Content: parts}
}

func refusal(text string) responses.Part {
	return responses.Part{Type: responses.PartRefusal, Text: text}
}

func reasoning(id, text string) *responses.Reasoning {
	return &responses.Reasoning{ID: id, Summary: []responses.Part{{Type: responses.PartSummaryText, Text: text}}}
}

func function(id, arguments string) *responses.FunctionCall {
	return &responses.FunctionCall{
		ID: id, CallID: "call_of_" + id, Name: "f", Arguments: arguments, Status: responses.StatusCompleted,
	}
}

func called(id, output string) *responses.MCPCall {
	return &responses.MCPCall{ID: id, ServerLabel: "wiki", Name: "search", Arguments: `{"q":1}`, Output: output}
}

func failedCall(id, failure string) *responses.MCPCall {
	return &responses.MCPCall{ID: id, ServerLabel: "wiki", Name: "search", Arguments: `{"q":1}`, Error: &failure}
}

// unanswered is a call as the turn that asks for it knows it.
func unanswered(call *responses.MCPCall) *responses.MCPCall {
	begun := *call
	begun.Output, begun.Error = "", nil
	return &begun
}
