package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
)

// What becomes of calls that cannot be finished. Each leaves an item, also if the run is cancelled under it: whoever goes on from there
// must know that the call may have been made.

// keepsCalls reports whether the run is one whose calls leave items when it is cancelled. It is asked only when a run is cancelled, so that
// the others need no marker for it.
func keepsCalls(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "calls of cancelled runs leave items", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// over reports whether the run was cancelled, or its time is over.
func (r *run) over(ctx workflow.Context) bool { return ctx.Err() != nil || r.timeIsOver(ctx) }

// callStep makes the step of a call. If the run is cancelled meanwhile, so is the step, and it is waited for: it may have its answer
// already, which is then returned with the error. A worker that is gone is waited for as long as the heartbeat timeout.
func (r *run) callStep(ctx workflow.Context, input activities.MCPCallInput) (blob.Value, error) {
	options := workflow.GetActivityOptions(ctx)
	options.WaitForCancellation = true
	stepCtx, cancel := workflow.NewDisconnectedContext(workflow.WithActivityOptions(ctx, options))
	step := workflow.ExecuteActivity(stepCtx, activities.MCPCallName, input)
	workflow.NewSelector(ctx).
		AddFuture(step, func(workflow.Future) {}).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
	var cancelled error
	if !step.IsReady() {
		cancel()
		if cancelled = ctx.Err(); !keepsCalls(ctx) {
			return blob.Value{}, cancelled
		}
	}
	var result activities.MCPCallResult
	if err := step.Get(stepCtx, &result); err != nil {
		return blob.Value{}, err
	}
	return result.Item, cancelled
}

// abandon gives up a call whose step has ended with an error, and returns the item that says that its outcome is unknown. The error is
// that the run was cancelled.
func (r *run) abandon(ctx workflow.Context, input activities.MCPCallInput, cause error) (blob.Value, error) {
	input.Abandoned, input.Ended = true, r.timeIsOver(ctx)
	if ctx.Err() == nil && !temporal.IsCanceledError(cause) {
		workflow.GetLogger(ctx).Warn("MCP call abandoned", "item", input.ItemID, "error", cause)
		item, err := reportAbandoned(ctx, input)
		if !temporal.IsCanceledError(err) {
			return item, err
		}
		cause = err
	}
	input.Ended = true
	return reportCancelled(ctx, input, cause)
}

// unmade is abandon for a call whose turn has not come when the run is cancelled, or its time over: then there is no cause.
func (r *run) unmade(ctx workflow.Context, input activities.MCPCallInput, cause error) (blob.Value, error) {
	input.Abandoned, input.Unmade = true, true
	return reportCancelled(ctx, input, cause)
}

// reportCancelled is reportAbandoned for a run that may be cancelled. Nothing but its error is left of an item that cannot be written.
func reportCancelled(ctx workflow.Context, input activities.MCPCallInput, cause error) (blob.Value, error) {
	if err := ctx.Err(); err != nil {
		cause = err
	}
	if !keepsCalls(ctx) {
		return blob.Value{}, cause
	}
	disconnected, _ := workflow.NewDisconnectedContext(ctx)
	item, err := reportAbandoned(disconnected, input)
	if err != nil {
		workflow.GetLogger(ctx).Error("the output lacks an MCP call that was cut off", "item", input.ItemID, "error", err)
	}
	return item, cause
}

// reportAbandoned has the item of a call made that is not made any more.
func reportAbandoned(ctx workflow.Context, input activities.MCPCallInput) (blob.Value, error) {
	var result activities.MCPCallResult
	options := abandonOptions(callSummary(input) + " · abandoned")
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activities.MCPCallName, input).Get(ctx, &result)
	return result.Item, err
}
