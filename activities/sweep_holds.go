package activities

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
)

// SchedulePrefix begins the ID of every schedule that starts responses or batches, under which it also holds the file of its batches. It
// never changes.
const SchedulePrefix = "sched_"

// releaseSchedules lets go of the files of schedules that Temporal does not have any more: they were deleted with Temporal's own tools, have
// ended and been forgotten, or the starter that deleted them died in between. A schedule that is being made holds its file once more
// when it is there, so that nothing is lost that is looked at too soon.
func (a *Activities) releaseSchedules(ctx context.Context, done SweepResult) error {
	holders, err := a.Files.Holders(ctx, SchedulePrefix)
	if err != nil {
		return storageError(err)
	}
	schedules := activity.GetClient(ctx).ScheduleClient()
	for _, id := range holders {
		activity.RecordHeartbeat(ctx, done)
		_, err := schedules.GetHandle(ctx, id).Describe(ctx)
		var gone *serviceerror.NotFound
		switch {
		case err == nil:
			continue
		case !errors.As(err, &gone):
			// A worker that may not look at schedules sweeps all else. The next sweep asks again.
			a.Logger.WarnContext(ctx, "a schedule cannot be looked at, so the file that it holds is kept", "schedule", id, "error", err)
			return ctx.Err()
		}
		if err := a.Files.Release(ctx, id); err != nil {
			return storageError(err)
		}
		a.Logger.InfoContext(ctx, "the file of a schedule that is gone may expire", "schedule", id)
	}
	return nil
}
