package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
)

// call makes the MCP calls of one turn and adds their items in the order in which the model asked, whichever ends first.
func (r *run) call(ctx workflow.Context, calls []activities.ToolCall) error {
	if len(calls) == 0 {
		return nil
	}
	r.tell(ctx, callsInWords(calls))
	slots, room := r.newSlots(ctx), r.room(len(calls))
	items := make([]blob.Value, len(calls))
	errs := make([]error, len(calls))
	first := r.outputLen()
	group := workflow.NewWaitGroup(ctx)
	for i, call := range calls {
		if call.Refused != nil {
			items[i] = *call.Refused
			continue
		}
		if call.Approval != nil {
			items[i] = *call.Approval
			r.pendingApprovals = append(r.pendingApprovals, call.ItemID)
			continue
		}
		r.calls++
		r.usage.ToolCalls.MCP.Invocation++
		group.Add(1)
		workflow.GoNamed(ctx, call.ItemID, func(ctx workflow.Context) {
			defer group.Done()
			if errs[i] = slots.acquire(ctx, call.Server); errs[i] != nil {
				return
			}
			defer slots.release(call.Server)
			items[i], errs[i] = r.mcpCall(ctx, activities.MCPCallInput{
				ItemID:           call.ItemID,
				Index:            first + i,
				Server:           r.servers[call.Server],
				Tool:             call.Tool,
				Arguments:        call.Arguments,
				Repeatable:       r.retry[call.Server].Repeatable(call.Tool, call.Repeatable),
				ThoughtSignature: call.ThoughtSignature,
				Room:             room,

				ApprovalRequestID: call.ApprovalRequestID,
			})
		})
	}
	group.Wait(ctx)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	r.add(items...)
	return nil
}

// mcpCall makes one call. Its only error is that the run was cancelled: everything else ends as an item.
func (r *run) mcpCall(ctx workflow.Context, input activities.MCPCallInput) (blob.Value, error) {
	summary := "mcp_call " + input.Server.Label + "." + input.Tool
	options := mcpCallOptions(r.in, summary)
	input.ResponseID = r.in.ResponseID
	input.Attempts, input.Lost = options.RetryPolicy.MaximumAttempts, r.in.Limits.CallAttempts
	var result activities.MCPCallResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activities.MCPCallName, input).Get(ctx, &result)
	// A step that begins anew does not know what its attempts before have recorded, so one that must not be repeated is given up.
	if _, stopped := stoppedAfter(err); stopped && input.Repeatable {
		return r.mcpCall(ctx, input)
	}
	if err == nil || temporal.IsCanceledError(err) {
		return result.Item, err
	}
	workflow.GetLogger(ctx).Warn("MCP call abandoned", "item", input.ItemID, "error", err)
	input.Abandoned = true
	err = workflow.ExecuteActivity(
		workflow.WithActivityOptions(ctx, abandonOptions(summary+" · abandoned")), activities.MCPCallName, input).Get(ctx, &result)
	return result.Item, err
}

// leastRoom is how many bytes the output of a call may have in any case, so that a tool can say in short what there is to say.
const leastRoom = 1 << 10

// room is how many bytes the output of each of so many calls may have, so that the conversation does not get too large by all of them; 0
// is no limit.
func (r *run) room(calls int) int64 {
	most := r.in.Limits.ConversationBytes
	if most == 0 {
		return 0
	}
	return max((most-r.transcript.Bytes)/int64(calls), leastRoom)
}

// slots bounds how many calls run at once, in the whole run and for each server.
type slots struct {
	all       workflow.Semaphore
	perServer map[string]workflow.Semaphore
}

func (r *run) newSlots(ctx workflow.Context) slots {
	all := r.in.Limits.ParallelCalls
	if r.in.SequentialCalls {
		all = 1
	}
	s := slots{all: workflow.NewSemaphore(ctx, int64(all)), perServer: map[string]workflow.Semaphore{}}
	for _, server := range r.in.Servers {
		s.perServer[server.Label] = workflow.NewSemaphore(ctx, int64(r.in.Limits.ParallelCallsPerServer))
	}
	return s
}

// acquire takes the server's slot first: a call that waits for a busy server must not keep others from running.
func (s slots) acquire(ctx workflow.Context, server string) error {
	if err := s.perServer[server].Acquire(ctx, 1); err != nil {
		return err
	}
	if err := s.all.Acquire(ctx, 1); err != nil {
		s.perServer[server].Release(1)
		return err
	}
	return nil
}

func (s slots) release(server string) {
	s.all.Release(1)
	s.perServer[server].Release(1)
}
