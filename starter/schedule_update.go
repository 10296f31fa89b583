package starter

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	schedulepb "go.temporal.io/api/schedule/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

// updateSchedule changes what a schedule was made with. Members that are not given stay as they are. Whose runs they are does not change, so
// that nobody but the maker may change what is run: it has the maker's connectors.
func (s *Starter) updateSchedule(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	ctx := r.Context()
	body, err := s.readUpTo(w, r, r.Body, maxScheduleBody)
	if err != nil {
		return err
	}
	var asked givenSchedule
	if err := responses.DecodeStrict(body, &asked); err != nil {
		return err
	}
	found, err := s.changeable(ctx, who, r.PathValue("id"))
	if err != nil {
		return err
	}
	another := len(asked.Request) > 0 || len(asked.Batch) > 0
	if another {
		if err := s.checkAnother(ctx, who, found, asked); err != nil {
			return err
		}
	}
	if another && found.record.OfBatches {
		if err := s.holdScheduled(ctx, who, found.id, asked.Batch); err != nil {
			return err
		}
		defer s.settleFiles(ctx, who, found.id)
	}
	revision := uuid.NewString()
	found, err = s.changeSchedule(ctx, who, found.id, func(c *scheduleChange) error {
		if c.unreadable != nil || c.content.input.Request == nil && c.content.input.Batch == nil {
			return conflict("the schedule cannot be read, such as for a key that this server does not have, and can only be paused, resumed and deleted")
		}
		given, err := c.given().changedBy(body)
		if err != nil {
			return err
		}
		if another {
			if c.content.input, err = s.scheduledInput(ctx, who, found.id, given); err != nil {
				return err
			}
		}
		c.content.record.Revision = revision
		return s.applyTerms(c, given)
	}, func(now *foundSchedule) bool { return now.record.Revision == revision })
	if err != nil {
		return err
	}
	s.Logger.InfoContext(ctx, "schedule changed", "request", requestID(w), "schedule", found.id, "organization", who.Organization, "user", who.User)
	return s.answerSchedule(w, r, found)
}

// checkAnother checks what a schedule is to start from now on.
func (s *Starter) checkAnother(ctx context.Context, who identity.Principal, found *foundSchedule, asked givenSchedule) error {
	switch {
	case found.user != who.User:
		return forbidden("only " + found.user + ", whose connectors it uses, may change what the schedule starts")
	case found.record.OfBatches && len(asked.Request) > 0:
		return responses.Invalid("request", "cannot be set: the schedule starts batches; make another one for responses")
	case !found.record.OfBatches && len(asked.Batch) > 0:
		return responses.Invalid("batch", "cannot be set: the schedule starts responses; make another one for batches")
	}
	return s.checkScheduled(ctx, who, asked)
}

// given is what would have to be said to make a schedule as it is, but for what it starts.
func (c *scheduleChange) given() givenSchedule {
	return givenSchedule{scheduleTerms: c.content.record.scheduleTerms, Note: c.schedule.State.GetNotes(), Paused: c.schedule.State.GetPaused()}
}

// changedBy returns what is said of the schedule once a body has changed it.
func (g givenSchedule) changedBy(body []byte) (givenSchedule, error) {
	given := g
	given.Cron, given.Metadata = nil, nil // which JSON would write over, or add to
	if err := responses.DecodeStrict(body, &given); err != nil {
		return given, err
	}
	if given.Cron == nil {
		given.Cron = g.Cron
	}
	if given.Metadata == nil {
		given.Metadata = g.Metadata
	}
	if given.Interval == 0 && given.Offset == g.Offset {
		given.Offset = 0 // which is nothing without an interval
	}
	err := given.checkTerms()
	if err == nil && (given.StartsAt != g.StartsAt || given.EndsAt != g.EndsAt) {
		err = given.checkEnd()
	}
	return given, err
}

// applyTerms makes a schedule what is said of it. What is not said anew stays as it is in Temporal, where an operator may have changed it.
func (s *Starter) applyTerms(c *scheduleChange, given givenSchedule) error {
	before := c.content.record.scheduleTerms
	c.content.record.scheduleTerms = given.scheduleTerms
	argument, err := scheduleArgument(s.Payloads, c.content.input, c.content.record)
	if err != nil {
		return err
	}
	c.setArgument(argument)
	if spec := given.spec(); !proto.Equal(spec, before.spec()) {
		c.schedule.Spec = spec
	}
	if policies := given.policies(); !proto.Equal(policies, before.policies()) {
		c.schedule.Policies = policies
	}
	c.schedule.State.Notes, c.schedule.State.Paused = given.Note, given.Paused
	return nil
}

// spec is when the schedule starts something, in Temporal's words. It is that of [Starter.scheduleOptions].
func (t *scheduleTerms) spec() *schedulepb.ScheduleSpec {
	spec := &schedulepb.ScheduleSpec{
		CronString: t.Cron, TimezoneName: t.TimeZone, Jitter: durationOf(t.Jitter), StartTime: timeOrNil(t.StartsAt), EndTime: timeOrNil(t.EndsAt),
	}
	if t.Interval > 0 {
		spec.Interval = []*schedulepb.IntervalSpec{{Interval: durationOf(t.Interval), Phase: durationOf(t.Offset)}}
	}
	return spec
}

func (t *scheduleTerms) policies() *schedulepb.SchedulePolicies {
	return &schedulepb.SchedulePolicies{
		OverlapPolicy: overlaps[t.Overlap], CatchupWindow: durationOf(t.CatchupWindow), PauseOnFailure: t.PauseOnFailure,
	}
}

func durationOf(seconds int64) *durationpb.Duration {
	return durationpb.New(time.Duration(seconds) * time.Second)
}

func timeOrNil(seconds int64) *timestamppb.Timestamp {
	if seconds == 0 {
		return nil
	}
	return timestamppb.New(time.Unix(seconds, 0))
}

// paused makes a handler that pauses schedules, or has them go on. Without a note the one that is there stays.
func (s *Starter) paused(paused bool) tenantHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		note, err := s.givenNote(w, r)
		if err != nil {
			return err
		}
		found, err := s.changeSchedule(r.Context(), who, r.PathValue("id"), func(c *scheduleChange) error {
			c.schedule.State.Paused = paused
			if note != "" {
				c.schedule.State.Notes = note
			}
			return nil
		}, func(now *foundSchedule) bool {
			state := now.description.Schedule.State
			return state.Paused == paused && (note == "" || state.Note == note)
		})
		if err != nil {
			return err
		}
		return s.answerSchedule(w, r, found)
	}
}
