package responses

import (
	"slices"
	"strconv"
)

// CallOutput is the place of an output whose call is not in the request.
type CallOutput struct {
	CallID string
	// Place names the output's call_id in the request, as [Error.Param] does.
	Place string
}

// OuterOutputs returns the outputs of the input that answer no call of the input, in order. Each must answer a call of what the
// request goes on with, or one that an [ItemReference] of the input stands for; where there is neither, [DecodeRequest] refuses
// them.
func (r *Request) OuterOutputs() []CallOutput {
	var outer []CallOutput
	calls := map[string]bool{}
	for i, item := range r.Input {
		switch it := item.(type) {
		case *FunctionCall:
			calls[it.CallID] = true
		case *FunctionCallOutput:
			if !calls[it.CallID] {
				outer = append(outer, CallOutput{CallID: it.CallID, Place: callIDPlace(i)})
			}
		}
	}
	return outer
}

// continues reports whether the input goes on with a response or a conversation.
func (r *Request) continues() bool { return r.PreviousResponseID != "" || r.Conversation != "" }

// mayAnswerOuterCalls reports whether calls may exist that the input answers and does not contain.
func (r *Request) mayAnswerOuterCalls() bool {
	return r.continues() || slices.ContainsFunc(r.Input, func(item Item) bool { return item.Type() == TypeItemReference })
}

// checkAnswers refuses calls and outputs that do not fit together, and approvals that do not. Of the former a model's provider would
// complain with an error that names no place.
func checkAnswers(r *reader, req *Request) {
	checkCalls(r, req)
	checkApprovals(r, req.Input)
}

// checkCalls refuses an output without its call, two outputs for one call, and a call without an output.
func checkCalls(r *reader, req *Request) {
	outer := req.mayAnswerOuterCalls()
	calls := map[string]bool{}
	answered := map[string]bool{}
	for i, item := range req.Input {
		switch it := item.(type) {
		case *FunctionCall:
			if calls[it.CallID] {
				r.fail(Invalid(callIDPlace(i), "two function calls have the call_id %q", clip(it.CallID)))
			}
			if answered[it.CallID] {
				r.fail(Invalid(callIDPlace(i), "the call %q stands after its function_call_output", clip(it.CallID)))
			}
			calls[it.CallID] = true
		case *FunctionCallOutput:
			if !calls[it.CallID] && !outer {
				r.fail(Invalid(callIDPlace(i), "no earlier function_call has the call_id %q", clip(it.CallID)))
			}
			if answered[it.CallID] {
				r.fail(Invalid(callIDPlace(i), "the call %q is answered twice", clip(it.CallID)))
			}
			answered[it.CallID] = true
		}
	}
	for i, item := range req.Input {
		if call, ok := item.(*FunctionCall); ok && !answered[call.CallID] {
			r.fail(Invalid(callIDPlace(i), "no function_call_output answers the call %q", clip(call.CallID)))
		}
	}
}

// checkApprovals refuses two answers to one approval request, and one request that stands twice.
func checkApprovals(r *reader, items []Item) {
	requested := map[string]bool{}
	answered := map[string]bool{}
	for i, item := range items {
		switch it := item.(type) {
		case *MCPApprovalRequest:
			if requested[it.ID] {
				r.fail(Invalid(inputPlace(i, "id"),
					"Duplicate item found with id %s. Remove duplicate items from your input and try again.", clip(it.ID)))
			}
			requested[it.ID] = true
		case *MCPApprovalResponse:
			if answered[it.ApprovalRequestID] {
				r.fail(Invalid(inputPlace(i, "approval_request_id"), "the approval request %q is answered twice", clip(it.ApprovalRequestID)))
			}
			answered[it.ApprovalRequestID] = true
		}
	}
}

func callIDPlace(n int) string { return inputPlace(n, "call_id") }

// inputPlace names a member of the n-th input item, for errors.
func inputPlace(n int, name string) string { return "input[" + strconv.Itoa(n) + "]." + name }
