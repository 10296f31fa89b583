package starter

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/contract"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// Bounds of a schedule.
const (
	maxScheduleBody = 256 << 10 // bytes: Temporal keeps the request in every run of the schedule
	maxCrons        = 10
	maxScheduleName = 128
	maxNote         = 512
	minInterval     = time.Minute
	maxInterval     = 366 * 24 * time.Hour
	// defaultCatchup is how late a run may begin whose time came while Temporal was away. Temporal wants ten seconds at least.
	defaultCatchup = time.Hour
	minCatchup     = 10 * time.Second
)

// scheduleTerms are when a schedule starts something, and how. Times are in seconds since 1970, durations in seconds.
type scheduleTerms struct {
	Name string `json:"name"`
	// Cron are expressions of five members, or words such as @daily, in TimeZone. Interval is the time between two runs, counted from 1970
	// and shifted by Offset.
	Cron     []string `json:"cron"`
	TimeZone string   `json:"time_zone"`
	Interval int64    `json:"interval"`
	Offset   int64    `json:"offset"`
	StartsAt int64    `json:"starts_at"`
	EndsAt   int64    `json:"ends_at"`
	// Jitter is up to how much later than its time a run begins.
	Jitter         int64             `json:"jitter"`
	Overlap        string            `json:"overlap"`
	CatchupWindow  int64             `json:"catchup_window"`
	PauseOnFailure bool              `json:"pause_on_failure"`
	Metadata       map[string]string `json:"metadata"`
}

// givenSchedule is what a client says of a new schedule.
type givenSchedule struct {
	scheduleTerms
	Note   string `json:"note"`
	Paused bool   `json:"paused"`
	// Exactly one of these is set.
	Request json.RawMessage `json:"request"`
	Batch   json.RawMessage `json:"batch"`
}

// scheduleRecord is what a schedule's memo has. It is stored: members may be added, not renamed.
type scheduleRecord struct {
	scheduleTerms
	User      string `json:"user"`
	CreatedAt int64  `json:"created_at"`
	// OfBatches is set for a schedule that starts batches.
	OfBatches bool `json:"of_batches,omitempty"`
	// Fingerprint tells a repeated request from another one under the same Idempotency-Key.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// overlaps are what becomes of a run whose time comes while one before it is under way.
var overlaps = map[string]enumspb.ScheduleOverlapPolicy{
	"skip":         enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
	"buffer_one":   enumspb.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE,
	"buffer_all":   enumspb.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL,
	"cancel_other": enumspb.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER,
	"allow_all":    enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL,
}

var (
	cronMember = regexp.MustCompile(`^[0-9A-Za-z*/,?-]{1,100}$`)
	cronWords  = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
	zonePlace  = regexp.MustCompile(`^[A-Za-z0-9_+/-]{1,64}$`)
)

// check fills in what was left out, and refuses what Temporal would not, or not so that the place is named.
func (g *givenSchedule) check() error {
	if g.Overlap == "" {
		g.Overlap = "skip"
	}
	if g.CatchupWindow == 0 {
		g.CatchupWindow = int64(defaultCatchup.Seconds())
	}
	if g.Metadata == nil {
		g.Metadata = map[string]string{}
	}
	if g.Cron == nil {
		g.Cron = []string{}
	}
	if (len(g.Request) == 0) == (len(g.Batch) == 0) {
		return responses.Invalid("request", "must be set, to what POST /v1/responses takes, or in its place batch, to what POST /v1/batches takes")
	}
	if err := g.checkTimes(); err != nil {
		return err
	}
	switch _, known := overlaps[g.Overlap]; {
	case !known:
		return responses.Invalid("overlap", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(overlaps)), ", "))
	case len(g.Name) > maxScheduleName:
		return responses.Invalid("name", "must have %d characters at most", maxScheduleName)
	case len(g.Metadata) > 16:
		return responses.Invalid("metadata", "must have 16 members at most")
	}
	for name, value := range g.Metadata {
		if len(name) > 64 || len(value) > 512 {
			return responses.Invalid("metadata", "names must have 64 characters at most, and values 512")
		}
	}
	return checkNote(g.Note)
}

func checkNote(note string) error {
	if len(note) > maxNote {
		return responses.Invalid("note", "must have %d characters at most", maxNote)
	}
	return nil
}

