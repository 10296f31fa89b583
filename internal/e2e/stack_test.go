package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"perdure/internal/linktest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const (
	apiKey = "pd_e2e_key_of_alice"
	// otherKey is the key of another organization.
	otherKey = "pd_e2e_key_of_mallory"
	// modelKey must show nowhere but at the provider.
	modelKey = "sk-e2e-canary-of-the-provider"

	organization = "acme"
	user         = "alice"
)

// stack is a starter and a worker: separate processes that share a data directory, on a task queue of their own.
type stack struct {
	options  stackOptions
	temporal client.Client
	queue    string
	dir      string
	url      string // of the starter

	starter   *process
	worker    *process // the one that was started last
	processes []*process
	ports     []*linktest.Port // of starters, which may be started there again
}

type stackOptions struct {
	Temporal string // address of the server
	Model    string // base URL of the model's provider
	Events   string // URL of the event log; empty for the one that all share
	OneModel bool   // the provider offers gpt-5.5 and nothing else
	Settings string // YAML with more settings
	Auth     string // the same, of auth
	// Header is the name of an environment variable whose value the provider wants as X-Canary.
	Header string
	Env    []string // more of the environment, before which the stack's own has to stand back
	Plain  bool     // the program is the one without the race detector
}

// configuration is a file that holds no secrets: those are in the environment.
var configuration = template.Must(template.New("").Parse(`
auth:
  api_keys:
    - name: {{.User}}
      key_env: E2E_API_KEY
      organization: {{.Organization}}
    - name: mallory
      key_env: E2E_OTHER_API_KEY
      organization: umbrella
{{.Auth}}models:
  default: openai/gpt-5.5
  providers:
    openai:
      base_url: {{.Model}}
      api_key_env: E2E_MODEL_KEY
{{- if .Header}}
      headers_env: {X-Canary: {{.Header}}}
{{- end}}
{{- if .OneModel}}
      models: [gpt-5.5]
{{- end}}
    backup:
      base_url: {{.Model}}
network:
  allow_origins: ["http://127.0.0.1:*", "https://127.0.0.1:*"]
log:
  format: json
{{.Settings}}`))

// newStack returns a stack that is ready. It must be closed.
func newStack(ctx context.Context, o stackOptions) (*stack, error) {
	s, err := prepareStack(o)
	if err == nil {
		err = s.startWorker()
	}
	if err == nil {
		err = s.startStarter(ctx)
	}
	if err != nil && s != nil {
		err = errors.Join(err, s.close())
	}
	return s, err
}

