package worker_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/egress"
	"perdure/internal/events/eventstest"
	"perdure/internal/linktest"
	"perdure/internal/logtest"
	"perdure/internal/mcpclient"
	"perdure/internal/model"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/internal/transcript"
	"perdure/worker"
	"perdure/workflows"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

type fixture struct {
	options worker.Options
	steps   *activities.Activities
	dir     string // of the blobs
	blobs   *blob.Stores
	sealer  *secret.Sealer
	log     *logtest.Buffer
}

// setup returns what a worker needs whose model is at baseURL.
func setup(t *testing.T, baseURL string) *fixture {
	t.Helper()
	f := &fixture{log: &logtest.Buffer{}, dir: t.TempDir(), sealer: must(secret.ParseKeyset(must(secret.GenerateKeyset())))}
	f.blobs = must(blob.Open(blob.Options{Dir: f.dir, CacheBytes: 1 << 20}))
	logger := slog.New(slog.NewTextHandler(f.log, nil))
	mcp := must(mcpclient.New(mcpclient.Options{Network: egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}}}))
	t.Cleanup(func() {
		if err := mcp.Close(); err != nil {
			t.Error(err)
		}
	})
	models := model.New(model.Options{Catalog: must(model.NewCatalog([]model.Provider{{Name: "p", BaseURL: baseURL}}, ""))})
	t.Cleanup(models.Close)
	f.steps = must(activities.New(activities.Options{
		Blobs: f.blobs, MCP: mcp, Models: models, Sealer: f.sealer, Logger: logger,
		Webhooks: noWebhooks(), Events: eventstest.New(t), Payloads: converter.GetDefaultDataConverter(),
		HeartbeatEvery: 100 * time.Millisecond, ModelTimeout: time.Minute, MaxToolOutput: 1000,
	}))
	f.options = worker.Options{
		TaskQueue: "worker-" + uuid.NewString(), MaxActivities: 10, MaxWorkflowTasks: 10, StopGrace: 10 * time.Second, Logger: logger,
	}
	return f
}

// dial returns a client that does not need its server yet.
func dial(t *testing.T, address, namespace string) client.Client {
	t.Helper()
	c := must(client.NewLazyClient(client.Options{
		HostPort: address, Namespace: namespace, Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}))
	t.Cleanup(c.Close)
	return c
}

// run starts a worker and returns how to stop it and what Run returns.
func (f *fixture) run(t *testing.T, c client.Client) (stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	out := make(chan error, 1)
	done := make(chan struct{})
	options := f.options // a test may change them for the next worker
	go func() {
		defer close(done)
		out <- worker.Run(ctx, c, f.steps, options)
	}()
	t.Cleanup(func() { stop(); <-done })
	return stop, out
}

// start starts a run without MCP servers.
func (f *fixture) start(t *testing.T, c client.Client, change ...func(*workflows.ResponseInput)) client.WorkflowRun {
	t.Helper()
	return f.startFor(t, c, time.Minute, change...)
}

// startFor is start for a run that has so much time.
func (f *fixture) startFor(t *testing.T, c client.Client, limit time.Duration, change ...func(*workflows.ResponseInput)) client.WorkflowRun {
	t.Helper()
	id := responses.ResponsePrefix + uuid.NewString()
	question := &responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("hi")}}
	in := workflows.ResponseInput{
		ResponseID: id, Models: []string{"p/m"}, MaxSteps: 10,
		Settings: must(f.blobs.For(id).Pack(t.Context(), activities.Settings{}, transcript.InlineBytes)),
		Limits: workflows.Limits{
			Tools: 10, ParallelCalls: 10, ParallelCallsPerServer: 10, DiscoveryTimeout: time.Minute, DiscoveryAttempts: 1,
			ModelTimeout: time.Minute, ModelAttempts: 3, CallTimeout: time.Minute, CallAttempts: 1, Heartbeat: 30 * time.Second,
		},
	}
	in.Input.Append(must(transcript.Pack(t.Context(), f.blobs.For(id), question))...)
	for _, ch := range change {
		ch(&in)
	}
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: f.options.TaskQueue, WorkflowExecutionTimeout: limit,
	}, workflows.ResponseName, in)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestRunCarriesOutRuns(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	stop, ended := f.run(t, c)
	var out workflows.Outcome
	if err := f.start(t, c).Get(t.Context(), &out); err != nil || out.Status != responses.ResponseCompleted {
		t.Errorf("outcome %+v, error %v", out, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if log := f.log.String(); !strings.Contains(log, "worker started") || !strings.Contains(log, "worker stopped") {
		t.Errorf("the log says %s", log)
	}
}

// A step that can end within the grace period does.
func TestStopWaitsForStepsUnderWay(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := closed(t, modeltest.New(modeltest.Text("answer").Hold(release)))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	stop, ended := f.run(t, c)
	run := f.start(t, c)
	if _, err := m.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop()
	select {
	case err := <-ended:
		t.Fatalf("the worker did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Another worker finishes the run; the model is not asked again, which would be one reply too many.
	f.run(t, c)
	var out workflows.Outcome
	if err := run.Get(t.Context(), &out); err != nil || out.Status != responses.ResponseCompleted {
		t.Errorf("outcome %+v, error %v", out, err)
	}
}

// A step that cannot is handed to another worker at once, long before its heartbeat timeout.
func TestStopHandsBackWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("never").Hold(nil), modeltest.Text("answer")))
	f := setup(t, m.URL())
	f.options.StopGrace = 50 * time.Millisecond
	c := dial(t, temporaldevtest.Address(t), "")
	stop, ended := f.run(t, c)
	run := f.start(t, c)
	if _, err := m.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience) // which is less than the heartbeat timeout
	defer cancel()
	f.run(t, c)
	var out workflows.Outcome
	if err := run.Get(ctx, &out); err != nil || out.Status != responses.ResponseCompleted {
		t.Errorf("outcome %+v, error %v", out, err)
	}
}

