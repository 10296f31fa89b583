package starter

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"perdure/contract"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// withDatabase gives a starter a database of its own, in which alice and bob are members of an organization, and files.
func withDatabase(t *testing.T, organization string) func(*Options) {
	t.Helper()
	return func(o *Options) {
		ctx := t.Context()
		database := must(store.Open(ctx, store.Options{File: filepath.Join(t.TempDir(), "perdure.db"), Sealer: o.Sealer, Logger: o.Logger}))
		t.Cleanup(func() { database.Close() })
		must(database.Migrate(ctx))
		must(database.Bootstrap(ctx, organization, "ann"))
		for _, member := range []string{"alice", "bob"} {
			must(database.AddMember(ctx, identity.Operator(organization), member, "", identity.Member))
		}
		o.SignIn.PublicURL = "http://127.0.0.1:1"
		o.Connections = newConnections(t, database, *o)
		o.Files = file.New(file.Options{
			Store: database, Blobs: o.Blobs, Sealer: o.Sealer, Logger: o.Logger, ExpireAfter: 24 * time.Hour,
			Limits: file.Limits{Bytes: 8 << 20, Lines: 10_000, Line: 1 << 20},
		})
		files := o.Files
		o.Line = func(ctx context.Context, organization, id string, number int) ([]byte, error) {
			lines, err := files.Lines(ctx, organization, id, number, 1)
			if err != nil || len(lines) == 0 {
				return nil, err
			}
			request, err := file.ParseRequest(lines[0].Text)
			return request.Body, err
		}
		o.Limits.Batch = BatchLimits{
			Concurrency: 4, Places: 8, UnderWay: 5,
			Run: workflows.BatchLimits{Segment: 100, Ahead: 1000, HistoryEvents: 5000, HistoryBytes: 8 << 20},
		}
	}
}

// upload makes alice's file of requests and returns its ID.
func (s *scheduler) upload(t *testing.T, lines string) string {
	t.Helper()
	body, contentType := form(t, purposeBatch, fileOf(lines))
	a := must(do(t.Context(), http.MethodPost, s.url+filesPath, strings.NewReader(body), "Authorization", "Bearer "+apiKey, "Content-Type", contentType))
	a.want(t, http.StatusOK)
	return decoded[struct{ ID string }](t, a).ID
}

func sayFine(modeltest.Request) modeltest.Reply { return modeltest.Text("fine") }

// TestBatchFromTemporal: a batch that a program has started over Temporal is one like all others, and one that the API would refuse is
// refused in the same words.
func TestBatchFromTemporal(t *testing.T) {
	t.Parallel()
	organization := "acme-" + uuid.NewString()
	s := newSchedulerOf(t, organization, modeltest.NewFunc(sayFine), withDatabase(t, organization))
	input := s.upload(t, batchLine("first")+batchLine("second"))
	begin := func(id string, request contract.BatchRequest) (contract.BatchResult, error) {
		run := must(s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: s.options.TaskQueue},
			contract.BatchName, contract.BatchInput{Request: request}))
		var out contract.BatchResult
		return out, run.Get(t.Context(), &out)
	}
	good := contract.BatchRequest{
		Organization: organization, User: "alice", MembersOnly: true,
		Body: contract.JSON(`{"input_file_id":"` + input + `","endpoint":"/v1/responses","completion_window":"24h","metadata":{"of":"the program"}}`),
	}
	id := contract.NewBatchID()
	run := must(s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: s.options.TaskQueue},
		contract.BatchName, contract.BatchInput{Request: good}))
	var out contract.BatchResult
	if err := run.Get(t.Context(), &out); err != nil || out.Status != "completed" || out.Progress.Completed != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	shown := s.get(t, apiKey, "/v1/batches/"+id)
	shown.want(t, http.StatusOK, `"status":"completed"`, `"of":"the program"`)
	outputs := decoded[struct {
		OutputFileID string `json:"output_file_id"`
	}](t, shown)
	s.get(t, apiKey, filesPath+"/"+outputs.OutputFileID+"/content").want(t, http.StatusOK, `"custom_id":"first"`, `"custom_id":"second"`, "fine")
	if got := s.get(t, otherKey, "/v1/batches/"+id); got.status != http.StatusNotFound {
		t.Errorf("another organization gets HTTP %d", got.status)
	}

	stranger, unknown, badFile := good, good, good
	stranger.User = "mallory"
	unknown.Organization = organization + "-2" // whose file it is not
	unknown.MembersOnly = false
	badFile.Body = contract.JSON(`{"input_file_id":"file-none","endpoint":"/v1/responses","completion_window":"24h"}`)
	for name, c := range map[string]struct {
		id      string
		request contract.BatchRequest
		param   string
		says    string
	}{
		"no member":           {contract.NewBatchID(), stranger, "", "not a member"},
		"another's file":      {contract.NewBatchID(), unknown, "input_file_id", "there is no file"},
		"no file":             {contract.NewBatchID(), badFile, "input_file_id", "there is no file"},
		"an ID of a response": {contract.NewResponseID(), good, "workflow_id", "batch_"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := begin(c.id, c.request)
			refused, ok := contract.OutcomeOf(err)
			if !ok || refused.Error == nil || refused.Error.Param != c.param || !strings.Contains(refused.Error.Message, c.says) {
				t.Errorf("error %v, outcome %+v", err, refused)
			}
		})
	}
}