func (g *givenSchedule) checkTimes() error {
	seconds := func(d time.Duration) int64 { return int64(d.Seconds()) }
	switch {
	case len(g.Cron) == 0 && g.Interval == 0:
		return responses.Invalid("cron", "must be set, or interval")
	case len(g.Cron) > maxCrons:
		return responses.Invalid("cron", "must have %d expressions at most", maxCrons)
	case g.TimeZone != "" && !zonePlace.MatchString(g.TimeZone):
		return responses.Invalid("time_zone", "must be a name of the IANA database, such as Europe/Berlin")
	case g.Interval != 0 && (g.Interval < seconds(minInterval) || g.Interval > seconds(maxInterval)):
		return responses.Invalid("interval", "must be between %d and %d seconds", seconds(minInterval), seconds(maxInterval))
	case g.Offset < 0 || g.Offset > 0 && g.Offset >= g.Interval:
		return responses.Invalid("offset", "must not be negative, and less than interval")
	case g.Jitter < 0 || g.Jitter > 24*60*60:
		return responses.Invalid("jitter", "must be between 0 and 86400 seconds")
	case g.CatchupWindow < seconds(minCatchup) || g.CatchupWindow > seconds(maxInterval):
		return responses.Invalid("catchup_window", "must be between %d and %d seconds", seconds(minCatchup), seconds(maxInterval))
	case g.StartsAt < 0 || g.EndsAt < 0 || max(g.StartsAt, g.EndsAt) > 253402300799:
		return responses.Invalid("ends_at", "times are in seconds since 1970")
	case g.EndsAt != 0 && g.EndsAt <= max(g.StartsAt, time.Now().Unix()):
		return responses.Invalid("ends_at", "must be later than starts_at and than now")
	}
	for i, cron := range g.Cron {
		members := strings.Fields(cron)
		good := len(members) == 5 && !slices.ContainsFunc(members, func(m string) bool { return !cronMember.MatchString(m) })
		if !good && !slices.Contains(cronWords, cron) {
			return responses.Invalid("cron["+strconv.Itoa(i)+"]", "must have five members, such as \"0 3 * * 1-5\" for 3 o'clock from Monday to Friday, "+
				"or be one of %s", strings.Join(cronWords, ", "))
		}
	}
	return nil
}

// scheduleOptions translate a schedule for Temporal.
func (s *Starter) scheduleOptions(ctx context.Context, who identity.Principal, id string, given givenSchedule, record scheduleRecord) (client.ScheduleOptions, error) {
	member, err := s.isMember(ctx, who)
	if err != nil {
		return client.ScheduleOptions{}, err
	}
	// Encoded here, it belongs to no workflow. The SDK would take it for that of a workflow with the ID below, and Temporal adds the time to
	// the ID of each run.
	scheduled := workflows.ScheduledInput{
		ScheduleID: id, RunTimeout: s.Limits.RunTimeout, TaskTimeout: taskTimeout, Priority: priority(who, true),
	}
	if record.OfBatches {
		scheduled.Priority.PriorityKey = workflows.PriorityBatch
		scheduled.Batch = &contract.BatchRequest{
			Organization: who.Organization, User: who.User, Role: string(who.Role), Key: who.Key, MembersOnly: member, Body: given.Batch,
		}
	} else {
		scheduled.Request = &contract.Request{
			Organization: who.Organization, User: who.User, Role: string(who.Role), Key: who.Key, MembersOnly: member, Body: given.Request,
		}
	}
	input, err := s.Payloads.ToPayload(scheduled)
	if err != nil {
		return client.ScheduleOptions{}, err
	}
	spec := client.ScheduleSpec{
		CronExpressions: given.Cron, TimeZoneName: given.TimeZone, Jitter: time.Duration(given.Jitter) * time.Second,
		StartAt: timeOrZero(given.StartsAt), EndAt: timeOrZero(given.EndsAt),
	}
	if given.Interval > 0 {
		spec.Intervals = []client.ScheduleIntervalSpec{{
			Every: time.Duration(given.Interval) * time.Second, Offset: time.Duration(given.Offset) * time.Second,
		}}
	}
	owner := temporal.NewSearchAttributes(workflows.Organization.ValueSet(who.Organization), workflows.User.ValueSet(who.User))
	return client.ScheduleOptions{
		ID: id, Spec: spec, Overlap: overlaps[given.Overlap], CatchupWindow: time.Duration(given.CatchupWindow) * time.Second,
		PauseOnFailure: given.PauseOnFailure, Note: given.Note, Paused: given.Paused,
		Action: &client.ScheduleWorkflowAction{
			ID: "scheduled/" + id, Workflow: workflows.ScheduledName, Args: []any{input}, TaskQueue: s.TaskQueue,
			WorkflowTaskTimeout: taskTimeout, Priority: priority(who, true), TypedSearchAttributes: owner,
		},
		Memo: map[string]any{memoSchedule: record}, TypedSearchAttributes: owner,
	}, nil
}

// isMember reports whether the database knows the caller. A key of the configuration may be somebody's whom it does not.
func (k *Intake) isMember(ctx context.Context, who identity.Principal) (bool, error) {
	if k.Store == nil {
		return false, nil
	}
	_, err := k.Store.Member(ctx, who.Organization, who.User)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func timeOrZero(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
