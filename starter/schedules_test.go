package starter

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"perdure/internal/identity"
	"perdure/internal/modeltest"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/workflows"
)

// scheduler is a rig whose organization is its own, so that its schedules are all that it has, and whose answers fit openapi.yaml.
type scheduler struct {
	*rig
	organization string
	mux          *http.ServeMux
}

func newScheduler(t *testing.T, m *modeltest.Server, change ...func(*Options)) *scheduler {
	t.Helper()
	return newSchedulerOf(t, "acme-"+uuid.NewString(), m, change...)
}

func newSchedulerOf(t *testing.T, organization string, m *modeltest.Server, change ...func(*Options)) *scheduler {
	t.Helper()
	s := &scheduler{organization: organization, mux: http.NewServeMux()}
	s.rig = serveRequests(t, m, append(change, func(o *Options) {
		o.Keys = must(identity.NewKeyring(map[identity.KeyHash]identity.Principal{
			identity.HashKey(apiKey):   {Organization: s.organization, User: "alice", Key: "laptop", Scopes: identity.AllScopes, Role: identity.Member},
			identity.HashKey(bobsKey):  {Organization: s.organization, User: "bob", Key: "bob", Scopes: identity.AllScopes, Role: identity.Member},
			identity.HashKey(otherKey): {Organization: s.organization + "-2", User: "alice", Key: "eve", Scopes: identity.AllScopes, Role: identity.Admin},
			identity.HashKey(annsKey):  {Organization: s.organization, User: "ann", Key: "ann", Scopes: identity.AllScopes, Role: identity.Admin},
		}))
	})...)
	(&Starter{}).scheduleRoutes(s.mux.Handle)
	return s
}

// annsKey is the key of an admin of alice's organization.
const annsKey = "pd_key_of_ann"

func (s *scheduler) ask(t *testing.T, key, method, path, body string, header ...string) answer {
	t.Helper()
	a := as(t, key, method, s.url+schedulesPath+path, body, header...)
	checkAnswer(t, s.mux, method, s.url+schedulesPath+path, a)
	return a
}

const hourly = `{"name":"report","interval":3600,"note":"for ann","metadata":{"team":"x"},"request":{"input":"how was the hour?","metadata":{"of":"schedule"}}}`

// made creates a schedule of alice's.
func (s *scheduler) made(t *testing.T, body string) shownSchedule {
	t.Helper()
	a := s.ask(t, apiKey, http.MethodPost, "", body)
	a.want(t, http.StatusOK)
	return decoded[shownSchedule](t, a)
}

// TestSchedule: a schedule starts responses that are as all others, can be paused and goes on, and is gone when it is deleted.
func TestSchedule(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New(modeltest.Text("a good one")))
	made := s.made(t, hourly)
	if !isScheduleID(made.ID) || made.User != "alice" || made.Overlap != "skip" || made.Paused || made.Note != "for ann" || len(made.NextRuns) == 0 {
		t.Errorf("made %+v", made)
	}
	if next := time.Unix(made.NextRuns[0], 0); next.Minute() != 0 || time.Until(next) > time.Hour {
		t.Errorf("the next run is at %v", next)
	}
	path := "/" + made.ID
	s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
	var run shownRun
	eventually(t, "the schedule has a run", func() bool {
		shown := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
		if len(shown.RecentRuns) == 0 || len(shown.Running) > 0 {
			return false
		}
		run = shown.RecentRuns[0]
		return shown.Runs.Started == 1 && strings.Contains(string(shown.Request), "how was the hour?")
	})
	got := s.get(t, bobsKey, "/v1/responses/"+run.ResponseID)
	if shown := got.response(t); shown.Status != responses.ResponseCompleted || !strings.Contains(got.body, "a good one") || !strings.Contains(got.body, `"of":"schedule"`) {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	eventually(t, "the list shows the run", func() bool {
		list := decoded[listOf[shownSchedule]](t, s.ask(t, bobsKey, http.MethodGet, "", ""))
		return len(list.Data) == 1 && list.Data[0].ID == made.ID && list.Data[0].Metadata["team"] == "x" &&
			len(list.Data[0].RecentRuns) == 1 && list.Data[0].RecentRuns[0].ResponseID == run.ResponseID
	})

	paused := decoded[shownSchedule](t, s.ask(t, annsKey, http.MethodPost, path+"/pause", `{"note":"holidays"}`))
	if !paused.Paused || paused.Note != "holidays" {
		t.Errorf("paused %+v", paused)
	}
	if resumed := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodPost, path+"/resume", "")); resumed.Paused {
		t.Errorf("resumed %+v", resumed)
	}
	for _, action := range []string{"/pause", "/resume", "/trigger"} {
		s.ask(t, bobsKey, http.MethodPost, path+action, "").want(t, http.StatusForbidden, "alice")
	}
	s.ask(t, bobsKey, http.MethodDelete, path, "").want(t, http.StatusForbidden)
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK, `"deleted":true`)
	for method, rest := range map[string]string{http.MethodGet: "", http.MethodDelete: "", http.MethodPost: "/pause"} {
		eventually(t, method+" of a deleted schedule", func() bool { return s.ask(t, apiKey, method, path+rest, "").status == http.StatusNotFound })
	}
	if got := s.get(t, apiKey, "/v1/responses/"+run.ResponseID); got.status != http.StatusOK {
		t.Errorf("its response went with it: HTTP %d with %s", got.status, got.body)
	}
}

