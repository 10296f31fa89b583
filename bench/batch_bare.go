package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/workflows"
)

// barePlace is how far a bare parent is, and what its children do.
type barePlace struct {
	Next, Total, Window, Steps int
	Prefix                     string
}

// bareParent keeps so many children under way that do nothing. Like a batch, it goes on as a new execution before its history is long.
func bareParent(ctx workflow.Context, at barePlace) error {
	running := 0
	var failed error
	for at.Next < at.Total && workflow.GetInfo(ctx).GetCurrentHistoryLength() < 8_000 {
		if err := workflow.Await(ctx, func() bool { return running < at.Window }); err != nil {
			return err
		}
		child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID:            fmt.Sprintf("%s-%d", at.Prefix, at.Next),
			WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		}), bareChild, at.Steps)
		at.Next++
		running++
		workflow.Go(ctx, func(ctx workflow.Context) {
			if err := child.Get(ctx, nil); err != nil {
				failed = err
			}
			running--
		})
	}
	if err := workflow.Await(ctx, func() bool { return running == 0 }); err != nil {
		return err
	}
	if failed == nil && at.Next < at.Total {
		return workflow.NewContinueAsNewError(ctx, bareParent, at)
	}
	return failed
}

func bareChild(ctx workflow.Context, steps int) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	out := "start"
	for range steps {
		if err := workflow.ExecuteActivity(ctx, noop, out).Get(ctx, &out); err != nil {
			return "", err
		}
	}
	return out, nil
}

// runBare returns how many children of a bare parent end in a second.
func (p *processes) runBare(ctx context.Context, children, window, steps int) (float64, error) {
	queue := fmt.Sprintf("bench-bare-%d", steps)
	w := worker.New(p.temporal, queue, worker.Options{MaxConcurrentActivityTaskPollers: 10, MaxConcurrentWorkflowTaskPollers: 10})
	w.RegisterWorkflow(bareParent)
	w.RegisterWorkflow(bareChild)
	w.RegisterActivity(noop)
	if err := w.Start(); err != nil {
		return 0, err
	}
	defer w.Stop()
	began := time.Now()
	run, err := p.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, bareParent,
		barePlace{Total: children, Window: window, Steps: steps, Prefix: queue})
	if err != nil {
		return 0, err
	}
	if err := run.Get(ctx, nil); err != nil {
		return 0, err
	}
	return float64(children) / time.Since(began).Seconds(), nil
}

// histories tells how long the histories of a batch and of its lines are.
func (p *processes) histories(ctx context.Context, batchID string) error {
	executions, longest, largest := 0, int64(0), int64(0)
	var next []byte
	for {
		page, err := p.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: fmt.Sprintf("WorkflowId = '%s'", batchID), NextPageToken: next,
		})
		if err != nil {
			return err
		}
		for _, e := range page.GetExecutions() {
			executions++
			longest = max(longest, e.GetHistoryLength())
			d, err := p.temporal.DescribeWorkflowExecution(ctx, batchID, e.GetExecution().GetRunId())
			if err != nil {
				return err
			}
			longest = max(longest, d.GetWorkflowExecutionInfo().GetHistoryLength())
			largest = max(largest, d.GetWorkflowExecutionInfo().GetHistorySizeBytes())
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			break
		}
	}
	fmt.Printf("batch: %d executions, the longest history has %d events, the largest %.1f MB\n", executions, longest, float64(largest)/1e6)
	lines, err := p.longestLine(ctx, batchID)
	fmt.Printf("lines: the longest history has %d events\n", lines)
	return err
}

// longestLine finds, by halves, how many events the longest history of a line has.
func (p *processes) longestLine(ctx context.Context, batchID string) (int, error) {
	low, high := 0, 1_000
	for low < high {
		middle := (low + high + 1) / 2
		n, err := p.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Query: fmt.Sprintf("WorkflowType = '%s' AND %s = '%s' AND HistoryLength >= %d", workflows.ResponseName, workflows.BatchID.GetName(), batchID, middle),
		})
		if err != nil {
			return 0, err
		}
		if n.GetCount() > 0 {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}
