package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"perdure/contract"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// exampleProgram is the path of the program in examples/temporal, built once.
var exampleProgram = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(suite.dir, "example")
	if out, err := exec.Command("go", "build", "-o", binary, "../../examples/temporal").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the example: %w\n%s", err, out)
	}
	return binary, nil
})

// example starts the example program against the Temporal server of a stack.
func (s *stack) example(t *testing.T, args ...string) *process {
	t.Helper()
	binary, err := exampleProgram()
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess("example "+args[0], binary, []string{
		"TEMPORAL_ADDRESS=" + s.options.Temporal, "PERDURE_TEMPORAL_TASK_QUEUE=" + s.queue,
	}, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

func closeModel(t *testing.T, model *modeltest.Server) {
	t.Helper()
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
}

// read returns what a GET answers, whatever its status.
func (s *stack) read(t *testing.T, path string) string {
	t.Helper()
	return string(s.send(t, http.MethodGet, path, "").body)
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !holds(); <-time.After(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it does not hold that %s", startTimeout, what)
		}
	}
}

// uploadLines uploads a file of requests and returns its ID.
func (s *stack) uploadLines(t *testing.T, lines string) string {
	t.Helper()
	body, contentType := fileForm(t, "in.jsonl", lines)
	a := s.send(t, http.MethodPost, "/files", body, "Content-Type", contentType)
	var file struct{ ID string }
	if err := json.Unmarshal(a.body, &file); err != nil || file.ID == "" {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	return file.ID
}

// TestExample: the program of examples/ starts responses by name and as children, and nothing is asked twice when its worker dies.
func TestExample(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		question := r.Last().Content
		switch {
		case strings.Contains(question, "Make one sentence"):
			return modeltest.Text("in short: " + fmt.Sprint(strings.Count(question, "\n- "))) // one for each answer
		case strings.Contains(question, "surprising"):
			return modeltest.Text("it is " + question).Hold(hold)
		default:
			return modeltest.Text("forty-two")
		}
	})
	closeModel(t, model)
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})

	asked := s.example(t, "ask", "what is it?")
	if code, err := asked.wait(); err != nil || code != 0 {
		t.Fatalf("exit code %d, error %v\n%s", code, err, asked.output.since(0))
	}
	if out := string(asked.output.since(0)); !regexp.MustCompile(`^forty-two\n\(openai/gpt-5\.5, \d+ tokens, GET /v1/responses/resp_[0-9a-f-]{36}\)\n$`).MatchString(out) {
		t.Errorf("it prints %q", out)
	}

	worker := s.example(t, "worker")
	digest := s.example(t, "digest", "tides", "glaciers")
	for n := range 3 {
		if _, err := model.WaitRequest(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-worker.ended
	s.example(t, "worker")
	close(hold)
	if code, err := digest.wait(); err != nil || code != 0 {
		t.Fatalf("exit code %d, error %v\n%s", code, err, digest.output.since(0))
	}
	if out := string(digest.output.since(0)); out != "in short: 2\n" {
		t.Errorf("it prints %q", out)
	}
	if n := len(model.Requests()); n != 4 {
		t.Errorf("the model was asked %d times, want once for the question, for each topic and for the digest", n)
	}
}

// TestDocumentedPayload: the JSON of docs/temporal.md is all that a program in another language needs to know.
func TestDocumentedPayload(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/temporal.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("there are %d payloads in docs/temporal.md, want that of a response and that of a batch", len(blocks))
	}
	var response, batch map[string]any
	for i, into := range []*map[string]any{&response, &batch} {
		if err := json.Unmarshal(blocks[i][1], into); err != nil {
			t.Fatal(err)
		}
	}
	model := modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("hello from afar") })
	closeModel(t, model)
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})
	execute := func(workflow, id string, argument map[string]any) (map[string]any, error) {
		run, err := s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: s.queue}, workflow, argument)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		return out, run.Get(t.Context(), &out)
	}
	id := "resp_" + uuid.NewString()
	out, err := execute("Response", id, response)
	if err != nil || out["status"] != "completed" || !strings.Contains(fmt.Sprint(out["response"]), "hello from afar") {
		t.Errorf("result %v, error %v", out, err)
	}
	if got := s.read(t, "/responses/"+id); !strings.Contains(got, `"from":"temporal"`) || !strings.Contains(got, "hello from afar") {
		t.Errorf("GET answers %s", got)
	}
	// There is no such file, and the batch says so in the words of the API.
	_, err = execute("Batch", "batch_"+uuid.NewString(), batch)
	if refused, ok := contract.OutcomeOf(err); !ok || refused.Error == nil || refused.Error.Param != "input_file_id" {
		t.Errorf("outcome %+v, error %v", refused, err)
	}
	file := s.uploadLines(t, `{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"input":"hi"}}`+"\n")
	batch["request"].(map[string]any)["body"].(map[string]any)["input_file_id"] = file
	out, err = execute("Batch", "batch_"+uuid.NewString(), batch)
	if err != nil || out["status"] != "completed" || fmt.Sprint(out["progress"].(map[string]any)["completed"]) != "1" {
		t.Errorf("result %v, error %v", out, err)
	}
}

