package starter

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"perdure/activities"
	"perdure/internal/identity"
	"perdure/workflows"
)

// removeRun has a stored response removed, after what its conversation has to be told. One that can no longer be read goes as well; what it
// would have told its conversation is not known then.
func (s *Starter) removeRun(ctx context.Context, who identity.Principal, id string) error {
	e, err := s.stored(ctx, who, id)
	if isLost(err) {
		_, err = s.locate(ctx, who, id)
	} else if err == nil {
		err = s.settleConversation(ctx, who, e)
	}
	if err != nil {
		return err
	}
	return s.deleteRun(ctx, who, id)
}

// deleteRun has a response or a conversation removed. Nobody finds it any more from then on, although Temporal takes its time.
func (s *Starter) deleteRun(ctx context.Context, who identity.Principal, id string) error {
	options := client.StartWorkflowOptions{
		ID:                       workflows.DeletionID(id),
		TaskQueue:                s.TaskQueue,
		WorkflowExecutionTimeout: workflows.DeletionTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		EnableEagerStart:         s.Eager,
		StaticSummary:            "delete " + id,
		Priority:                 priority(who, true),
	}
	return s.starting(ctx, who, func(ctx context.Context) error {
		_, err := s.Temporal.ExecuteWorkflow(ctx, options, workflows.DeletionName, activities.DeleteInput{WorkflowID: id})
		return err
	})
}

// deleted reports whether somebody has had a response removed.
func (k *Intake) deleted(ctx context.Context, id string) (bool, error) {
	_, err := k.Temporal.DescribeWorkflow(ctx, workflows.DeletionID(id), "")
	if hasEnded(err) {
		return false, nil
	}
	return err == nil, err
}

// hasEnded reports whether Temporal says that there is no such execution, or none under way.
func hasEnded(err error) bool {
	var missing *serviceerror.NotFound
	return errors.As(err, &missing)
}
