package starter

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"perdure/activities"
	"perdure/workflows"
)

// deleteRun has a response or a conversation removed. Nobody finds it any more from then on, although Temporal takes its time.
func (s *Starter) deleteRun(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	_, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       workflows.DeletionID(id),
		TaskQueue:                s.TaskQueue,
		WorkflowExecutionTimeout: workflows.DeletionTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		EnableEagerStart:         s.Eager,
		StaticSummary:            "delete " + id,
	}, workflows.DeletionName, activities.DeleteInput{WorkflowID: id})
	return err
}

// deleted reports whether somebody has had a response removed.
func (s *Starter) deleted(ctx context.Context, id string) (bool, error) {
	_, err := s.Temporal.DescribeWorkflow(ctx, workflows.DeletionID(id), "")
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