// encryptPayloads has a starter encrypt what Temporal gets.
func encryptPayloads(t *testing.T, o *Options) {
	t.Helper()
	codec := payload.NewCodec(o.Sealer, true)
	o.Payloads = payload.NewDataConverter(codec)
	o.Temporal = must(client.NewLazyClient(client.Options{
		HostPort: temporaldevtest.Address(t), Logger: tlog.NewStructuredLogger(o.Logger),
		DataConverter: o.Payloads, FailureConverter: payload.NewFailureConverter(codec),
	}))
	t.Cleanup(o.Temporal.Close)
}

// TestScheduleIsEncrypted: with encryption, Temporal can read neither the request of a schedule nor what is said of it, and each of its
// runs can, although Temporal gives them other IDs.
func TestScheduleIsEncrypted(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New(modeltest.Text("done")), func(o *Options) { encryptPayloads(t, o) })
	made := s.made(t, `{"name":"canary-71ae","interval":86400,"request":{"input":"canary-71ae"}}`)
	path := "/" + made.ID
	s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
	var run shownRun
	eventually(t, "the run has ended", func() bool {
		a := s.ask(t, apiKey, http.MethodGet, path, "")
		a.want(t, http.StatusOK, `"name":"canary-71ae"`, `"input":"canary-71ae"`)
		shown := decoded[shownSchedule](t, a)
		if len(shown.RecentRuns) == 1 {
			run = shown.RecentRuns[0]
		}
		return len(shown.RecentRuns) == 1 && len(shown.Running) == 0
	})
	if got := s.get(t, apiKey, "/v1/responses/"+run.ResponseID).response(t); got.Status != responses.ResponseCompleted {
		t.Errorf("the response is %+v", got)
	}
	s.ask(t, apiKey, http.MethodPatch, path, `{"name":"canary-82bf","request":{"input":"canary-82bf"}}`).
		want(t, http.StatusOK, `"name":"canary-82bf"`, `"input":"canary-82bf"`)
	raw := must(s.temporal.WorkflowService().DescribeSchedule(t.Context(), &workflowservice.DescribeScheduleRequest{
		Namespace: s.options.Namespace, ScheduleId: made.ID,
	}))
	history := s.temporal.GetWorkflowHistory(t.Context(), run.ResponseID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	text := raw.String()
	for history.HasNext() {
		text += must(history.Next()).String()
	}
	if strings.Contains(text, "canary") {
		t.Errorf("Temporal has it in the clear: %s", text)
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}

// A run that fails fails the run of the schedule, which pauses it if that was wanted.
func TestScheduleThatPausesOnFailure(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New(modeltest.Status(http.StatusUnauthorized, nil, `{"error":{"message":"bad key"}}`)))
	made := s.made(t, `{"cron":["0 3 * * 1-5"],"time_zone":"Europe/Berlin","pause_on_failure":true,"request":{"input":"hi"}}`)
	path := "/" + made.ID
	s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
	var run shownRun
	eventually(t, "the schedule is paused", func() bool {
		shown := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
		if shown.Paused {
			run = shown.RecentRuns[0]
		}
		return shown.Paused
	})
	if got := s.get(t, apiKey, "/v1/responses/"+run.ResponseID); got.response(t).Status != responses.ResponseFailed {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}

// What a schedule's policy cancels is cancelled to the last.
func TestScheduledRunIsCancelled(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := newScheduler(t, modeltest.New(modeltest.Text("never").Hold(hold)).Forget())
	defer close(hold)
	made := s.made(t, `{"interval":86400,"overlap":"cancel_other","request":{"input":"hi"}}`)
	path := "/" + made.ID
	s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
	var running string
	eventually(t, "the run runs", func() bool {
		shown := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
		if len(shown.Running) == 1 {
			running = shown.Running[0]
		}
		return running != "" && s.get(t, apiKey, "/v1/responses/"+running).status == http.StatusOK
	})
	d := must(s.temporal.ScheduleClient().GetHandle(t.Context(), made.ID).Describe(t.Context()))
	if err := s.temporal.CancelWorkflow(t.Context(), d.Info.RunningWorkflows[0].WorkflowID, ""); err != nil {
		t.Fatal(err)
	}
	if got := s.status(t, running, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING); got != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
		t.Errorf("the response is %s", got)
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}

func TestBadSchedule(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New())
	request := `"request":{"input":"hi"}`
	tool := func(member string) string {
		return `"request":{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"http://127.0.0.1:1/mcp",` + member + `}]}`
	}
	for name, tt := range map[string]struct{ body, param, says string }{
		"no time":           {`{` + request + `}`, "cron", "interval"},
		"no request":        {`{"interval":60}`, "request", "POST /v1/responses"},
		"seconds":           {`{"cron":["* * * * * *"],` + request + `}`, "cron[0]", "five members"},
		"every second":      {`{"cron":["@every 1s"],` + request + `}`, "cron[0]", "five members"},
		"another zone":      {`{"cron":["CRON_TZ=UTC 0 3 * * *"],` + request + `}`, "cron[0]", "five members"},
		"no such minute":    {`{"cron":["61 3 * * *"],` + request + `}`, "cron", "Minute"},
		"no such zone":      {`{"cron":["0 3 * * *"],"time_zone":"Europe/Atlantis",` + request + `}`, "time_zone", "zone"},
		"no zone":           {`{"cron":["0 3 * * *"],"time_zone":"a b",` + request + `}`, "time_zone", "IANA"},
		"too often":         {`{"interval":59,` + request + `}`, "interval", "60"},
		"offset":            {`{"interval":60,"offset":60,` + request + `}`, "offset", "less"},
		"past":              {`{"interval":60,"ends_at":1000,` + request + `}`, "ends_at", "later"},
		"overlap":           {`{"interval":60,"overlap":"twice",` + request + `}`, "overlap", "cancel_other"},
		"catchup":           {`{"interval":60,"catchup_window":1,` + request + `}`, "catchup_window", "10"},
		"name of two lines": {`{"interval":60,"name":"a\nb",` + request + `}`, "name", "one line"},
		"name with a tab":   {`{"interval":60,"name":"a\tb",` + request + `}`, "name", "one line"},
		"name turned round": {`{"interval":60,"name":"a\u202eb",` + request + `}`, "name", "one line"},
		"long note":         {`{"interval":60,"note":"` + strings.Repeat("n", maxNote+1) + `",` + request + `}`, "note", "512"},
		"unknown":           {`{"interval":60,"colour":"red",` + request + `}`, "colour", "unknown parameter"},
		"inside":            {`{"interval":60,"request":{"input":"hi","temperature":9}}`, "request.temperature", "between"},
		"inline token":      {`{"interval":60,` + tool(`"authorization":"canary"`) + `}`, "request.tools[0].authorization", "connector"},
		"inline header":     {`{"interval":60,` + tool(`"headers":{"X-Key":"canary"}`) + `}`, "request.tools[0].headers", "connector"},
		"no such connector": {`{"interval":60,"request":{"input":"hi","tools":[{"type":"mcp","server_label":"a","connector_id":"conn_1"}]}}`, "request.tools[0].connector_id", "connectors"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.ask(t, apiKey, http.MethodPost, "", tt.body)
			if shown := a.failed(t); a.status != http.StatusBadRequest || shown.Param != tt.param || !strings.Contains(shown.Message, tt.says) || strings.Contains(a.body, "canary") {
				t.Errorf("HTTP %d with %s", a.status, a.body)
			}
		})
	}
	t.Run("too long", func(t *testing.T) {
		t.Parallel()
		a := s.ask(t, apiKey, http.MethodPost, "", `{"interval":60,"request":{"input":"`+strings.Repeat("x", maxScheduleBody)+`"}}`)
		a.want(t, http.StatusRequestEntityTooLarge)
	})
	// What is longer as Temporal has it would become a large value that nobody owns.
	t.Run("too long for Temporal", func(t *testing.T) {
		t.Parallel()
		a := s.ask(t, apiKey, http.MethodPost, "", `{"interval":60,"request":{"input":"`+strings.Repeat("<", maxScheduleBody/4)+`"}}`)
		a.want(t, http.StatusRequestEntityTooLarge)
	})
}

