package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/mcpclient"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// MCPCallInput asks for one call of a tool.
type MCPCallInput struct {
	ResponseID string `json:"response_id"`
	ItemID     string `json:"item_id"`
	// Index is the item's place in the output.
	Index  int    `json:"index"`
	Server Server `json:"server"`
	Tool   string `json:"tool"`
	// Arguments is a JSON string that holds the JSON object which the model wrote.
	Arguments blob.Value `json:"arguments"`
	// ThoughtSignature goes into the item.
	ThoughtSignature string `json:"thought_signature,omitempty"`
	// ApprovalRequestID is set for a call that the client approved. Such a call belongs to no turn of this run.
	ApprovalRequestID string `json:"approval_request_id,omitempty"`
	// Repeatable is set where a call whose answer was lost may be made again.
	Repeatable bool `json:"repeatable"`
	// Attempts is how often the step is tried at the most.
	Attempts int32 `json:"attempts"`
	// Lost is how many answers may be lost of calls that the server has taken; 0 is as many as there are attempts.
	Lost int32 `json:"lost,omitempty"`
	// Room is how many bytes of output the conversation has room for; 0 is no limit.
	Room int64 `json:"room,omitempty"`
	// Abandoned is set when the step has failed for good: it then makes no call and only reports that.
	Abandoned bool `json:"abandoned,omitempty"`
	// Ended is set for an abandoned step that was under way when its run ended, and Unmade for one that was not begun until then.
	Ended  bool `json:"ended,omitempty"`
	Unmade bool `json:"unmade,omitempty"`
}

// MCPCallResult is the mcp_call item.
type MCPCallResult struct {
	Item   blob.Value `json:"item"`
	Failed bool       `json:"failed,omitempty"`
}

// Texts of calls that failed without an answer from the tool. The model reads them.
const (
	mayHaveRun         = "the outcome of this call is unknown: it may or may not have taken effect, because "
	checkFirst         = " before an answer came. Check before you repeat it."
	outcomeUnknown     = mayHaveRun + "the connection to the server, or the worker that made the call, was lost" + checkFirst
	cutOff             = mayHaveRun + "the run that made it was ended" + checkFirst
	neverBegun         = "not called: the run was ended before this call's turn came"
	argumentsNotObject = "the arguments are not a JSON object"
	toolWithdrawn      = "not called: the connector of this server does not allow this tool any more"
	noRoom             = "the call was made and answered, but its output of %d bytes is left out: the conversation has room for %d bytes of it. " +
		"Ask for less at a time."
	endpointLost = "not called: the address and credentials of this server can no longer be opened; an operator must look at the worker's keyset"
)

// MCPCall calls a tool and returns the mcp_call item, whatever comes of the call: a failure is for the model to read. An error
// means only that the step should be tried again.
//
// A call that may have reached its server is not made again unless the tool is repeatable. A worker that dies in between cannot
// say how far it came, so "about to send" is recorded with the server before the request leaves, and an attempt that finds
// the record sends nothing.
func (a *Activities) MCPCall(ctx context.Context, in MCPCallInput) (MCPCallResult, error) {
	kind := "call"
	if in.Abandoned {
		kind = "abandoned" // a step of its own, whose attempts begin again
	}
	told := a.tell(ctx, in.ResponseID, kind, in.Index)
	if in.ApprovalRequestID != "" {
		told.step.Publish(events.Event{Kind: events.CallStarted, Index: in.Index, ItemID: in.ItemID, Call: &events.Call{
			Server: in.Server.Label, Tool: in.Tool, Arguments: in.Arguments, ApprovalRequestID: in.ApprovalRequestID,
		}})
	}
	result, err := a.makeCall(ctx, in)
	if err == nil {
		told.last(ctx, events.Event{Kind: events.CallDone, Index: in.Index, ItemID: in.ItemID, Item: &result.Item})
	}
	return result, err
}

