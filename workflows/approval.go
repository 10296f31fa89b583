package workflows

import (
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
)

// ApprovalName is the name under which [Approval] is registered. It never changes.
const ApprovalName = "Approval"

// Approval is the record that a client has answered an approval request. It does nothing: that its workflow ID exists is what keeps
// a second answer, in whichever request it comes, from having the call made again.
func Approval(workflow.Context, ApprovalInput) error { return nil }

// ApprovalInput says which run the answer belongs to.
type ApprovalInput struct {
	ResponseID string `json:"response_id"`
	Approve    bool   `json:"approve"`
}

func (r *run) hasAnswers() bool { return len(r.in.Approved)+len(r.in.Denied) > 0 }

// claimAnswers makes the answers to approval requests this run's. A request that was answered before fails the run.
func (r *run) claimAnswers(ctx workflow.Context) error {
	var claims []workflow.ChildWorkflowFuture
	var ids []string
	claim := func(id string, approve bool) {
		options := workflow.ChildWorkflowOptions{
			WorkflowID:            fmt.Sprintf("approval/%s/%s", r.in.Organization, id),
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
			StaticSummary:         "answer to " + id,
		}
		child := workflow.ExecuteChildWorkflow(
			workflow.WithChildOptions(ctx, options), ApprovalName, ApprovalInput{ResponseID: r.in.ResponseID, Approve: approve})
		claims, ids = append(claims, child), append(ids, id)
	}
	for _, a := range r.in.Approved {
		claim(a.RequestID, true)
	}
	for _, id := range r.in.Denied {
		claim(id, false)
	}
	for i, c := range claims {
		err := c.GetChildWorkflowExecution().Get(ctx, nil)
		switch {
		case temporal.IsWorkflowExecutionAlreadyStartedError(err):
			return &failure{kind: ErrTypeInvalid, param: "input", message: fmt.Sprintf("the approval request %q was already answered", ids[i])}
		case err != nil:
			return err
		}
	}
	return nil
}

// callApproved makes the calls that the client approved, and adds their items in the order of the answers.
func (r *run) callApproved(ctx workflow.Context) error {
	if len(r.in.Approved) == 0 {
		return nil
	}
	calls := make([]activities.ToolCall, len(r.in.Approved))
	for i, a := range r.in.Approved {
		calls[i] = activities.ToolCall{
			ItemID: responses.MCPCallID(responses.DialectOpenAI, r.in.ResponseID, r.newItem(), 1),
			Server: a.Server, Tool: a.Tool, Arguments: a.Arguments, ThoughtSignature: a.ThoughtSignature,
			ApprovalRequestID: a.RequestID, Repeatable: a.Repeatable,
		}
	}
	r.steps = append(slices.Clone(r.steps), r.transcript.Len())
	return r.call(ctx, calls)
}
