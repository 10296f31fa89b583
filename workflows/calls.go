package workflows

import (
	"slices"

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
		input := activities.MCPCallInput{
			ResponseID:       r.in.ResponseID,
			ItemID:           call.ItemID,
			Index:            first + i,
			Server:           r.servers[call.Server],
			Tool:             call.Tool,
			Arguments:        call.Arguments,
			Repeatable:       r.retry[call.Server].Repeatable(call.Tool, call.Repeatable),
			ThoughtSignature: call.ThoughtSignature,
			Room:             room,

			ApprovalRequestID: call.ApprovalRequestID,
		}
		workflow.GoNamed(ctx, call.ItemID, func(ctx workflow.Context) {
			defer group.Done()
			if err := slots.acquire(ctx, call.Server); err != nil {
				items[i], errs[i] = r.unmade(ctx, input, err)
				return
			}
			defer slots.release(call.Server)
			if r.over(ctx) {
				items[i], errs[i] = r.unmade(ctx, input, ctx.Err())
				return
			}
			items[i], errs[i] = r.mcpCall(ctx, input)
		})
	}
	group.Wait(ctx)
	// Whatever ends the run, what is known of the other calls is kept: a model that did not see them would make them again.
	r.add(slices.DeleteFunc(items, func(v blob.Value) bool { return v.InlineSize() == 0 })...)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// mcpCall makes one call. Its error is that the run was cancelled, and may come with an item: everything else ends as an item alone.
func (r *run) mcpCall(ctx workflow.Context, input activities.MCPCallInput) (blob.Value, error) {
	options := mcpCallOptions(r.in, callSummary(input))
	input.Attempts, input.Lost = options.RetryPolicy.MaximumAttempts, r.in.Limits.CallAttempts
	item, err := r.callStep(r.inTime(ctx, options), input)
	// A step that begins anew does not know what its attempts before have recorded, so one that must not be repeated is given up.
	if _, stopped := stoppedAfter(err); stopped && input.Repeatable && !r.over(ctx) {
		return r.mcpCall(ctx, input)
	}
	if err == nil || item.InlineSize() > 0 {
		return item, err
	}
	return r.abandon(ctx, input, err)
}

func callSummary(input activities.MCPCallInput) string {
	return "mcp_call " + input.Server.Label + "." + input.Tool
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