// TestCLISchedule: a schedule is made, started, paused and ended by the command line.
func TestCLISchedule(t *testing.T) {
	t.Parallel()
	model := cliModel(t, modeltest.New(modeltest.Text("all is well")))
	create := []string{
		"schedule", "create", "Is all well?", "--model", model, "--cron", "0 7 * * 1-5", "--time-zone", "Europe/Berlin", "--name", "morning",
		"--note", "for the team",
	}
	out, _ := startCLI(t, cliOptions{}, append(create, "--json")...).want(0)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || !strings.HasPrefix(made.ID, "sched_") {
		t.Fatalf("%v in %s", err, out)
	}
	shown, _ := startCLI(t, cliOptions{}, "schedule", "get", made.ID).want(0)
	for _, want := range []string{made.ID, "morning", "0 7 * * 1-5 Europe/Berlin", "for the team", "0 runs started", "next"} {
		if !strings.Contains(shown, want) {
			t.Errorf("it does not show %q:\n%s", want, shown)
		}
	}
	startCLI(t, cliOptions{}, "schedule", "trigger", made.ID).want(0)
	var response string
	s := sharedStack(t)
	until(t, "the schedule has a run", func() bool {
		match := regexp.MustCompile(`"response_id":"([^"]+)"`).FindStringSubmatch(s.read(t, "/schedules/"+made.ID))
		if match == nil {
			return false
		}
		response = match[1]
		return strings.Contains(s.read(t, "/responses/"+response), `"status":"completed"`)
	})
	if answer, _ := startCLI(t, cliOptions{}, "responses", "get", response).want(0); answer != "all is well\n" {
		t.Errorf("the run says %q", answer)
	}
	if out, _ := startCLI(t, cliOptions{}, "schedule", "pause", made.ID, "--note", "holidays").want(0); out != made.ID+" is paused.\n" {
		t.Errorf("it prints %q", out)
	}
	until(t, "the list has it", func() bool {
		list, _ := startCLI(t, cliOptions{}, "schedule", "list").want(0)
		return strings.Contains(list, made.ID) && strings.Contains(list, "paused")
	})
	startCLI(t, cliOptions{}, "schedule", "resume", made.ID).want(0)
	out, _ = startCLI(t, cliOptions{}, "schedule", "update", made.ID, "--name", "evening", "--cron", "0 19 * * *").want(0)
	for _, want := range []string{made.ID, "evening", "0 19 * * * Europe/Berlin", "holidays", "1 run started"} {
		if !strings.Contains(out, want) {
			t.Errorf("once changed, it does not show %q:\n%s", want, out)
		}
	}
	startCLI(t, cliOptions{}, "schedule", "delete", made.ID).want(0)
	if _, errs := startCLI(t, cliOptions{}, "schedule", "get", made.ID).want(1); !strings.Contains(errs, "not found") {
		t.Errorf("it says %q", errs)
	}
	for name, args := range map[string][]string{
		"no time":     {"schedule", "create", "x"},
		"two targets": {"schedule", "create", "x", "--every", "1h", "--batch-file", "file-1"},
		"part second": {"schedule", "create", "x", "--every", "90500ms"},
		"no date":     {"schedule", "create", "x", "--every", "1h", "--ends", "tomorrow"},
	} {
		if _, errs := startCLI(t, cliOptions{}, args...).want(2); errs == "" {
			t.Errorf("%s: it says nothing", name)
		}
	}
}
