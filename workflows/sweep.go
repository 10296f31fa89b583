package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
)

// SweepName is the name under which [Sweep] is registered. It never changes.
const SweepName = "Sweep"

// SweepTimeout is how long a sweep may take.
const SweepTimeout = 12 * time.Hour

// Sweep removes the large values of responses and conversations that have expired. It has no input: what may go is for the worker's
// configuration to say at the time.
func Sweep(ctx workflow.Context) (activities.SweepResult, error) {
	var done activities.SweepResult
	options := workflow.ActivityOptions{
		Summary:             "remove what has expired",
		StartToCloseTimeout: SweepTimeout,
		// A sweep tells how far it has come at every step of its way.
		HeartbeatTimeout: 2 * time.Minute,
		RetryPolicy:      &temporal.RetryPolicy{InitialInterval: 10 * time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Minute},
	}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activities.SweepName).Get(ctx, &done)
	return done, err
}
