package starter

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"perdure/internal/identity"
	"perdure/workflows"
)

// scheduleChange is a schedule while it is changed.
type scheduleChange struct {
	described *workflowservice.DescribeScheduleResponse
	schedule  *schedulepb.Schedule // that of described, which is changed
	content   scheduleContent
	// unreadable is why there is no content, or not all of it.
	unreadable error
	// attributes are the search attributes to be; nil if they stay.
	attributes *commonpb.SearchAttributes
}

// changeAttempts is how often a change is made that another one forestalls.
const changeAttempts = 3

// changeSchedule makes a change of a schedule of the caller's and returns the schedule as it is then. Temporal refuses a change of what is
// not any more what was changed, most versions without saying so: made reports whether the schedule has it, or else it is made anew.
func (s *Starter) changeSchedule(
	ctx context.Context, who identity.Principal, id string, change func(*scheduleChange) error, made func(*foundSchedule) bool,
) (*foundSchedule, error) {
	if _, err := s.changeable(ctx, who, id); err != nil {
		return nil, err
	}
	for range changeAttempts {
		switch err := s.tryChange(ctx, id, change); {
		case hasEnded(err):
			return nil, scheduleNotFound(id)
		case err != nil && !isStale(err):
			return nil, refusedSchedule(err)
		}
		now, err := s.schedule(ctx, who, id)
		if err != nil || made(now) {
			return now, err
		}
	}
	return nil, conflict("the schedule is being changed by others: look at it again")
}

// isStale reports whether Temporal refuses a change because another came before it. Schedules that are workflows of Temporal's, as most are,
// leave it out without a word.
func isStale(err error) bool {
	var stale *serviceerror.FailedPrecondition
	return errors.As(err, &stale)
}

func (s *Starter) tryChange(ctx context.Context, id string, change func(*scheduleChange) error) error {
	ctx, over := s.asking(ctx)
	defer over()
	service := s.Temporal.WorkflowService()
	c, err := describeSchedule(ctx, service, s.Namespace, s.Payloads, id)
	if err == nil {
		err = change(c)
	}
	if err != nil {
		return err
	}
	return c.send(ctx, service, s.Namespace, id)
}

// describeSchedule asks Temporal for a schedule that is to be changed.
func describeSchedule(
	ctx context.Context, service workflowservice.WorkflowServiceClient, namespace string, payloads converter.DataConverter, id string,
) (*scheduleChange, error) {
	var d *workflowservice.DescribeScheduleResponse
	err := patiently(ctx, func() (err error) {
		d, err = service.DescribeSchedule(ctx, &workflowservice.DescribeScheduleRequest{Namespace: namespace, ScheduleId: id})
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &scheduleChange{described: d, schedule: d.GetSchedule()}
	if c.schedule.State == nil {
		c.schedule.State = &schedulepb.ScheduleState{}
	}
	c.content, c.unreadable = readSchedule(payloads, d.GetMemo(), c.argument())
	return c, nil
}

// argument is that of the schedule's runs; nil if there is none.
func (c *scheduleChange) argument() *commonpb.Payload {
	if input := c.schedule.GetAction().GetStartWorkflow().GetInput().GetPayloads(); len(input) == 1 {
		return input[0]
	}
	return nil
}

// setArgument gives the runs of the schedule another argument, and says in the schedule's search attributes that its memo is out of date.
func (c *scheduleChange) setArgument(argument *commonpb.Payload) {
	c.schedule.GetAction().GetStartWorkflow().Input = &commonpb.Payloads{Payloads: []*commonpb.Payload{argument}}
	c.attributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{}}
	maps.Copy(c.attributes.IndexedFields, c.described.GetSearchAttributes().GetIndexedFields())
	c.attributes.IndexedFields[workflows.Status.GetName()] = &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON), "type": []byte("Keyword")},
		Data:     []byte(`"` + statusChanged + `"`),
	}
}

// memoOutdated reports whether search attributes are those of a schedule that was changed.
func memoOutdated(attributes *commonpb.SearchAttributes) bool {
	var status string
	value, ok := attributes.GetIndexedFields()[workflows.Status.GetName()]
	return ok && converter.GetDefaultDataConverter().FromPayload(value, &status) == nil && status == statusChanged
}

// send has Temporal change the schedule, if it is still what was described.
func (c *scheduleChange) send(ctx context.Context, service workflowservice.WorkflowServiceClient, namespace, id string) error {
	request := &workflowservice.UpdateScheduleRequest{
		Namespace: namespace, ScheduleId: id, Schedule: c.schedule, ConflictToken: c.described.GetConflictToken(), Identity: "perdure",
		RequestId: uuid.NewString(), SearchAttributes: c.attributes,
	}
	return patiently(ctx, func() error {
		_, err := service.UpdateSchedule(ctx, request)
		return err
	})
}

// patiently repeats a call that Temporal cannot take at the moment until ctx ends, as the SDK does with its own: a schedule that much is
// asked of has a short queue.
func patiently(ctx context.Context, call func() error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := call()
		if !temporalAway(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