// Workers that are restarted one after another may hand back a step more often than it has attempts.
func TestStopsFailNoRun(t *testing.T) {
	t.Parallel()
	const stops = 3
	m := closed(t, modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.N < stops {
			return modeltest.Text("never").Hold(nil)
		}
		return modeltest.Text("answer")
	}))
	f := setup(t, m.URL())
	f.options.StopGrace = 50 * time.Millisecond
	c := dial(t, temporaldevtest.Address(t), "")
	run := f.start(t, c, func(in *workflows.ResponseInput) { in.Limits.ModelAttempts = 2 })
	for n := range stops {
		stop, ended := f.run(t, c)
		if _, err := m.WaitRequest(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f.run(t, c)
	var out workflows.Outcome
	if err := run.Get(ctx, &out); err != nil || out.Status != responses.ResponseCompleted {
		t.Errorf("outcome %+v, error %v", out, err)
	}
}

// The heartbeat timeout of the run is 30 s; a cancellation must not wait for it.
func TestCancellationReachesAModel(t *testing.T) {
	t.Parallel()
	asked, left := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that its client has left
		close(asked)
		<-r.Context().Done()
		close(left)
	}))
	t.Cleanup(slow.Close)
	f := setup(t, slow.URL+"/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	run := f.start(t, c)
	<-asked
	began := time.Now()
	if err := c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	<-left
	if took := time.Since(began); took > patience {
		t.Errorf("the model was let go after %v", took)
	}
	var cancelled *temporal.CanceledError
	if err := run.Get(t.Context(), nil); !errors.As(err, &cancelled) {
		t.Errorf("error %v, want a cancellation", err)
	}
}

func TestRunWaitsForItsServer(t *testing.T) {
	t.Parallel()
	// An address that accepts connections only once the worker has tried it.
	link := must(linktest.New(temporaldevtest.Address(t)))
	t.Cleanup(link.Close)
	link.Cut()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	c := dial(t, link.Address(), "")
	_, ended := f.run(t, c)
	awaitLog(t, f.log, "Temporal, or the storage of large values, cannot be reached, waiting")
	if err := link.Restore(); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, f.log, "worker started")
	var out workflows.Outcome
	if err := f.start(t, c).Get(t.Context(), &out); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Errorf("the worker ended with %v", err)
	default:
	}
}

func TestStopWhileWaitingForTheServer(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	stop, ended := f.run(t, dial(t, "127.0.0.1:1", ""))
	awaitLog(t, f.log, "Temporal, or the storage of large values, cannot be reached, waiting")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFatalErrorsEndRun(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	_, ended := f.run(t, dial(t, temporaldevtest.Address(t), "no-such-namespace"))
	var missing *serviceerror.NamespaceNotFound
	if err := <-ended; !errors.As(err, &missing) {
		t.Errorf("error %v, want a namespace that is not found", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// closed makes a double's complaints failures of the test.
func closed[D io.Closer](t *testing.T, double D) D {
	t.Helper()
	t.Cleanup(func() {
		if err := double.Close(); err != nil {
			t.Error(err)
		}
	})
	return double
}

// awaitLog waits until the log holds text.
func awaitLog(t *testing.T, log *logtest.Buffer, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := log.Await(ctx, text); err != nil {
		t.Fatal(err)
	}
}