// TestScheduleOfBatches: a schedule may start a batch of a file, again and again, for as long as its maker is a member.
func TestScheduleOfBatches(t *testing.T) {
	t.Parallel()
	organization := "acme-" + uuid.NewString()
	s := newSchedulerOf(t, organization, modeltest.NewFunc(sayFine), withDatabase(t, organization))
	input := s.upload(t, batchLine("only"))
	s.ask(t, apiKey, http.MethodPost, "", `{"interval":3600,"batch":{"input_file_id":"file-none","endpoint":"/v1/responses","completion_window":"24h"}}`).
		want(t, http.StatusBadRequest, `"param":"batch.input_file_id"`)
	made := s.made(t, `{"interval":86400,"batch":{"input_file_id":"`+input+`","endpoint":"/v1/responses","completion_window":"24h"}}`)
	path := "/" + made.ID
	ran := func(n int) shownSchedule {
		s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
		var shown shownSchedule
		eventually(t, "the run has ended", func() bool {
			shown = decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
			return len(shown.RecentRuns) == n && len(shown.Running) == 0
		})
		return shown
	}
	first := ran(1)
	if !strings.Contains(string(first.Batch), input) || first.RecentRuns[0].ResponseID != "" {
		t.Errorf("the schedule is %+v", first)
	}
	s.get(t, apiKey, "/v1/batches/"+first.RecentRuns[0].BatchID).want(t, http.StatusOK, `"status":"completed"`)

	// Whoever has left starts nothing any more.
	if err := s.store(t).RemoveMember(t.Context(), identity.Operator(organization), "alice"); err != nil {
		t.Fatal(err)
	}
	second := ran(2)
	s.get(t, bobsKey, "/v1/batches/"+second.RecentRuns[0].BatchID).want(t, http.StatusNotFound)
	if out, ok := contract.OutcomeOf(s.temporal.GetWorkflow(t.Context(), second.RecentRuns[0].BatchID, "").Get(t.Context(), nil)); !ok ||
		out.Error == nil || out.Error.Type != responses.ErrForbidden {
		t.Errorf("outcome %+v", out)
	}
	s.ask(t, annsKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}

// TestScheduleHoldsItsFile: the file of a schedule of batches neither expires nor is deleted before the schedule lets go of it.
func TestScheduleHoldsItsFile(t *testing.T) {
	t.Parallel()
	organization := "acme-" + uuid.NewString()
	s := newSchedulerOf(t, organization, modeltest.New(), withDatabase(t, organization))
	first, second, third := s.upload(t, batchLine("a")), s.upload(t, batchLine("b")), s.upload(t, batchLine("c"))
	batch := func(file string) string {
		return `"batch":{"input_file_id":"` + file + `","endpoint":"/v1/responses","completion_window":"24h"}`
	}
	remove := func(file string) answer { return as(t, apiKey, http.MethodDelete, s.url+filesPath+"/"+file, "") }
	made := s.made(t, `{"interval":86400,`+batch(first)+`}`)
	path := "/" + made.ID
	remove(first).want(t, http.StatusConflict, made.ID+": give that schedule another file")

	s.ask(t, apiKey, http.MethodPatch, path, `{`+batch("file-none")+`}`).want(t, http.StatusBadRequest, `"param":"batch.input_file_id"`)
	s.ask(t, apiKey, http.MethodPatch, path, `{"request":{"input":"hi"}}`).want(t, http.StatusBadRequest, `"param":"request"`)
	s.ask(t, apiKey, http.MethodPatch, path, `{`+batch(second)+`}`).want(t, http.StatusOK, second)
	eventually(t, "the former file is let go of", func() bool { return remove(first).status == http.StatusOK })
	remove(second).want(t, http.StatusConflict, made.ID)

	// A schedule that Temporal refuses holds nothing.
	s.ask(t, apiKey, http.MethodPost, "", `{"cron":["61 3 * * *"],`+batch(third)+`}`).want(t, http.StatusBadRequest, `"param":"cron"`)
	eventually(t, "the file of no schedule is let go of", func() bool { return remove(third).status == http.StatusOK })

	later := time.Now().Add(1000 * time.Hour)
	if gone, err := s.store(t).ExpireFiles(t.Context(), later, 50); err != nil || len(gone) != 0 {
		t.Errorf("%q have expired, %v", gone, err)
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
	if gone, err := s.store(t).ExpireFiles(t.Context(), later, 50); err != nil || len(gone) != 1 || gone[0] != second {
		t.Errorf("%q have expired, %v", gone, err)
	}
}

func (s *scheduler) store(t *testing.T) *store.Store {
	t.Helper()
	return s.options.Connections.Store
}