func (a *Activities) makeCall(ctx context.Context, in MCPCallInput) (MCPCallResult, error) {
	call := &responses.MCPCall{
		ID: in.ItemID, ServerLabel: in.Server.Label, Name: in.Tool, ThoughtSignature: in.ThoughtSignature,
		ApprovalRequestID: in.ApprovalRequestID,
	}
	// An abandoned step gets by without its arguments: nothing comes after it that could make up for its failure.
	if err := a.Blobs.For(in.ResponseID).Unpack(ctx, in.Arguments, &call.Arguments); err != nil && !in.Abandoned {
		return MCPCallResult{}, storageError(err)
	}
	if in.Abandoned || (!in.Repeatable && earlierNote(ctx).Sending) {
		return a.callFailed(ctx, in, call, abandonedText(in))
	}
	beat := a.beat(ctx, in.ResponseID)
	defer beat.stop()
	server, err := a.open(ctx, in.ResponseID, in.Server)
	if fault := (*mcpclient.Error)(nil); errors.As(err, &fault) {
		return a.unanswered(ctx, in, call, beat, fault)
	}
	if err != nil && !errors.Is(err, errEndpointLost) {
		return MCPCallResult{}, storageError(err)
	}
	if err != nil {
		a.Logger.ErrorContext(ctx, "MCP endpoint cannot be opened", "response", in.ResponseID, "server", in.Server.Label, "error", err)
		return a.callFailed(ctx, in, call, endpointLost)
	}
	if !server.offers(in.Tool) {
		return a.callFailed(ctx, in, call, toolWithdrawn)
	}
	request := mcpclient.Call{Name: in.Tool, Arguments: json.RawMessage(call.Arguments), IdempotencyKey: in.ItemID}
	if !in.Repeatable {
		request.BeforeSend = beat.sending
	}
	result, err := a.MCP.CallTool(ctx, in.ResponseID, server.Server, request)
	switch {
	case err != nil:
		return a.unanswered(ctx, in, call, beat, server.explain(ctx, err))
	case in.Room > 0 && int64(len(result.Output)) > in.Room:
		return a.callFailed(ctx, in, call, fmt.Sprintf(noRoom, len(result.Output), in.Room))
	case !result.IsError:
		call.Output = result.Output
		return a.packCall(ctx, in, call)
	case result.Output == "":
		return a.callFailed(ctx, in, call, "the tool failed and gave no reason")
	default:
		return a.callFailed(ctx, in, call, result.Output)
	}
}

// abandonedText is what the model reads of a call that is not made, or not any more.
func abandonedText(in MCPCallInput) string {
	switch {
	case in.Unmade:
		return neverBegun
	case in.Ended:
		return cutOff
	default:
		return outcomeUnknown
	}
}

// unanswered decides what becomes of a call that got no answer from the tool: another attempt, or an item.
func (a *Activities) unanswered(ctx context.Context, in MCPCallInput, call *responses.MCPCall, beat *step, err error) (MCPCallResult, error) {
	var fault *mcpclient.Error
	mayRepeat := in.Repeatable
	neverRan := errors.As(err, &fault) && fault.Sent.NeverRan()
	if neverRan {
		// If the record stays, the next attempt sends nothing and knows less than this one.
		mayRepeat = beat.clear(ctx) == nil
	}
	if activityCancelled(ctx) {
		return MCPCallResult{}, ctx.Err()
	}
	if mayRepeat && fault != nil && fault.Temporary && activity.GetInfo(ctx).Attempt < in.Attempts &&
		(neverRan || isAway(fault) || in.Lost == 0 || beat.spend(ctx) < in.Lost) {
		return MCPCallResult{}, temporal.NewApplicationErrorWithOptions(fault.Error(), ErrTypeMCPCall,
			temporal.ApplicationErrorOptions{NextRetryDelay: min(fault.RetryAfter, maxRetryAfter)})
	}
	return a.callFailed(ctx, in, call, callFailure(in, err))
}

// isAway reports whether a server says that it cannot be used now. It may have taken the call all the same, which does no harm if the call
// may be repeated: it is waited for like one that cannot be reached.
func isAway(fault *mcpclient.Error) bool { return fault.Status == http.StatusServiceUnavailable }

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

func (a *Activities) callFailed(ctx context.Context, in MCPCallInput, call *responses.MCPCall, text string) (MCPCallResult, error) {
	call.Error = &text
	return a.packCall(ctx, in, call)
}

// packCall keeps the item even if the step was cancelled meanwhile: when a worker stops, the answer that it has just received is
// the only one there will be.
func (a *Activities) packCall(ctx context.Context, in MCPCallInput, call *responses.MCPCall) (MCPCallResult, error) {
	values, err := transcript.Pack(context.WithoutCancel(ctx), a.Blobs.For(in.ResponseID), call)
	if err != nil {
		return MCPCallResult{}, storageError(err)
	}
	return MCPCallResult{Item: values[0], Failed: call.Error != nil}, nil
}
