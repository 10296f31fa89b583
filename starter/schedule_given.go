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
	"unicode"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

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

// scheduleRecord is what a schedule's argument and its memo have. The argument's is the one that counts: Temporal changes no memo of a
// schedule, which is what lists show, without asking each, of those that were never changed. It is stored: members may be added, not renamed.
type scheduleRecord struct {
	scheduleTerms
	User      string `json:"user"`
	CreatedAt int64  `json:"created_at"`
	// OfBatches is set for a schedule that starts batches.
	OfBatches bool `json:"of_batches,omitempty"`
	// Fingerprint tells a repeated request from another one under the same Idempotency-Key.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Revision tells the last change from all others.
	Revision string `json:"revision,omitempty"`
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

// check fills in what was left out of a new schedule, and refuses what Temporal would not, or not so that the place is named.
func (g *givenSchedule) check() error {
	if (len(g.Request) == 0) == (len(g.Batch) == 0) {
		return responses.Invalid("request", "must be set, to what POST /v1/responses takes, or in its place batch, to what POST /v1/batches takes")
	}
	if err := g.checkEnd(); err != nil {
		return err
	}
	return g.checkTerms()
}

// checkTerms is check for all that a change may leave as it was.
func (g *givenSchedule) checkTerms() error {
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
	if err := g.checkTimes(); err != nil {
		return err
	}
	switch _, known := overlaps[g.Overlap]; {
	case !known:
		return responses.Invalid("overlap", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(overlaps)), ", "))
	case len(g.Name) > maxScheduleName:
		return responses.Invalid("name", "must have %d characters at most", maxScheduleName)
	case strings.ContainsFunc(g.Name, notForNames):
		return responses.Invalid("name", "must be one line, without control or invisible characters")
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

// notForNames is what could make a name look like something else in a list: line ends, tabs, and marks that hide or turn what is around them.
// The joiner between the parts of one emoji is no such mark.
func notForNames(r rune) bool {
	const joiner = '\u200d'
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != joiner
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

// checkEnd refuses an end that is over already.
func (g *givenSchedule) checkEnd() error {
	if g.EndsAt != 0 && g.EndsAt <= max(g.StartsAt, time.Now().Unix()) {
		return responses.Invalid("ends_at", "must be later than starts_at and than now")
	}
	return nil
}

// scheduledInput is what the runs of a schedule are to start: for whoever says so, and with no more rights than that one has now.
func (s *Starter) scheduledInput(ctx context.Context, who identity.Principal, id string, given givenSchedule) (workflows.ScheduledInput, error) {
	in := workflows.ScheduledInput{ScheduleID: id, RunTimeout: s.Limits.RunTimeout, TaskTimeout: taskTimeout, Priority: priority(who, true)}
	member, err := s.isMember(ctx, who)
	if err != nil {
		return in, err
	}
	if len(given.Batch) > 0 {
		in.Priority.PriorityKey = workflows.PriorityBatch
		in.Batch = &contract.BatchRequest{
			Organization: who.Organization, User: who.User, Role: string(who.Role), Key: who.Key, MembersOnly: member, Body: given.Batch,
		}
	} else {
		in.Request = &contract.Request{
			Organization: who.Organization, User: who.User, Role: string(who.Role), Key: who.Key, MembersOnly: member, Body: given.Request,
		}
	}
	return in, nil
}

// maxScheduleArgument is the largest argument of a schedule, in bytes as Temporal keeps it: longer ones would become large values of a workflow that
// no run of the schedule is, and be swept away.
const maxScheduleArgument = 255 << 10

// scheduleArgument encodes what a schedule starts, with what is known of the schedule. Encoded here, it belongs to no workflow. The SDK would
// take it for that of a workflow whose ID no run of the schedule has.
func scheduleArgument(payloads converter.DataConverter, in workflows.ScheduledInput, record scheduleRecord) (*commonpb.Payload, error) {
	var err error
	if in.Record, err = json.Marshal(record); err != nil {
		return nil, err
	}
	argument, err := payloads.ToPayload(in)
	if err == nil && proto.Size(argument) > maxScheduleArgument {
		err = tooLargeError(maxScheduleBody)
	}
	return argument, err
}

// scheduleOptions translate a new schedule for Temporal.
func (s *Starter) scheduleOptions(ctx context.Context, who identity.Principal, id string, given givenSchedule, record scheduleRecord) (client.ScheduleOptions, error) {
	scheduled, err := s.scheduledInput(ctx, who, id, given)
	if err != nil {
		return client.ScheduleOptions{}, err
	}
	input, err := scheduleArgument(s.Payloads, scheduled, record)
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

// isMember reports whether the database knows the caller, or did when it let the caller in: one who was removed since is not to go on as if
// there were no database. A key of the configuration may be somebody's whom it does not know.
func (k *Intake) isMember(ctx context.Context, who identity.Principal) (bool, error) {
	if k.Store == nil || who.Stored {
		return who.Stored, nil
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
