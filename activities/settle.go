package activities

import (
	"context"
	"encoding/json"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// settlement turns the model's answer into items and calls, and numbers them.
type settlement struct {
	*Activities
	in    ModelTurnInput
	store *blob.Store
	try   int
	tools *toolset
	next  int // the number of the next item
	slots []events.Slot
}

// addItems adds what the model said, which is in the draft, and the calls that it asked for in its answer.
func (s *settlement) addItems(ctx context.Context, r *ModelTurnResult, d *draft, answer model.Answer) error {
	values, err := transcript.Pack(ctx, s.store, d.finished(answer.Finish)...)
	if err != nil {
		return err
	}
	r.Items = values
	for i := range values {
		s.slots = append(s.slots, events.Slot{ItemID: d.items[i].id, Item: &values[i]})
	}
	s.next = s.in.NextItem + len(values)
	var functions []model.Call
	made := 0
	for _, call := range answer.Calls {
		if s.tools.offersFunction(call.Name) {
			functions = append(functions, call)
			continue
		}
		settled, err := s.call(ctx, call, made)
		if err != nil {
			return err
		}
		if settled.Refused == nil && settled.Approval == nil {
			made++
		}
		r.Calls = append(r.Calls, settled)
		s.slots = append(s.slots, settled.slot())
	}
	for _, call := range functions {
		value, err := s.function(ctx, call)
		if err != nil {
			return err
		}
		r.Functions = append(r.Functions, value)
	}
	return nil
}

// slot is what the log is told of the call.
func (c ToolCall) slot() events.Slot {
	slot := events.Slot{ItemID: c.ItemID, Item: c.Refused}
	switch {
	case c.Approval != nil:
		slot.Item = c.Approval
	case c.Refused == nil:
		slot.Call = &events.Call{Server: c.Server, Tool: c.Tool, Arguments: c.Arguments}
	}
	return slot
}

// function makes the item of a call that the client answers.
func (s *settlement) function(ctx context.Context, call model.Call) (blob.Value, error) {
	f := &responses.FunctionCall{
		ID: responses.RetriedItemID(responses.TypeFunctionCall, s.in.ResponseID, s.next, s.try),
		// Not the model's own ID: some models begin at "call_0" in every turn, and a client replays all turns together.
		CallID: responses.CallID(s.in.ResponseID, s.next, s.try),
		Name:   call.Name, Arguments: call.Arguments, ThoughtSignature: call.ThoughtSignature,
		Status: responses.StatusCompleted,
	}
	s.next++
	value, err := s.pack(ctx, f)
	if err != nil {
		return blob.Value{}, err
	}
	s.slots = append(s.slots, events.Slot{ItemID: f.ID, Item: value})
	return *value, nil
}

// call resolves the name that the model wrote, after made other calls of this turn. A call that cannot be made becomes an mcp_call
// item with an error, which the model reads in its next turn: models recover from a wrong name or broken arguments when they are
// told. One that needs approval becomes an mcp_approval_request.
func (s *settlement) call(ctx context.Context, call model.Call, made int) (ToolCall, error) {
	ref, known := s.tools.names.Resolve(call.Name)
	if !known {
		ref = responses.ToolRef{Name: call.Name}
	}
	n := s.next
	s.next++
	out := ToolCall{ItemID: s.mcpCallID(n), Server: ref.Server, Tool: ref.Name, ThoughtSignature: call.ThoughtSignature}
	approval := s.tools.needsApproval(ref)
	refused := s.in.refusal(made, approval)
	switch {
	case !known || ref.Server == "" || !s.tools.allows(ref):
		// Models also call what an earlier turn of the conversation used, or what tool_choice left out.
		refused = "no tool of this name was offered"
	case refused != "":
	case !isJSONObject(call.Arguments):
		refused = argumentsNotObject
	}
	var err error
	switch {
	case refused != "":
		out.Refused, err = s.pack(ctx, &responses.MCPCall{
			ID: out.ItemID, ServerLabel: out.Server, Name: out.Tool, Arguments: call.Arguments, Error: &refused,
			ThoughtSignature: call.ThoughtSignature,
		})
	case approval:
		out.ItemID = responses.RetriedItemID(responses.TypeMCPApprovalRequest, s.in.ResponseID, n, s.try)
		out.Approval, err = s.pack(ctx, &responses.MCPApprovalRequest{
			ID: out.ItemID, ServerLabel: out.Server, Name: out.Tool, Arguments: call.Arguments,
			ThoughtSignature: call.ThoughtSignature,
		})
	default:
		out.Repeatable = s.tools.repeatable[ref]
		out.Arguments, err = s.store.Pack(ctx, call.Arguments, transcript.InlineBytes)
	}
	return out, err
}

func (s *settlement) pack(ctx context.Context, item responses.Item) (*blob.Value, error) {
	values, err := transcript.Pack(ctx, s.store, item)
	if err != nil {
		return nil, err
	}
	return &values[0], nil
}

// mcpCallID is [responses.RetriedItemID] for an MCP call, whose ID looks different in the dialect that has approvals.
func (s *settlement) mcpCallID(n int) string {
	if s.tools.approvals == nil {
		return responses.RetriedItemID(responses.TypeMCPCall, s.in.ResponseID, n, s.try)
	}
	return responses.MCPCallID(responses.DialectOpenAI, s.in.ResponseID, n, s.try)
}

// refusal says why a call cannot be made after made others of this turn; "" means that it can. A call that needs approval is made,
// if at all, in another run.
func (in ModelTurnInput) refusal(made int, approval bool) string {
	switch left := in.CallsLeft; {
	case approval && (left == nil || *left > 0):
		return ""
	case in.LastTurn:
		return "not called: this was the last model turn that max_steps allows"
	case left != nil && made >= *left:
		return "not called: the limit that max_tool_calls sets is reached"
	default:
		return ""
	}
}

func isJSONObject(s string) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal([]byte(s), &members) == nil && members != nil
}
