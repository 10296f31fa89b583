package worker

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/workflows"
)

// SweepScheduleID is the ID of the schedule that starts the sweeps of the workers of a task queue. It never changes.
func SweepScheduleID(taskQueue string) string { return "sweep/" + taskQueue }

// catchup is how late a sweep may begin. One that was missed is made up for by the next.
const catchup = time.Minute

// scheduleSweeps sees to it that there is a schedule of sweeps: Temporal starts them, one after another, however many workers there are.
// It tries until that is settled.
func scheduleSweeps(ctx context.Context, c client.Client, o Options) {
	for wait := firstReconnect; ; wait = min(2*wait, lastReconnect) {
		err := trySchedule(ctx, c.ScheduleClient(), o)
		var denied *serviceerror.PermissionDenied
		var unknown *serviceerror.Unimplemented
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.As(err, &denied), errors.As(err, &unknown):
			o.Logger.WarnContext(ctx, "the sweeps of large values cannot be scheduled: what expires is kept until somebody schedules the workflow",
				"schedule", SweepScheduleID(o.TaskQueue), "workflow", workflows.SweepName, "error", err)
			return
		}
		o.Logger.DebugContext(ctx, "the sweeps cannot be scheduled yet, waiting", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func trySchedule(ctx context.Context, schedules client.ScheduleClient, o Options) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: o.SweepEvery}}, Jitter: o.SweepEvery / 10}
	action := &client.ScheduleWorkflowAction{
		ID: SweepScheduleID(o.TaskQueue), Workflow: workflows.SweepName, TaskQueue: o.TaskQueue,
		WorkflowExecutionTimeout: workflows.SweepTimeout, StaticSummary: "remove what has expired",
	}
	_, err := schedules.Create(ctx, client.ScheduleOptions{
		ID: SweepScheduleID(o.TaskQueue), Spec: spec, Action: action,
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchup,
		Note: "Removes large values of responses and conversations that have expired. Made by the workers, which set the interval.",
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	// All but the interval is left as it is: an operator may have paused it.
	return schedules.GetHandle(ctx, SweepScheduleID(o.TaskQueue)).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			schedule := in.Description.Schedule
			if i := schedule.Spec.Intervals; len(i) == 1 && i[0].Every == o.SweepEvery {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			schedule.Spec = &spec
			return &client.ScheduleUpdate{Schedule: &schedule}, nil
		},
	})
}
