package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/workflows"
)

// A deletion ends what is under way; when Temporal removes what has ended is Temporal's affair.
func TestDeletionEndsARun(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	id := responses.ResponsePrefix + f.options.TaskQueue
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: "nobody-" + f.options.TaskQueue, WorkflowExecutionTimeout: time.Minute,
	}, workflows.ResponseName, workflows.ResponseInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: workflows.DeletionID(id), TaskQueue: f.options.TaskQueue, WorkflowExecutionTimeout: time.Minute,
	}, workflows.DeletionName, activities.DeleteInput{WorkflowID: id})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		d, err := c.DescribeWorkflow(ctx, id, "")
		var gone *serviceerror.NotFound
		if errors.As(err, &gone) || err == nil && d.Status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}
