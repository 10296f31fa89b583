package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/batch"
	"perdure/internal/blob"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/modeltest"
	"perdure/internal/secret"
	"perdure/workflows"
)

// collector has a batch whose lines have run, and its steps. The workflow that would ask for them is the test.
type collector struct {
	*scheduler
	batch batch.Batch
	env   *testsuite.TestActivityEnvironment
}

// untilWritten has a step write the files, as often as it takes, as the workflow would: the waits between take no time.
func untilWritten(t *testing.T, step func(context.Context, workflows.BatchCollectInput) (workflows.BatchCollectResult, error),
	in workflows.BatchCollectInput,
) (out workflows.BatchCollectResult, err error) {
	t.Helper()
	env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: workflows.BatchCollectName})
	env.ExecuteWorkflow(func(ctx workflow.Context) (out workflows.BatchCollectResult, err error) {
		ctx = workflow.WithStartToCloseTimeout(ctx, time.Minute)
		ctx = workflow.WithRetryPolicy(ctx, temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: lossAttempts + 1})
		return out, workflow.ExecuteActivity(ctx, workflows.BatchCollectName, in).Get(ctx, &out)
	})
	if err = env.GetWorkflowError(); err == nil {
		err = env.GetWorkflowResult(&out)
	}
	return out, err
}

// lines asks for what some lines came to.
func (c *collector) lines(from, until int) workflows.BatchCollectInput {
	return workflows.BatchCollectInput{
		Organization: c.batch.Organization, BatchID: c.batch.ID, File: c.batch.InputFile, From: from, Until: until, Begun: until + 1,
	}
}

