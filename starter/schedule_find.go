package starter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

// foundSchedule is a schedule that the caller may know of.
type foundSchedule struct {
	id   string
	user string // who made it
	scheduleContent
	description *client.ScheduleDescription
}

// scheduleContent is what Temporal keeps of a schedule without being able to read it.
type scheduleContent struct {
	record scheduleRecord
	input  workflows.ScheduledInput
}

// schedule returns a schedule of the caller's organization. Its error is a 404 for any other.
func (s *Starter) schedule(ctx context.Context, who identity.Principal, id string) (*foundSchedule, error) {
	if !isScheduleID(id) {
		return nil, scheduleNotFound(id)
	}
	ctx, over := s.asking(ctx)
	defer over()
	d, err := s.Temporal.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	if hasEnded(err) {
		return nil, scheduleNotFound(id)
	}
	if err != nil {
		return nil, err
	}
	if organization, _ := d.TypedSearchAttributes.GetKeyword(workflows.Organization); organization != who.Organization {
		return nil, scheduleNotFound(id)
	}
	var argument *commonpb.Payload
	if action, ok := d.Schedule.Action.(*client.ScheduleWorkflowAction); ok && len(action.Args) == 1 {
		argument, _ = action.Args[0].(*commonpb.Payload)
	}
	content, err := readSchedule(s.Payloads, d.Memo, argument)
	if err != nil {
		// It can still be paused and deleted, by an admin at least, and lists have the others.
		s.Logger.WarnContext(ctx, "a schedule cannot be read", "schedule", id, "error", err)
	}
	user, _ := d.TypedSearchAttributes.GetKeyword(workflows.User)
	return &foundSchedule{id: id, user: user, scheduleContent: content, description: d}, nil
}

// readSchedule decodes what a schedule has. What can be read is returned also beside an error.
func readSchedule(payloads converter.DataConverter, memo *commonpb.Memo, argument *commonpb.Payload) (scheduleContent, error) {
	var c scheduleContent
	var err error
	if argument != nil {
		err = payloads.FromPayload(argument, &c.input)
	}
	if err == nil && len(c.input.Record) > 0 {
		return c, json.Unmarshal(c.input.Record, &c.record)
	}
	var memoErr error
	c.record, memoErr = memoRecord(payloads, memo)
	return c, errors.Join(err, memoErr)
}

// changeable is schedule for those who may change it: whoever made it, whose connectors it uses, and admins.
func (s *Starter) changeable(ctx context.Context, who identity.Principal, id string) (*foundSchedule, error) {
	found, err := s.schedule(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if found.user != who.User && who.Role != identity.Admin {
		return nil, forbidden("only " + found.user + ", who made the schedule, and admins may change it")
	}
	return found, nil
}

// memoRecord reads what a schedule's memo says, which is what the schedule was when it was made.
func memoRecord(payloads converter.DataConverter, memo *commonpb.Memo) (scheduleRecord, error) {
	var record scheduleRecord
	member, ok := memo.GetFields()[memoSchedule]
	if !ok {
		return record, nil
	}
	return record, payloads.FromPayload(member, &record)
}

func isScheduleID(id string) bool {
	unique, ok := strings.CutPrefix(id, schedulePrefix)
	parsed, err := uuid.Parse(unique)
	return ok && err == nil && parsed.String() == unique
}

func scheduleNotFound(id string) *responses.Error {
	return &responses.Error{
		Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "Schedule with id '" + clip(id) + "' not found.",
	}
}

// usableConnectors refuses a request with a connector that the caller could not use now.
func (k *Intake) usableConnectors(ctx context.Context, who identity.Principal, req *responses.Request) error {
	for i, tool := range req.Tools {
		t, ok := tool.(*responses.MCPTool)
		if !ok || t.ConnectorID == "" {
			continue
		}
		path := "tools[" + strconv.Itoa(i) + "]."
		if _, err := k.Connections.Usable(ctx, who, t.ConnectorID); err != nil {
			return unusableConnector(path, t, err)
		}
	}
	return nil
}
