package starter

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

const (
	schedulesPath = "/v1/schedules"
	// schedulePrefix begins the ID of every schedule, which is also that of Temporal's own.
	schedulePrefix = activities.SchedulePrefix
	// memoSchedule is the member of a schedule's memo that has its [scheduleRecord]. It is stored: it never changes.
	memoSchedule = "schedule"
	// statusChanged is the value of the search attribute [workflows.Status] of a schedule that is not any more what its memo says. It is
	// stored: it never changes.
	statusChanged = "changed"
)

// scheduleRoutes are those of schedules, which Temporal alone keeps. openapi.yaml has each, and TestTenants a case for each.
func (s *Starter) scheduleRoutes(handle func(pattern string, h http.Handler)) {
	const one = schedulesPath + "/{id}"
	handle("POST "+schedulesPath, s.durable(s.createSchedule))
	handle("GET "+schedulesPath, s.durable(s.listSchedules))
	handle("GET "+one, s.durable(s.getSchedule))
	handle("PATCH "+one, s.durable(s.updateSchedule))
	handle("DELETE "+one, s.durable(s.deleteSchedule))
	handle("POST "+one+"/pause", s.durable(s.paused(true)))
	handle("POST "+one+"/resume", s.durable(s.paused(false)))
	handle("POST "+one+"/trigger", s.durable(s.triggerSchedule))
}

// createSchedule makes a schedule. What it is to start is checked as if it were started now.
func (s *Starter) createSchedule(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	body, err := s.readUpTo(w, r, r.Body, maxScheduleBody)
	if err != nil {
		return err
	}
	var given givenSchedule
	if err := responses.DecodeStrict(body, &given); err != nil {
		return err
	}
	if err := given.check(); err != nil {
		return err
	}
	if err := s.checkScheduled(r.Context(), who, given); err != nil {
		return err
	}
	id := scheduleID(who, key)
	record := scheduleRecord{
		scheduleTerms: given.scheduleTerms, User: who.User, CreatedAt: time.Now().Unix(), OfBatches: len(given.Batch) > 0,
		Fingerprint: fingerprint(key, body),
	}
	if err := s.roomForSchedule(r.Context(), who, id); err != nil {
		return err
	}
	options, err := s.scheduleOptions(r.Context(), who, id, given, record)
	if err != nil {
		return err
	}
	if record.OfBatches {
		if err := s.holdScheduled(r.Context(), who, id, given.Batch); err != nil {
			return err
		}
		defer s.settleFiles(r.Context(), who, id)
	}
	err = s.starting(r.Context(), who, func(ctx context.Context) error {
		_, err := s.Temporal.ScheduleClient().Create(ctx, options)
		return err
	})
	if err = refusedSchedule(err); err != nil && !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	found, shownErr := s.schedule(r.Context(), who, id)
	switch {
	case shownErr != nil:
		return shownErr
	case found.record.Fingerprint != record.Fingerprint:
		return &responses.Error{
			Status: http.StatusConflict, Type: responses.ErrConflict, Code: "idempotency_key_reused", Param: "Idempotency-Key",
			Message: "this Idempotency-Key was used for a schedule with another body; a new schedule needs a new key",
		}
	}
	if err == nil {
		s.Logger.InfoContext(r.Context(), "schedule created", "request", requestID(w), "schedule", id,
			"organization", who.Organization, "user", who.User)
	}
	return s.answerSchedule(w, r, found)
}

// scheduleID is the ID of a new schedule. With a key it is always the same, as that of a response.
func scheduleID(who identity.Principal, key string) string {
	if key == "" {
		return schedulePrefix + uuid.NewString()
	}
	return schedulePrefix + strings.TrimPrefix(responseID(who, "schedule\x00"+key), responses.ResponsePrefix)
}

// checkScheduled refuses what would be refused when its time comes, as far as that can be told now.
func (s *Starter) checkScheduled(ctx context.Context, who identity.Principal, given givenSchedule) error {
	place, check := "request", s.checkScheduledRequest
	body := given.Request
	if len(given.Batch) > 0 {
		place, check, body = "batch", s.checkScheduledBatch, given.Batch
	}
	err := check(ctx, who, body)
	var shown *responses.Error
	if errors.As(err, &shown) && shown.Param != "" {
		within := *shown
		within.Param = place + "." + shown.Param
		return &within
	}
	return err
}

func (s *Starter) checkScheduledRequest(ctx context.Context, who identity.Principal, body []byte) error {
	req, _, err := decodeRequested(body, s.ownDialect(), true)
	if err == nil {
		err = s.validate(req)
	}
	if err == nil {
		err = s.usableConnectors(ctx, who, req)
	}
	return err
}

