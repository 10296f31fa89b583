package activities

import (
	"context"
	"encoding/json"
	"errors"

	"go.temporal.io/sdk/activity"

	"perdure/internal/blob"
	"perdure/internal/mcpclient"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// MCPCallInput asks for one call of a tool.
type MCPCallInput struct {
	ResponseID string `json:"response_id"`
	ItemID     string `json:"item_id"`
	Server     Server `json:"server"`
	Tool       string `json:"tool"`
	// Arguments is a JSON string that holds the JSON object which the model wrote.
	Arguments blob.Value `json:"arguments"`
	// ThoughtSignature goes into the item.
	ThoughtSignature string `json:"thought_signature,omitempty"`
	// Repeatable is set for a tool that its server declares read-only or idempotent.
	Repeatable bool `json:"repeatable"`
	// Attempts is how often the step is tried at the most.
	Attempts int32 `json:"attempts"`
	// Abandoned is set when the step has failed for good: it then makes no call and only reports that.
	Abandoned bool `json:"abandoned,omitempty"`
}

// MCPCallResult is the mcp_call item.
type MCPCallResult struct {
	Item   blob.Value `json:"item"`
	Failed bool       `json:"failed,omitempty"`
}

// sending is what a step that must not be repeated records with the server before its request leaves.
type sending struct {
	Sending bool `json:"sending"`
}

// Texts of calls that failed without an answer from the tool. The model reads them.
const (
	outcomeUnknown = "the outcome of this call is unknown: it may or may not have taken effect, because the connection to the " +
		"server, or the worker that made the call, was lost before an answer came. Check before you repeat it."
	argumentsNotObject = "the arguments are not a JSON object"
)

// MCPCall calls a tool and returns the mcp_call item, whatever comes of the call: a failure is for the model to read. An error
// means only that the step should be tried again.
//
// A call that may have reached its server is not made again unless the tool is repeatable. A worker that dies in between cannot
// say how far it came, so "about to send" is recorded with the server before the request leaves, and an attempt that finds
// the record sends nothing.
func (a *Activities) MCPCall(ctx context.Context, in MCPCallInput) (MCPCallResult, error) {
	call := &responses.MCPCall{ID: in.ItemID, ServerLabel: in.Server.Label, Name: in.Tool, ThoughtSignature: in.ThoughtSignature}
	if err := a.Blobs.Unpack(ctx, in.Arguments, &call.Arguments); err != nil {
		return MCPCallResult{}, storageError(err)
	}
	if in.Abandoned || (!in.Repeatable && wasSending(ctx)) {
		return a.callFailed(ctx, call, outcomeUnknown)
	}
	arguments := json.RawMessage(call.Arguments)
	server, err := a.open(in.ResponseID, in.Server)
	if err != nil {
		return MCPCallResult{}, broken(err)
	}

	beat := startHeartbeat(ctx, a.HeartbeatEvery)
	defer beat.stop()
	request := mcpclient.Call{Name: in.Tool, Arguments: arguments, IdempotencyKey: in.ItemID}
	if !in.Repeatable {
		request.BeforeSend = func(ctx context.Context) error { return beat.record(ctx, sending{Sending: true}) }
	}
	result, err := a.MCP.CallTool(ctx, in.ResponseID, server, request)
	if activityCancelled(ctx) {
		return MCPCallResult{}, ctx.Err()
	}
	if err != nil {
		if retry := callRetry(ctx, in, err); retry != nil && beat.clear(ctx) == nil {
			return MCPCallResult{}, retry
		}
		return a.callFailed(ctx, call, callFailure(in, err))
	}
	if result.IsError {
		text := result.Output
		if text == "" {
			text = "the tool failed and gave no reason"
		}
		return a.callFailed(ctx, call, text)
	}
	call.Output = result.Output
	return a.packCall(ctx, call)
}

// wasSending reports whether an earlier attempt at this step recorded that its request was about to leave.
func wasSending(ctx context.Context) bool {
	if !activity.HasHeartbeatDetails(ctx) {
		return false
	}
	var s sending
	// Details that do not decode come from a step that got far enough to write them.
	return activity.GetHeartbeatDetails(ctx, &s) != nil || s.Sending
}

// callFailure is what the model reads of a call that got no answer from the tool.
func callFailure(in MCPCallInput, err error) string {
	var fault *mcpclient.Error
	if !errors.As(err, &fault) {
		return "the call failed for a reason that this server does not know"
	}
	switch {
	case fault.ServerMessage != "":
		return fault.Error() + ": " + fault.ServerMessage
	case fault.Sent == mcpclient.Unknown && !in.Repeatable:
		return fault.Error() + "; " + outcomeUnknown
	default:
		return fault.Error()
	}
}

func (a *Activities) callFailed(ctx context.Context, call *responses.MCPCall, text string) (MCPCallResult, error) {
	call.Error = &text
	return a.packCall(ctx, call)
}

func (a *Activities) packCall(ctx context.Context, call *responses.MCPCall) (MCPCallResult, error) {
	values, err := transcript.Pack(ctx, a.Blobs, call)
	if err != nil {
		return MCPCallResult{}, storageError(err)
	}
	return MCPCallResult{Item: values[0], Failed: call.Error != nil}, nil
}
