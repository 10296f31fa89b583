package workflows

import (
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/batch"
	"perdure/internal/responses"
)

// begin begins the next line. It does not wait.
func (b *batchRun) begin(ctx workflow.Context) {
	number := b.next
	b.next++
	b.running[number] = &line{epoch: b.window.epoch}
	b.starting++
	workflow.Go(ctx, func(ctx workflow.Context) { b.run(ctx, number) })
}

// run has a line run, and waits for its end.
func (b *batchRun) run(ctx workflow.Context, number int) {
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, b.lineOptions(ctx, number)), ResponseName, contract.ResponseInput{
		Request: contract.Request{
			Organization: b.in.Organization, User: b.in.User, Role: b.in.Role, Key: b.in.Key, MembersOnly: b.in.MembersOnly, Batch: b.in.BatchID,
			Line: &contract.Line{File: b.file, Number: number},
		},
	})
	err := child.GetChildWorkflowExecution().Get(ctx, nil)
	b.starting--
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		// An operator has reset this workflow. The line goes on, or has ended, and does not run again.
		b.running[number].stray = true
		b.strayed++
		return
	}
	// Of what the line came to, the workflow needs no more.
	var out struct {
		Throttled int `json:"throttled"`
	}
	if err == nil {
		err = child.Get(ctx, &out)
	}
	b.lineEnded(ctx, number, out.Throttled+throttled(err), err != nil)
}

// throttled is how often a provider has refused the turns of a line that failed, because there were too many.
func throttled(err error) int {
	var child *temporal.ChildWorkflowExecutionError
	if !errors.As(err, &child) {
		return 0
	}
	out, _ := contract.OutcomeOf(err)
	return out.Throttled
}

// lineEnded takes note of a line that has ended, whatever it came to: that is for the collector to see.
func (b *batchRun) lineEnded(ctx workflow.Context, number, throttled int, failed bool) {
	l := b.running[number]
	b.window.ended(l.epoch, throttled > 0)
	if l.stray {
		b.strayed--
	}
	delete(b.running, number)
	for b.ended+1 < b.next && b.running[b.ended+1] == nil {
		b.ended++
	}
	b.seen.Throttled += throttled
	if failed {
		b.seen.Failed++
	}
	b.pace.note(workflow.Now(ctx), b.next-1-len(b.running))
}

// lineOptions: the ID is the same in every execution of the batch, and refused for a second run, so that no line runs twice. A line outlives
// this execution, which goes on as another one; see [BatchCarried].
func (b *batchRun) lineOptions(ctx workflow.Context, number int) workflow.ChildWorkflowOptions {
	return workflow.ChildWorkflowOptions{
		WorkflowID:               batch.ResponseID(b.in.BatchID, number),
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:        enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowExecutionTimeout: b.in.Limits.RunTimeout,
		WaitForCancellation:      true,
		StaticSummary:            lineSummary(b.in.BatchID, number),
		Priority:                 temporal.Priority{PriorityKey: PriorityBatch, FairnessKey: b.in.Organization},
		TypedSearchAttributes: temporal.NewSearchAttributes(
			Organization.ValueSet(b.in.Organization), User.ValueSet(b.in.User), Key.ValueSet(b.in.Key), BatchID.ValueSet(b.in.BatchID),
			Status.ValueSet(responses.ResponseQueued), Created.ValueSet(workflow.Now(ctx)),
		),
	}
}

// PriorityBatch is the priority of batches and of their lines, the lowest there is: the lower the number, the sooner.
const PriorityBatch = 5

// strays are the lines whose ends this execution has to ask for, in order.
func (b *batchRun) strays() []int {
	var numbers []int
	for number := b.ended + 1; number < b.next && len(numbers) < b.strayed; number++ {
		if l := b.running[number]; l != nil && l.stray {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// awaitStrays asks for the ends of lines that an earlier execution has begun, until there are none.
func (b *batchRun) awaitStrays(ctx workflow.Context) {
	for b.await(ctx, func() bool { return b.strayed > 0 }) {
		strays := b.strays()
		var some BatchAwaitResult
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, awaitOptions(strays)), BatchAwaitName,
			BatchAwaitInput{BatchID: b.in.BatchID, Lines: strays}).Get(ctx, &some)
		if temporal.IsCanceledError(err) {
			return
		}
		b.fail(err)
		for _, l := range some.Ended {
			b.lineEnded(ctx, l.Line, l.Throttled, l.Failed)
		}
	}
}

// cancelLines cancels the lines under way once the batch is to end before they do.
func (b *batchRun) cancelLines(ctx workflow.Context, cancel workflow.CancelFunc) {
	if workflow.Await(ctx, func() bool { return b.ending != "" || b.fault != nil }) != nil {
		return
	}
	cancel()
	for _, number := range b.strays() {
		// One that has ended meanwhile cannot be cancelled, and need not be.
		workflow.RequestCancelExternalWorkflow(ctx, batch.ResponseID(b.in.BatchID, number), "")
	}
}
