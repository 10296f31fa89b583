package starter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"perdure/internal/payload"
	"perdure/internal/secret"
)

// ResealedSchedules is what [ResealSchedules] did.
type ResealedSchedules struct {
	Looked int // at schedules
	Sealed int // with the primary key, which others had sealed
	// Lost are the IDs of schedules that cannot be read: their key is not in the keyset.
	Lost []string
}

// ResealSchedules encrypts what the schedules of a namespace have with the primary key, where an older one did, so that these can be
// dropped. What is not encrypted stays as it is. It may be interrupted and begun again, and runs beside others that change schedules. A
// schedule whose run is late because of its jitter at that moment leaves out that run. The error is that of all schedules that have failed.
func ResealSchedules(ctx context.Context, c client.Client, namespace string, sealer *secret.Sealer) (ResealedSchedules, error) {
	var done ResealedSchedules
	var failed error
	// Whether new schedules are encrypted does not matter here: those that are stay so.
	payloads := payload.NewDataConverter(payload.NewCodec(sealer, true))
	list, err := c.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: maxPage})
	for err == nil && list.HasNext() {
		var one *client.ScheduleListEntry
		if one, err = list.Next(); err != nil || !strings.HasPrefix(one.ID, schedulePrefix) {
			continue
		}
		done.Looked++
		sealed, unsealed := resealSchedule(ctx, c, namespace, payloads, sealer, one.ID)
		switch {
		case errors.Is(unsealed, secret.ErrOpen):
			done.Lost = append(done.Lost, one.ID)
		case temporalAway(unsealed), ctx.Err() != nil:
			err = fmt.Errorf("%s: %w", one.ID, unsealed) // and the others would wait as long as this one has
		case unsealed != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", one.ID, unsealed))
		case sealed:
			done.Sealed++
		}
	}
	return done, errors.Join(failed, err)
}

// resealSchedule reports whether it has encrypted a schedule anew. Its error is a [secret.ErrOpen] for one that cannot be read.
func resealSchedule(
	ctx context.Context, c client.Client, namespace string, payloads converter.DataConverter, sealer *secret.Sealer, id string,
) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for attempt := range changeAttempts + 1 {
		change, err := describeSchedule(ctx, c.WorkflowService(), namespace, payloads, id)
		switch {
		case hasEnded(err):
			return false, nil
		case err != nil:
			return false, err
		case change.unreadable != nil:
			return false, change.unreadable
		case !change.needsReseal(sealer):
			return attempt > 0, nil
		}
		argument, err := scheduleArgument(payloads, change.content.input, change.content.record)
		if err != nil {
			return false, err
		}
		change.setArgument(argument)
		if err := change.send(ctx, c.WorkflowService(), namespace, id); err != nil && !isStale(err) {
			return false, err
		}
	}
	return false, errors.New("it is being changed by others")
}

// needsReseal reports whether an older key than the primary one is needed to read a schedule. The memo of one that was changed is read by
// nobody, and stays as it was.
func (c *scheduleChange) needsReseal(sealer *secret.Sealer) bool {
	old := func(p *commonpb.Payload) bool {
		return payload.Encrypted(p) && sealer.NeedsReseal(secret.Sealed(p.GetData()))
	}
	if c.argument() == nil {
		return false // it is none that we have made
	}
	return old(c.argument()) || old(c.described.GetMemo().GetFields()[memoSchedule]) && !memoOutdated(c.described.GetSearchAttributes())
}