// prepareStack returns a stack whose namespace is ready and of which no process runs yet. It must be closed.
func prepareStack(o stackOptions) (_ *stack, err error) {
	s := &stack{options: o, queue: "e2e-" + uuid.NewString()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.configure(); err != nil {
		return nil, err
	}
	s.temporal, err = client.NewLazyClient(client.Options{HostPort: o.Temporal, Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return nil, err
	}
	migrate, err := s.start("migrate")
	if err != nil {
		return nil, err
	}
	if code, err := migrate.wait(); err != nil {
		return nil, err
	} else if code != 0 {
		return nil, fmt.Errorf("perdure migrate: exit code %d\n%s", code, migrate.output.since(0))
	}
	return s, nil
}

// ownStack returns a stack for a test that does it harm.
func ownStack(t *testing.T, o stackOptions) *stack {
	t.Helper()
	s, err := newStack(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		for _, p := range s.processes {
			if t.Failed() {
				t.Logf("%s wrote:\n%s", p.name, p.output.since(0))
			}
		}
	})
	return s
}

// sharedStack returns the stack that most tests use at the same time. Its models are those of [switchboard].
func sharedStack(t *testing.T) *stack {
	t.Helper()
	return suite.agent.get(t, "")
}

// sharedOpenAIStack is the same with OpenAI's dialect.
func sharedOpenAIStack(t *testing.T) *stack {
	t.Helper()
	return suite.openAI.get(t, "api:\n  dialect: openai\n")
}

// sharedOnce is a stack that is started by the first test that needs it.
type sharedOnce struct {
	once  sync.Once
	stack *stack
	err   error
}

func (s *sharedOnce) get(t *testing.T, settings string) *stack {
	t.Helper()
	s.once.Do(func() {
		s.stack, s.err = newStack(t.Context(), stackOptions{
			Temporal: temporaldevtest.Address(t), Model: suite.models.url(), Settings: settings,
			// Nobody is killed here, and a worker that stands still for a while must not ask a strict model twice.
			Env: []string{"PERDURE_LIMITS_MODEL_HEARTBEAT=1m"},
		})
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	s.stack.starter.showOnFailure(t)
	s.stack.worker.showOnFailure(t)
	return s.stack
}

func (s *stack) configure() error {
	s.dir = filepath.Join(suite.dir, s.queue)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	var file bytes.Buffer
	err := configuration.Execute(&file, struct {
		stackOptions
		Organization, User string
	}{s.options, organization, user})
	if err != nil {
		return err
	}
	return os.WriteFile(s.configFile(), file.Bytes(), 0o600)
}

func (s *stack) configFile() string { return filepath.Join(s.dir, "perdure.yaml") }
func (s *stack) dataDir() string    { return filepath.Join(s.dir, "data") }

// env is the environment of the stack's processes.
func (s *stack) env() []string {
	env := []string{
		"PERDURE_CONFIG=" + s.configFile(), "PERDURE_TEMPORAL_TASK_QUEUE=" + s.queue, "PERDURE_DATA_DIR=" + s.dataDir(),
		"TEMPORAL_ADDRESS=" + s.options.Temporal, "PERDURE_EVENTS_URL=" + cmp.Or(s.options.Events, suite.events.URL()),
		"E2E_API_KEY=" + apiKey, "E2E_OTHER_API_KEY=" + otherKey, "E2E_MODEL_KEY=" + modelKey,
	}
	return append(env, s.options.Env...) // of two values the last one counts
}

// start runs a command of perdure with the stack's configuration.
func (s *stack) start(args ...string) (*process, error) {
	program := perdure
	if s.options.Plain {
		program = perdurePlain
	}
	binary, err := program()
	if err != nil {
		return nil, err
	}
	return s.startBuild(binary, args...)
}

// startBuild is start for a program that [build] has made.
func (s *stack) startBuild(binary string, args ...string) (*process, error) {
	p, err := startBuild(binary, s.env(), args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

func (s *stack) startWorker() (err error) {
	s.worker, err = s.start("worker")
	return err
}

var listening = regexp.MustCompile(`"starter listening","address":"([^"]+)"`)

func (s *stack) startStarter(ctx context.Context) error {
	port, err := linktest.Hold()
	if err != nil {
		return err
	}
	s.ports = append(s.ports, port)
	return s.startStarterAt(ctx, port.Address())
}

func (s *stack) startStarterAt(ctx context.Context, address string) (err error) {
	if s.starter, err = s.start("starter", "--http", address); err != nil {
		return err
	}
	match, err := s.starter.await(ctx, listening)
	if err != nil {
		return err
	}
	s.url = "http://" + match[1]
	return awaitReady(ctx, s.url)
}

// awaitReady polls until a starter says that it is ready.
func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last answer
	for {
		a, err := request(ctx, http.MethodGet, url+"/readyz", "", "")
		if err == nil && a.status == http.StatusOK {
			return nil
		}
		if err == nil {
			last = a
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: status %d: %s", url, last.status, last.body)
		case <-time.After(pollEvery):
		}
	}
}

// pollEvery is how long to wait between two looks at what cannot be waited for.
const pollEvery = 20 * time.Millisecond

// close kills what still runs, and reports data races.
func (s *stack) close() error {
	var races []error
	for _, p := range s.processes {
		p.kill()
		if report := p.output.since(0); bytes.Contains(report, []byte("WARNING: DATA RACE")) {
			races = append(races, fmt.Errorf("%s has a data race:\n%s", p.name, report))
		}
	}
	for _, port := range s.ports {
		port.Release()
	}
	if s.temporal != nil {
		s.temporal.Close()
	}
	return errors.Join(races...)
}

// answer is what a starter says.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// respond posts a request for a response.
func (s *stack) respond(ctx context.Context, body string) (answer, error) {
	return request(ctx, http.MethodPost, s.url+"/v1/responses", apiKey, body)
}

func request(ctx context.Context, method, url, key, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	r.Header.Set("Content-Type", "application/json")
	return do(r)
}

func do(r *http.Request) (answer, error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body}, err
}

// respondLater posts a request and returns at once.
func (s *stack) respondLater(ctx context.Context, body string) <-chan result {
	later := make(chan result, 1)
	go func() {
		a, err := s.respond(ctx, body)
		later <- result{a, err}
	}()
	return later
}

type result struct {
	answer
	err error
}

// response is what tests read of a response object.
type response struct {
	ID     string
	Status string
	Model  string
	Error  *struct{ Code, Message string }
	Output []item
	Usage  struct {
		InputTokens  int `json:"input_tokens"`
		OutputTokens int `json:"output_tokens"`
	}
}

type item struct {
	ID          string
	Type        string
	ServerLabel string `json:"server_label"`
	Name        string
	Arguments   string
	Output      string
	Error       *string
	Tools       []struct{ Name string }
	Content     []struct{ Text string }
}

// decode reads a response that must be there.
func (a answer) decode(t *testing.T) response {
	t.Helper()
	var r response
	if a.status != http.StatusOK {
		t.Fatalf("got status %d, want 200: %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &r); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return r
}

// types lists the types of the output items.
func (r response) types() []string {
	var types []string
	for _, it := range r.Output {
		types = append(types, it.Type)
	}
	return types
}

// text is what the model said last.
func (r response) text() string {
	if len(r.Output) == 0 {
		return ""
	}
	var b strings.Builder
	for _, part := range r.Output[len(r.Output)-1].Content {
		b.WriteString(part.Text)
	}
	return b.String()
}