// TestScheduleExamples: each example of openapi.yaml fits its schema, and the handlers take it and nothing else.
func TestScheduleExamples(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("as an example") }))
	count := 0
	for pattern, o := range apiDoc().operations() {
		method, path, _ := strings.Cut(pattern, " ")
		rest, ours := strings.CutPrefix(path, schedulesPath)
		content := o.RequestBody.Content["application/json"]
		for name, example := range content.Examples {
			if !ours {
				continue
			}
			count++
			body, to := string(example.Value), rest
			if strings.Contains(rest, "{id}") {
				to = strings.Replace(rest, "{id}", s.made(t, hourly).ID, 1)
			}
			if err := apiDoc().check(content.Schema, example.Value); err != nil {
				t.Errorf("%s %s does not fit the schema: %v", pattern, name, err)
			}
			a := s.ask(t, apiKey, method, to, body)
			a.want(t, http.StatusOK)
			s.ask(t, apiKey, method, to, strings.TrimSuffix(body, "}")+`,"unknown":1}`).want(t, http.StatusBadRequest, `"param":"unknown"`)
			s.ask(t, apiKey, http.MethodDelete, "/"+decoded[shownSchedule](t, a).ID, "").want(t, http.StatusOK)
			eventually(t, "there is room again", func() bool {
				return len(decoded[listOf[shownSchedule]](t, s.ask(t, apiKey, http.MethodGet, "", "")).Data) == 0
			})
		}
	}
	if count < 5 {
		t.Errorf("there are %d examples", count)
	}
}

