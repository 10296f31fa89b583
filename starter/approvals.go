package starter

import (
	"context"
	"slices"
	"strconv"

	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// answers are what a client says to approval requests.
type answers struct {
	approved []approvedCall
	denied   []string
}

// approvedCall is a request that the client approved.
type approvedCall struct {
	*responses.MCPApprovalRequest
	declared bool // its tool is read-only or idempotent by the last list of its server in the conversation
}

// approvalAnswers reads the answers of the input to approval requests, which stand in the input or in the conversation before it.
// A request that was answered before is refused here where the conversation shows it, and by the run where it does not. The Agent API has
// no approvals: an answer would make a call there that no model has asked for.
func (k *Intake) approvalAnswers(ctx context.Context, req *responses.Request, b before, c call) (answers, error) {
	var out answers
	if !slices.ContainsFunc(req.Input, isApproval) {
		return out, nil
	}
	earlier, err := k.itemsBefore(ctx, b, c.memory)
	if err != nil {
		return out, err
	}
	asked, answered := approvals(earlier)
	heard := lastOutput(req.Input)
	for i, item := range req.Input {
		place := "input[" + strconv.Itoa(i) + "]"
		switch it := item.(type) {
		case *responses.MCPApprovalRequest:
			if asked[it.ID] != nil {
				return out, responses.Invalid(place+".id", "Duplicate item found with id %s. Remove duplicate items from your input and try again.", clip(it.ID))
			}
			asked[it.ID] = it
		case *responses.MCPApprovalResponse:
			request := asked[it.ApprovalRequestID]
			switch {
			case i >= heard && c.dialect != responses.DialectOpenAI:
				return out, responses.Invalid(place+".type", "the Agent API has no approvals: its MCP calls are made without, and an "+
					"mcp_approval_response is for servers with api.dialect: openai, at /v1/responses")
			case request == nil:
				return out, responses.Invalid(place+".approval_request_id", "no approval request %q is in the conversation", clip(it.ApprovalRequestID))
			case answered[it.ApprovalRequestID]:
				return out, responses.Invalid(place+".approval_request_id", "the approval request %q was already answered", clip(it.ApprovalRequestID))
			case i < heard:
			case !it.Approve:
				out.denied = append(out.denied, request.ID)
			default:
				if err := checkApproved(req, request, place); err != nil {
					return out, err
				}
				out.approved = append(out.approved, approvedCall{request, declaredRepeatable(request, req.Input[:i], earlier)})
			}
			answered[it.ApprovalRequestID] = true
		}
	}
	return out, nil
}

// lastOutput returns the position of the last item that a run has made. A client that keeps the conversation itself replays answers
// that were heard long ago: what came of them stands after them.
func lastOutput(input []responses.Item) int {
	for i, item := range slices.Backward(input) {
		switch it := item.(type) {
		case *responses.Message:
			if it.Role == responses.RoleAssistant {
				return i
			}
		case *responses.MCPCall, *responses.MCPListTools, *responses.Reasoning, *responses.FunctionCall, *responses.MCPApprovalRequest:
			return i
		}
	}
	return -1
}

func isApproval(item responses.Item) bool {
	switch item.(type) {
	case *responses.MCPApprovalRequest, *responses.MCPApprovalResponse:
		return true
	default:
		return false
	}
}

// approvals returns the approval requests of a conversation and which of them are answered.
func approvals(items []responses.Item) (asked map[string]*responses.MCPApprovalRequest, answered map[string]bool) {
	asked, answered = map[string]*responses.MCPApprovalRequest{}, map[string]bool{}
	for _, item := range items {
		switch it := item.(type) {
		case *responses.MCPApprovalRequest:
			asked[it.ID] = it
		case *responses.MCPApprovalResponse:
			answered[it.ApprovalRequestID] = true
		}
	}
	return asked, answered
}

// checkApproved wants the server of an approved call among the request's tools: its credentials come with each request.
func checkApproved(req *responses.Request, call *responses.MCPApprovalRequest, place string) error {
	for _, t := range req.MCPTools() {
		if t.ServerLabel != call.ServerLabel {
			continue
		}
		if len(t.Allowed.Names) > 0 && !slices.Contains(t.Allowed.Names, call.Name) {
			return responses.Invalid(place, "the approved tool %q is not among the allowed_tools of the MCP server %q", clip(call.Name), call.ServerLabel)
		}
		return nil
	}
	return responses.Invalid(place, "the approved call needs the MCP server %q among the tools of this request", clip(call.ServerLabel))
}

// declaredRepeatable reports whether the conversation lists the tool of a call as read-only or idempotent. The last list of its server
// counts, whose parts are given from the end.
func declaredRepeatable(call *responses.MCPApprovalRequest, parts ...[]responses.Item) bool {
	for _, items := range parts {
		for _, item := range slices.Backward(items) {
			list, ok := item.(*responses.MCPListTools)
			if !ok || list.ServerLabel != call.ServerLabel || list.Error != nil {
				continue
			}
			return slices.ContainsFunc(list.Tools, func(t responses.MCPToolInfo) bool {
				return t.Name == call.Name && t.Annotations != nil && (t.Annotations.ReadOnly || t.Annotations.Idempotent)
			})
		}
	}
	return false
}

// approvedCalls translates the approved requests for a run in which the servers with these labels are not listed again: of the others
// it is not known yet what they declare.
func approvedCalls(ctx context.Context, store *blob.Store, requests []approvedCall, listed []string) ([]workflows.Approved, error) {
	var out []workflows.Approved
	for _, r := range requests {
		arguments, err := store.Pack(ctx, r.Arguments, transcript.InlineBytes)
		if err != nil {
			return nil, err
		}
		out = append(out, workflows.Approved{
			RequestID: r.ID, Server: r.ServerLabel, Tool: r.Name, Arguments: arguments, ThoughtSignature: r.ThoughtSignature,
			Repeatable: r.declared && slices.Contains(listed, r.ServerLabel),
		})
	}
	return out, nil
}
