package activities_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/events/eventstest"
	"perdure/internal/logtest"
	"perdure/internal/mcpclient"
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/transcript"
	"perdure/internal/webhook"
)

const (
	responseID = "resp_1"
	provider   = "p"
)

// fixture is a set of activities with all that they need.
type fixture struct {
	t       *testing.T
	steps   *activities.Activities
	options activities.Options
	blobs   *blob.Store // of the response
	sealer  *secret.Sealer
	log     *logtest.Buffer
}

// setup returns activities whose only model provider is at baseURL. Tests change what they need in the options.
func setup(t *testing.T, baseURL string, change ...func(*activities.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &logtest.Buffer{}}
	logger := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.sealer = must(secret.ParseKeyset(must(secret.GenerateKeyset())))
	catalog := must(model.NewCatalog([]model.Provider{{Name: provider, BaseURL: baseURL, APIKey: secret.New(modelKey)}}, ""))
	models := model.New(model.Options{Catalog: catalog, Logger: logger})
	t.Cleanup(models.Close)
	f.options = activities.Options{
		Blobs: must(blob.Open(blob.Options{Dir: t.TempDir(), CacheBytes: 1 << 20})), MCP: newMCP(t, mcpclient.Options{Logger: logger}), Models: models, Sealer: f.sealer, Logger: logger,
		Payloads: converter.GetDefaultDataConverter(),
		Events:   eventstest.New(t), Webhooks: must(webhook.New(webhook.Options{Logger: logger})),
		// The SDK's test environment has no server that a beat could go to.
		HeartbeatEvery: time.Hour, ModelTimeout: time.Minute, MaxToolOutput: 1000,
	}
	for _, c := range change {
		c(&f.options)
	}
	if f.options.Blobs != nil {
		f.blobs = f.options.Blobs.For(responseID)
	}
	f.steps = must(activities.New(f.options))
	return f
}

// newMCP returns a client that may reach this machine.
func newMCP(t *testing.T, o mcpclient.Options) *mcpclient.Client {
	t.Helper()
	o.Network.AllowOrigins = []string{"http://127.0.0.1:*"}
	return closed(t, must(mcpclient.New(o)))
}

// modelKey is the provider's key, and a canary.
const modelKey = "canary-model-key-7c1d9"

// nowhere is a provider for tests that ask no model.
const nowhere = "http://127.0.0.1:1/v1"

func (f *fixture) env() *testsuite.TestActivityEnvironment {
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(tlog.NewStructuredLogger(f.options.Logger))
	env := suite.NewTestActivityEnvironment()
	f.steps.Register(env)
	return env
}

// envUnder is env with a context above the activities', which stands for a worker that stops.
func (f *fixture) envUnder(ctx context.Context) *testsuite.TestActivityEnvironment {
	return f.env().SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
}

func execute[Result any](env *testsuite.TestActivityEnvironment, name string, in any) (Result, error) {
	var out Result
	value, err := env.ExecuteActivity(name, in)
	if err != nil {
		return out, err
	}
	return out, value.Get(&out)
}

// server seals an MCP server as a starter would.
func (f *fixture) server(label, url string) activities.Server {
	return f.seal(&responses.MCPTool{ServerLabel: label, ServerURL: url})
}

func (f *fixture) seal(t *responses.MCPTool) activities.Server {
	f.t.Helper()
	s, err := activities.SealServer(f.t.Context(), f.blobs, f.sealer, responseID, t)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) pack(items ...responses.Item) []blob.Value {
	f.t.Helper()
	values, err := transcript.Pack(f.t.Context(), f.blobs, items...)
	if err != nil {
		f.t.Fatal(err)
	}
	return values
}

func (f *fixture) value(v any) blob.Value {
	f.t.Helper()
	packed, err := f.blobs.Pack(f.t.Context(), v, transcript.InlineBytes)
	if err != nil {
		f.t.Fatal(err)
	}
	return packed
}

func unpack[T any](f *fixture, v blob.Value) T {
	f.t.Helper()
	data, err := f.blobs.Bytes(f.t.Context(), v)
	if err != nil {
		f.t.Fatal(err)
	}
	item, err := responses.UnmarshalItem(data)
	if err != nil {
		f.t.Fatal(err)
	}
	out, ok := item.(T)
	if !ok {
		f.t.Fatalf("the item is a %T", item)
	}
	return out
}

// failure is what history and its policies see of an activity's error.
type failure struct {
	Type    string
	Final   bool
	Delay   time.Duration
	Message string
}

func failureOf(t *testing.T, err error) failure {
	t.Helper()
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		t.Fatalf("error %v, want an application error", err)
	}
	return failure{app.Type(), app.NonRetryable(), app.NextRetryDelay(), app.Message()}
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