// TestSchedulesAreBounded: an organization has so many, a repeated request makes none, and deleting one makes room.
func TestSchedulesAreBounded(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New())
	var ids []string
	for i := range s.options.Limits.Schedules {
		key := fmt.Sprint("key ", i)
		first := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodPost, "", hourly, "Idempotency-Key", key))
		again := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodPost, "", hourly, "Idempotency-Key", key))
		if first.ID != again.ID || first.CreatedAt != again.CreatedAt {
			t.Errorf("the same request made %s and %s", first.ID, again.ID)
		}
		ids = append(ids, first.ID)
		eventually(t, "the list has it", func() bool {
			return strings.Contains(s.ask(t, apiKey, http.MethodGet, "", "").body, first.ID)
		})
	}
	s.ask(t, apiKey, http.MethodPost, "", strings.Replace(hourly, "3600", "7200", 1), "Idempotency-Key", "key 0").want(t, http.StatusConflict, "another body")
	s.ask(t, bobsKey, http.MethodPost, "", hourly).want(t, http.StatusTooManyRequests, "delete one")
	for _, id := range ids {
		s.ask(t, annsKey, http.MethodDelete, "/"+id, "").want(t, http.StatusOK)
	}
	eventually(t, "there is room again", func() bool {
		a := s.ask(t, bobsKey, http.MethodPost, "", hourly)
		if a.status != http.StatusOK {
			return false
		}
		return s.ask(t, bobsKey, http.MethodDelete, "/"+decoded[shownSchedule](t, a).ID, "").status == http.StatusOK
	})
}

// The ID of a run's response is in clients' hands before the run says anything: it never changes.
func TestScheduledResponseID(t *testing.T) {
	t.Parallel()
	got := workflows.ScheduledResponseID("scheduled/sched_1-2026-11-26T18:00:00Z", "01a2")
	if want := "resp_a11cd38e-71cf-8dc0-b9e2-4785731625ef"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