func (s *Starter) checkScheduledBatch(ctx context.Context, who identity.Principal, body []byte) error {
	if s.needDatabase() != nil {
		return responses.Invalid("input_file_id", "this server keeps no files: its operator has to set database.url or data.dir")
	}
	given, err := decodeBatch(body, s.Limits.Batch)
	if err == nil {
		err = s.checkInputFile(ctx, who, given.InputFileID)
	}
	return err
}

// roomForSchedule counts what the organization has. The count is late by a moment, so that a few more may pass that are made at once.
func (s *Starter) roomForSchedule(ctx context.Context, who identity.Principal, id string) error {
	all, err := s.organizationSchedules(ctx, who)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.ID == id {
			return nil // it is there already
		}
	}
	if len(all) >= s.Limits.Schedules {
		return &responses.Error{
			Status: http.StatusTooManyRequests, Type: responses.ErrRateLimited, Code: "schedule_limit_reached",
			Message: "the organization has as many schedules as it may have: delete one that is not needed any more",
		}
	}
	return nil
}

// organizationSchedules are those of the caller's organization, the latest first.
func (s *Starter) organizationSchedules(ctx context.Context, who identity.Principal) ([]*client.ScheduleListEntry, error) {
	ctx, over := s.asking(ctx)
	defer over()
	list, err := s.Temporal.ScheduleClient().List(ctx, client.ScheduleListOptions{
		PageSize: maxPage, Query: workflows.Organization.GetName() + " = " + quoted(who.Organization),
	})
	var all []*client.ScheduleListEntry
	for err == nil && list.HasNext() {
		var one *client.ScheduleListEntry
		if one, err = list.Next(); err == nil && strings.HasPrefix(one.ID, schedulePrefix) {
			all = append(all, one)
		}
	}
	return all, err
}

// refusedSchedule makes the client's error of what Temporal says against a schedule.
func refusedSchedule(err error) error {
	var invalid *serviceerror.InvalidArgument
	if !errors.As(err, &invalid) {
		return err
	}
	place := "cron"
	if strings.Contains(strings.ToLower(invalid.Message), "zone") {
		place = "time_zone"
	}
	return responses.Invalid(place, "%s", clip(invalid.Message))
}

// listSchedules lists the schedules of the organization, all at once: there are not many. One appears a moment after it was made.
func (s *Starter) listSchedules(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if _, _, err := storePage(r); err != nil {
		return err
	}
	all, err := s.organizationSchedules(r.Context(), who)
	if err != nil {
		return err
	}
	shown, err := s.showAll(r.Context(), who, all)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, newList(shown, "", func(one shownSchedule) string { return one.ID }))
}

func (s *Starter) getSchedule(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	found, err := s.schedule(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerSchedule(w, r, found)
}

// deleteSchedule ends a schedule. What it has started goes on.
func (s *Starter) deleteSchedule(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	found, err := s.changeable(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.handling(r.Context(), found.id, client.ScheduleHandle.Delete); err != nil {
		return err
	}
	s.releaseFiles(r.Context(), found.id)
	return s.writeValue(w, r, deleted("schedule", found.id))
}

// triggerSchedule starts a run now. The schedule's own policy decides whether one that is under way is in its way.
func (s *Starter) triggerSchedule(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if _, err := s.givenNote(w, r); err != nil {
		return err
	}
	found, err := s.changeable(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	err = s.handling(r.Context(), found.id, func(h client.ScheduleHandle, ctx context.Context) error {
		return h.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_UNSPECIFIED})
	})
	if err != nil {
		return err
	}
	if found, err = s.schedule(r.Context(), who, found.id); err != nil {
		return err
	}
	return s.answerSchedule(w, r, found)
}

// givenNote reads a body that may have a note.
func (s *Starter) givenNote(w http.ResponseWriter, r *http.Request) (string, error) {
	var given struct {
		Note string `json:"note"`
	}
	body, err := s.readUpTo(w, r, r.Body, maxGetBody)
	if err == nil && len(body) > 0 {
		err = responses.DecodeStrict(body, &given)
	}
	if err == nil {
		err = checkNote(given.Note)
	}
	return given.Note, err
}

// handling asks Temporal for a change of a schedule. One that has gone meanwhile is not found.
func (s *Starter) handling(ctx context.Context, id string, do func(client.ScheduleHandle, context.Context) error) error {
	ctx, over := s.asking(ctx)
	defer over()
	err := do(s.Temporal.ScheduleClient().GetHandle(ctx, id), ctx)
	if hasEnded(err) {
		return scheduleNotFound(id)
	}
	return err
}
