package starter

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/egress"
	"perdure/internal/events/eventstest"
	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/workflows"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

const (
	apiKey   = "pd_key_of_alice"
	otherKey = "pd_key_of_another_organization"
)

var alice = identity.Principal{Organization: "acme", User: "alice", Key: "laptop", Scopes: identity.AllScopes}

// newOptions returns options with everything but a Temporal client, and the log that goes with them.
func newOptions(t *testing.T) (Options, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	return Options{
		Namespace: client.DefaultNamespace,
		TaskQueue: "starter-" + uuid.NewString(),
		Events:    eventstest.New(t),
		Webhooks:  func(string) []string { return nil },
		EventAge:  time.Hour,
		Blobs:     must(blob.Open(blob.Options{Dir: t.TempDir(), CacheBytes: 1 << 20})),
		Sealer:    must(secret.ParseKeyset(must(secret.GenerateKeyset()))),
		Payloads:  converter.GetDefaultDataConverter(),
		Catalog: must(model.NewCatalog([]model.Provider{
			{Name: "p", BaseURL: "http://127.0.0.1:1/v1", Models: []string{"m", "n"}}, {Name: "q", BaseURL: "http://127.0.0.1:1/v1"},
		}, "p/m")),
		Keys: must(identity.NewKeyring(map[identity.KeyHash]identity.Principal{
			identity.HashKey(apiKey): alice, identity.HashKey(otherKey): {Organization: "other", User: "eve", Key: "eve", Scopes: identity.AllScopes},
		})),
		Network: egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}},
		Retry:   func(string) activities.RetryPolicy { return activities.RetryPolicy{} },
		Limits: Limits{
			Schedules: 3, Body: 32 << 20, MCPServers: 2, MaxSteps: 10, MaxStepsCap: 100, RunTimeout: time.Minute,
			ReadHeaderTimeout: 5 * time.Second, Grace: 20 * time.Second,
			Run: workflows.Limits{
				Tools: 10, ParallelCalls: 16, ParallelCallsPerServer: 8, DiscoveryTimeout: 15 * time.Second, DiscoveryAttempts: 3,
				ModelTimeout: time.Minute, ModelAttempts: 2, CallTimeout: time.Minute, CallAttempts: 4, Heartbeat: 10 * time.Second,
			},
		},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, log
}

// lazy returns a client of a Temporal server at an address where there need not be one.
func lazy(t *testing.T, address string, logger *slog.Logger) client.Client {
	t.Helper()
	c := must(client.NewLazyClient(client.Options{HostPort: address, Logger: tlog.NewStructuredLogger(logger)}))
	t.Cleanup(c.Close)
	return c
}

// deadAddress is one at which nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().String()
}

// handlers serves routes of a starter that Run does not manage.
func handlers(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// rig is a starter at work.
type rig struct {
	url      string
	options  Options
	log      *logtest.Buffer
	temporal client.Client
	// stop tells the starter to stop, and ended has what Run returned.
	stop  context.CancelFunc
	ended chan error
}

// serve runs a starter on the test server. If run is not nil, it is the workflow that is started for each request.
func serve(t *testing.T, run func(workflow.Context, workflows.ResponseInput) (workflows.Outcome, error), change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{ended: make(chan error, 1)}
	r.options, r.log = newOptions(t)
	address := temporaldevtest.Address(t)
	r.temporal = lazy(t, address, r.options.Logger)
	r.options.Temporal = r.temporal
	for _, c := range change {
		c(&r.options)
	}
	requireSearchAttributes(t, r.temporal)
	if run != nil {
		w := sdkworker.New(r.temporal, r.options.TaskQueue, sdkworker.Options{})
		w.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: workflows.ResponseName})
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
	}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	r.url = "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- Run(ctx, l, r.options)
	}()
	t.Cleanup(func() { stop(); <-done })
	return r
}

// requireSearchAttributes adds what the server's namespace lacks, which the servers of temporaldevtest do not, and waits until it can
// be used.
func requireSearchAttributes(t *testing.T, c client.Client) {
	t.Helper()
	attributes := map[string]enumspb.IndexedValueType{}
	var query []string
	for _, k := range []temporal.SearchAttributeKey{
		workflows.Organization, workflows.User, workflows.Model, workflows.Servers, workflows.Status,
		workflows.Stored, workflows.Key, workflows.Created, workflows.BatchID,
	} {
		attributes[k.GetName()] = k.GetValueType()
		query = append(query, k.GetName()+" IS NOT NULL")
	}
	for added := false; ; added = true {
		_, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: client.DefaultNamespace, Query: strings.Join(query, " AND "),
		})
		var unknown *serviceerror.InvalidArgument
		if err == nil {
			return
		}
		if !errors.As(err, &unknown) {
			t.Fatal(err)
		}
		if !added {
			_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
				Namespace: client.DefaultNamespace, SearchAttributes: attributes,
			})
			var exists *serviceerror.AlreadyExists
			if err != nil && !errors.As(err, &exists) {
				t.Fatal(err)
			}
		}
		<-time.After(100 * time.Millisecond)
	}
}

// answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   string
}

// failed decodes the error of an answer.
func (a answer) failed(t *testing.T) responses.Error {
	t.Helper()
	var out struct{ Error responses.Error }
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || out.Error.Status != a.status {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	return out.Error
}

// response is what tests look at of a response object.
type response struct {
	ID                string
	Status            string
	Model             string
	Error             *responses.RunError
	IncompleteDetails *responses.IncompleteDetails `json:"incomplete_details"`
	Output            []json.RawMessage
	CompletedAt       *int64 `json:"completed_at"`
}

func (a answer) response(t *testing.T) response {
	t.Helper()
	var out response
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	return out
}

func post(ctx context.Context, url, body string, header ...string) (answer, error) {
	return do(ctx, http.MethodPost, url, strings.NewReader(body), append([]string{"Authorization", "Bearer " + apiKey}, header...)...)
}

func do(ctx context.Context, method, url string, body io.Reader, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data)}, err
}

func (r *rig) create(t *testing.T, body string) answer {
	t.Helper()
	return as(t, apiKey, http.MethodPost, r.url+"/v1/responses", body)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
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