// newCollector runs so many lines as those of one batch. Their responses repeat the instructions.
func newCollector(t *testing.T, count int, instructions string, change ...func(*Options)) *collector {
	t.Helper()
	organization := "acme-" + uuid.NewString()
	c := &collector{scheduler: newSchedulerOf(t, organization, modeltest.NewFunc(sayFine), append(change, withDatabase(t, organization))...)}
	var lines strings.Builder
	for n := range count {
		fmt.Fprintf(&lines, `{"custom_id":"r%d","method":"POST","url":"/v1/responses","body":{"input":"hi","instructions":%q}}`+"\n", n+1, instructions)
	}
	c.batch = batch.Batch{
		ID: batch.NewID("", "", ""), Organization: organization, User: "alice", Key: "laptop", Endpoint: batch.Endpoint,
		InputFile: c.upload(t, lines.String()), OutputFile: file.NewID(), ErrorFile: file.NewID(), Window: time.Hour, OutputAge: time.Hour,
		Concurrency: 4, Status: batch.Validating,
	}
	c.batch.Times.Created = time.Now()
	if err := c.store(t).AddBatch(t.Context(), identity.Operator(organization), c.batch, 100); err != nil {
		t.Fatal(err)
	}
	k := NewIntake(t.Context(), c.options)
	c.env = (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	c.env.RegisterActivityWithOptions(k.BatchBegin, activity.RegisterOptions{Name: workflows.BatchBeginName})
	c.env.RegisterActivityWithOptions(k.BatchCollect, activity.RegisterOptions{Name: workflows.BatchCollectName})
	must(c.env.ExecuteActivity(workflows.BatchBeginName, workflows.BatchBeginInput{Organization: organization, BatchID: c.batch.ID, Places: 8}))
	var runs []client.WorkflowRun
	for n := range count {
		runs = append(runs, c.begin(t, batch.ResponseID(c.batch.ID, n+1), contract.Request{
			Organization: organization, User: "alice", Batch: c.batch.ID, Line: &contract.Line{File: c.batch.InputFile, Number: n + 1},
		}))
	}
	for _, run := range runs {
		if err := run.Get(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *collector) collect(from, until int) (batch.Progress, error) {
	result, err := c.env.ExecuteActivity(workflows.BatchCollectName, c.lines(from, until))
	var out workflows.BatchCollectResult
	if err == nil {
		err = result.Get(&out)
	}
	return out.Progress, err
}

// in returns what a file of the batch has.
func (c *collector) in(t *testing.T, id string) (results []batch.Result) {
	t.Helper()
	for _, l := range must(c.options.Files.Lines(t.Context(), c.batch.Organization, id, 1, 1000)) {
		var r batch.Result
		if err := json.Unmarshal(l.Text, &r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}

func customIDs(results []batch.Result) (ids []string) {
	for _, r := range results {
		ids = append(ids, r.CustomID)
	}
	return ids
}

// TestBatchFilesHaveEachLineOnce: however the workflow divides the lines, and whatever it asks for twice, as after a reset, each is in the
// files once and in its place.
func TestBatchFilesHaveEachLineOnce(t *testing.T) {
	t.Parallel()
	c := newCollector(t, 6, "be brief")
	for _, ask := range []struct{ from, until, done int }{
		{1, 4, 4}, // then the workflow is reset to before that
		{1, 2, 4}, {3, 5, 5}, {3, 5, 5}, {6, 6, 6}, {1, 6, 6},
	} {
		p, err := c.collect(ask.from, ask.until)
		if err != nil || p.Done() != ask.done || p.Completed != ask.done || p.Total != 6 || p.Usage.TotalTokens != ask.done*18 {
			t.Errorf("lines %d to %d: %+v, %v", ask.from, ask.until, p, err)
		}
	}
	if got := customIDs(c.in(t, c.batch.OutputFile)); !slices.Equal(got, []string{"r1", "r2", "r3", "r4", "r5", "r6"}) {
		t.Errorf("the output has %q", got)
	}
	if got := c.in(t, c.batch.ErrorFile); len(got) != 0 {
		t.Errorf("the error file has %+v", got)
	}
	// What was ended from outside takes nothing more, and nobody tries for ever.
	must(c.store(t).FailBatch(t.Context(), c.batch.Organization, c.batch.ID, nil))
	_, err := c.collect(7, 7)
	if app := (*temporal.ApplicationError)(nil); !errors.As(err, &app) || !app.NonRetryable() || app.Type() != workflows.ErrTypeBatchFiles {
		t.Errorf("after its end: %v", err)
	}
}

// TestBatchOfLongResponses: long responses are written in parts that can be read one by one, and one whose value is lost costs its own line
// only.
func TestBatchOfLongResponses(t *testing.T) {
	t.Parallel()
	const count, length, lost = 14, 400 << 10, 3
	c := newCollector(t, count, strings.Repeat("x", length), withDir(t.TempDir()))
	if err := c.options.Blobs.Remove(t.Context(), batch.ResponseID(c.batch.ID, lost)); err != nil {
		t.Fatal(err)
	}
	if p, err := c.collect(1, count); err == nil {
		t.Fatalf("one look is enough for a loss: %+v", p)
	}
	result, err := untilWritten(t, NewIntake(t.Context(), c.options).BatchCollect, c.lines(1, count))
	p := result.Progress
	if err != nil || p.Completed != count-1 || p.Failed != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	f := must(c.options.Files.Get(t.Context(), c.batch.Organization, c.batch.OutputFile))
	if f.Lines != p.Completed || f.Parts < 2 || f.Bytes < int64(p.Completed*length) {
		t.Errorf("the output is %+v", f)
	}
	failed := c.in(t, c.batch.ErrorFile)
	if len(failed) != 1 || failed[0].CustomID != fmt.Sprint("r", lost) || failed[0].Response.StatusCode != http.StatusBadGateway ||
		!strings.Contains(string(failed[0].Response.Body), "can no longer be read") {
		t.Errorf("the error file has %+v", failed)
	}
}

// TestNothingToRetry: requests whose responses are too large for a file have run. A retry of a batch with no other failures says so, and
// not that its user has given an empty file.
func TestNothingToRetry(t *testing.T) {
	t.Parallel()
	c := newCollector(t, 1, "")
	of := must(c.store(t).Batch(t.Context(), c.batch.Organization, c.batch.ID))
	large := must(json.Marshal(batch.TooLarge(of.ID, 1, "r1", batch.ResponseID(of.ID, 1), 60<<20)))
	s := segment{failed: [][]byte{large}, progress: of.Progress}
	s.progress.Failed = 1
	if err := NewIntake(t.Context(), c.options).appendSegment(t.Context(), &of, &s); err != nil {
		t.Fatal(err)
	}
	must(c.store(t).MoveBatch(t.Context(), of.Organization, of.ID, batch.Completed))
	retry := c.batch
	retry.ID, retry.RetryOf, retry.InputFile, retry.OutputFile, retry.ErrorFile = batch.NewID("", "", ""), of.ID, file.NewID(), file.NewID(), file.NewID()
	if err := c.store(t).AddBatch(t.Context(), identity.Operator(of.Organization), retry, 100); err != nil {
		t.Fatal(err)
	}
	must(c.env.ExecuteActivity(workflows.BatchBeginName, workflows.BatchBeginInput{Organization: of.Organization, BatchID: retry.ID, Places: 8}))
	got := must(c.store(t).Batch(t.Context(), of.Organization, retry.ID))
	if got.Status != batch.Failed || len(got.Errors) != 1 || got.Errors[0].Param != "retry_of" || !strings.Contains(got.Errors[0].Message, of.ID) {
		t.Errorf("it is %s: %+v", got.Status, got.Errors)
	}
}

// TestBatchWhoseOutcomesAreLost: where even that a run has ended is sealed with a key that is gone, its line is lost, and the batch goes on.
func TestBatchWhoseOutcomesAreLost(t *testing.T) {
	t.Parallel()
	c := newCollector(t, 2, "", func(o *Options) { encryptPayloads(t, o) })
	o := c.options
	o.Sealer = must(secret.ParseKeyset(must(secret.GenerateKeyset())))
	encryptPayloads(t, &o)
	result, err := untilWritten(t, NewIntake(t.Context(), o).BatchCollect, c.lines(1, 2))
	if err != nil || result.Progress.Failed != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := c.in(t, c.batch.ErrorFile); len(got) != 2 || got[1].CustomID != "r2" || got[1].Response.StatusCode != http.StatusBadGateway {
		t.Errorf("the error file has %+v", got)
	}
}

// TestBatchWhoseInputIsLate: what a network file system does not show yet, and what another machine has sealed with a key that this one is
// yet to read, is not lost.
func TestBatchWhoseInputIsLate(t *testing.T) {
	t.Parallel()
	c := newCollector(t, 1, "")
	parts := must(c.store(t).FilePartsOfLines(t.Context(), c.batch.InputFile, 1, 2, 1))
	blobs, ref := c.options.Blobs.ForFile(c.batch.InputFile), blob.Ref(parts[0].Ref)
	data := must(blobs.Get(t.Context(), ref))
	if err := blobs.Remove(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	o, attempts := c.options, 0
	result, err := untilWritten(t, func(ctx context.Context, in workflows.BatchCollectInput) (workflows.BatchCollectResult, error) {
		o.Files = file.New(c.options.Files.Options) // another process, which has read nothing before
		if attempts++; attempts == 3 {
			o.Files.Sealer = must(secret.ParseKeyset(must(secret.GenerateKeyset())))
			if got := must(blobs.Put(t.Context(), data)); got != ref {
				t.Errorf("the part is %s, not %s", got, ref)
			}
		}
		return NewIntake(t.Context(), o).BatchCollect(ctx, in)
	}, c.lines(1, 1))
	if err != nil || attempts != 4 || result.Progress.Completed != 1 {
		t.Errorf("after %d attempts: %+v, %v", attempts, result, err)
	}
}

// TestBatchWhoseInputIsLost: a file that is damaged ends the batch, which is not tried for ever.
func TestBatchWhoseInputIsLost(t *testing.T) {
	t.Parallel()
	c := newCollector(t, 1, "")
	parts := must(c.store(t).FilePartsOfLines(t.Context(), c.batch.InputFile, 1, 2, 1))
	if err := c.options.Blobs.ForFile(c.batch.InputFile).Remove(t.Context(), blob.Ref(parts[0].Ref)); err != nil {
		t.Fatal(err)
	}
	// Another process, which has not read it before.
	o := c.options
	o.Files = file.New(c.options.Files.Options)
	_, err := untilWritten(t, NewIntake(t.Context(), o).BatchCollect, c.lines(1, 1))
	if app := (*temporal.ApplicationError)(nil); !errors.As(err, &app) || !app.NonRetryable() || app.Type() != workflows.ErrTypeBatchFiles ||
		app.Message() != "the content of its files can no longer be read" { // it is shown: nothing of where and how it is kept
		t.Errorf("it ends with %v", err)
	}
}

// TestBatchOfOneWhoLeft: the lines of a batch whose maker is removed from the organization are refused from then on.
func TestBatchOfOneWhoLeft(t *testing.T) {
	t.Parallel()
	organization := "acme-" + uuid.NewString()
	asked, release := make(chan struct{}, 1), make(chan struct{})
	s := newSchedulerOf(t, organization, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply {
		asked <- struct{}{}
		return modeltest.Text("fine").Hold(release)
	}), withDatabase(t, organization))
	input := s.upload(t, batchLines(3))
	body := `{"input_file_id":"` + input + `","endpoint":"/v1/responses","completion_window":"24h","concurrency":1}`
	a := as(t, apiKey, http.MethodPost, s.url+"/v1/batches", body)
	a.want(t, http.StatusOK)
	id := decoded[shownBatch](t, a).ID
	<-asked
	if !must(s.store(t).Batch(t.Context(), organization, id)).MembersOnly {
		t.Error("it is not stored as one of a member")
	}
	if err := s.store(t).RemoveMember(t.Context(), identity.Operator(organization), "alice"); err != nil {
		t.Fatal(err)
	}
	close(release)
	var b shownBatch
	eventually(t, "the batch has ended", func() bool {
		b = decoded[shownBatch](t, s.get(t, bobsKey, "/v1/batches/"+id))
		return b.Status.Ended()
	})
	if b.Status != batch.Completed || b.RequestCounts.Completed != 1 || b.RequestCounts.Failed != 2 {
		t.Errorf("it ends as %+v", b)
	}
	failed := s.get(t, bobsKey, filesPath+"/"+*b.ErrorFileID+"/content")
	failed.want(t, http.StatusOK, `"status_code":403`, "not a member")
}

// TestBatchThatBeginsAfterItsMakerLeft: so are those of a batch that its starter has stored and could not begin before the maker was removed.
func TestBatchThatBeginsAfterItsMakerLeft(t *testing.T) {
	t.Parallel()
	organization := "acme-" + uuid.NewString()
	s := newSchedulerOf(t, organization, modeltest.New(), withDatabase(t, organization))
	b := batch.Batch{
		ID: batch.NewID("", "", ""), User: "alice", Key: "laptop", Endpoint: batch.Endpoint, InputFile: s.upload(t, batchLines(3)),
		OutputFile: file.NewID(), ErrorFile: file.NewID(), Window: 24 * time.Hour, OutputAge: time.Hour, Concurrency: 4, Status: batch.Validating,
		MembersOnly: true,
	}
	b.Times.Created = time.Now().Add(-healAfter)
	by := identity.Operator(organization)
	if err := errors.Join(s.store(t).AddBatch(t.Context(), by, b, 100), s.store(t).RemoveMember(t.Context(), by, "alice")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the batch has ended", func() bool {
		return decoded[shownBatch](t, s.get(t, bobsKey, "/v1/batches/"+b.ID)).Status.Ended()
	})
	if b := must(s.store(t).Batch(t.Context(), organization, b.ID)); b.Status != batch.Completed || b.Completed != 0 || b.Failed != 3 {
		t.Errorf("it ends as %+v", b)
	}
}
