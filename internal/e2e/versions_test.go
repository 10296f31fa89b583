package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// changedPerdure is the path of a program whose runs begin with a timer, which the runs of perdure do not have: neither can go on with
// a run of the other. It is perdure with one changed file; nothing in perdure itself knows of it.
var changedPerdure = sync.OnceValues(func() (string, error) {
	const before, after = "\terr := r.run(ctx)\n", "\terr := workflow.Sleep(ctx, 1)\n\tif err == nil {\n\t\terr = r.run(ctx)\n\t}\n"
	original, err := filepath.Abs("../../workflows/response.go")
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), before); n != 1 {
		return "", fmt.Errorf("%s has %d times what is to be changed, want once: %q", original, n, before)
	}
	changed, overlay := filepath.Join(suite.dir, "response.go"), filepath.Join(suite.dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), before, after, 1)), 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return "", err
	}
	return build("perdure-changed", "-race", "-overlay", overlay)
})

// versions is a stack whose workers are versions of a deployment. The first of them is of the program as it is.
type versions struct {
	*stack
	model   *modeltest.Server
	held    chan struct{} // closed when the model may answer what it holds
	changed string        // the path of the other program
	a, b    string        // the build IDs of the two programs
}

var (
	hasVersion    = regexp.MustCompile(`"msg":"worker has a version",[^\n]*"build_id":"([0-9a-f]{12})"`)
	firstVersion  = regexp.MustCompile(`"msg":"this version is the first of its deployment`)
	secondVersion = regexp.MustCompile(`"msg":"another version is current`)
)

func newVersions(t *testing.T) *versions {
	t.Helper()
	changed, err := changedPerdure()
	if err != nil {
		t.Fatal(err)
	}
	v := &versions{changed: changed, held: make(chan struct{})}
	v.model = holdingModel(t, v.held)
	v.stack = ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: v.model.URL(),
		Settings: fmt.Sprintf("worker:\n  build_id: auto\n  deployment: e2e-%s\n", uuid.NewString()),
	})
	v.a = v.awaitVersion(t, v.worker, firstVersion)
	return v
}

// holdingModel is a model that holds its answers to "hold". It is asked as often as need be.
func holdingModel(t *testing.T, held chan struct{}) *modeltest.Server {
	t.Helper()
	m := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Messages[0].Content == "hold" {
			return modeltest.Text("held").Hold(held)
		}
		return modeltest.Text("done")
	})
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// awaitVersion waits until a worker says how it stands, and returns its build ID.
func (v *versions) awaitVersion(t *testing.T, worker *process, standing *regexp.Regexp) string {
	t.Helper()
	if _, err := worker.await(t.Context(), standing); err != nil {
		t.Fatal(err)
	}
	match, err := worker.await(t.Context(), hasVersion)
	if err != nil {
		t.Fatal(err)
	}
	return match[1]
}

// startChanged starts a worker of the other program.
func (v *versions) startChanged(t *testing.T) *process {
	t.Helper()
	worker, err := v.startBuild(v.changed, "worker")
	if err != nil {
		t.Fatal(err)
	}
	v.b = v.awaitVersion(t, worker, secondVersion)
	return worker
}

// deployment runs "perdure deployment" and returns what it says.
func (v *versions) deployment(t *testing.T, args ...string) string {
	t.Helper()
	p, err := v.start(append([]string{"deployment"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	code, err := p.wait()
	if out := p.output.since(0); code != 0 || err != nil {
		t.Fatalf("perdure deployment %v: exit code %d, %v\n%s", args, code, err, out)
	}
	return string(p.output.since(0))
}

// drainedWithin is longer than a version takes to be drained: the development server looks every five seconds.
const drainedWithin = 40 * time.Second

// awaitRow waits for a row of "perdure deployment list".
func (v *versions) awaitRow(t *testing.T, build, state string, runs int) {
	t.Helper()
	row := regexp.MustCompile(fmt.Sprintf(`(?m)^%s +%s +%d( |$)`, build, state, runs))
	deadline := time.After(drainedWithin)
	for {
		table := v.deployment(t, "list")
		if row.MatchString(table) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("no row matches %s:\n%s", row, table)
		case <-time.After(10 * pollEvery):
		}
	}
}

// completesOn makes a run of a body and checks on which build, as Temporal knows it.
func (v *versions) completesOn(t *testing.T, build, body string) {
	t.Helper()
	a, err := v.respond(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	r := a.decode(t)
	if r.Status != "completed" {
		t.Errorf("the run is %s", r.Status)
	}
	v.checkBuild(t, r.ID, build, enumspb.VERSIONING_BEHAVIOR_PINNED)
}

// checkBuild checks by which build a workflow was carried out, and that the two differ: only one of them begins with a timer.
func (v *versions) checkBuild(t *testing.T, id, build string, behavior enumspb.VersioningBehavior) {
	t.Helper()
	described, err := v.temporal.DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	info := described.GetWorkflowExecutionInfo().GetVersioningInfo()
	if got := info.GetDeploymentVersion().GetBuildId(); got != build || info.GetBehavior() != behavior {
		t.Errorf("%s is %s on build %s, want %s on %s", id, info.GetBehavior(), got, behavior, build)
	}
	if behavior != enumspb.VERSIONING_BEHAVIOR_PINNED {
		return
	}
	history, err := v.history(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	timers := 0
	for _, e := range history.GetEvents() {
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_TIMER_STARTED:
			timers++
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:
			t.Errorf("%s: a workflow task has failed: %v", id, e.GetWorkflowTaskFailedEventAttributes().GetFailure().GetMessage())
		}
	}
	if want := build == v.b; timers > 0 != want {
		t.Errorf("the run %s has %d timers, want some only on build %s", id, timers, v.b)
	}
}

// TestTwoBuilds is a deploy with workflow code that cannot go on with the runs of the code before it: those end where they began, new ones
// begin on the new version, and the old version drains. Then the deploy is taken back.
func TestTwoBuilds(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	created := v.send(t, http.MethodPost, "/conversations", `{}`)
	conversation := created.decode(t).ID
	inConversation := fmt.Sprintf(`{"input": "x", "conversation": %q}`, conversation)
	v.completesOn(t, v.a, inConversation)
	v.checkBuild(t, conversation, v.a, enumspb.VERSIONING_BEHAVIOR_AUTO_UPGRADE)
	asked := len(v.model.Requests())
	later := v.respondLater(t.Context(), `{"input": "hold"}`)
	if _, err := v.model.WaitRequest(t.Context(), asked); err != nil {
		t.Fatal(err)
	}

	// Deploy: the new workers are there, and have nothing to do.
	changed := v.startChanged(t)
	if v.a == v.b {
		t.Fatalf("both programs have the build ID %s", v.a)
	}
	v.awaitRow(t, v.a, "current", 1)
	v.awaitRow(t, v.b, "inactive", 0)
	v.completesOn(t, v.a, `{"input": "x"}`)
	if out := v.deployment(t, "set-current", v.b); !strings.Contains(out, v.b+" is current") {
		t.Errorf("set-current says %s", out)
	}
	v.completesOn(t, v.b, `{"input": "x"}`)
	v.completesOn(t, v.b, inConversation)
	v.checkBuild(t, conversation, v.b, enumspb.VERSIONING_BEHAVIOR_AUTO_UPGRADE)
	v.awaitRow(t, v.a, "draining", 1)

	// The run under way survives the death of its worker where there is another of its version.
	v.worker.kill()
	if err := v.startWorker(); err != nil {
		t.Fatal(err)
	}
	v.awaitVersion(t, v.worker, secondVersion)
	close(v.held)
	got := completes(t, later, time.Now())
	if got.text() != "held" {
		t.Errorf("the run under way came to %q", got.text())
	}
	v.checkBuild(t, got.ID, v.a, enumspb.VERSIONING_BEHAVIOR_PINNED)
	checkReplay(t, v.stack, got.ID)

	// Nobody needs the old version any more.
	v.awaitRow(t, v.a, "drained", 0)
	if code, err := v.worker.stop(); code != 0 || err != nil {
		t.Errorf("the old worker: exit code %d, %v", code, err)
	}
	v.completesOn(t, v.b, `{"input": "x"}`)

	// Take it back.
	if err := v.startWorker(); err != nil {
		t.Fatal(err)
	}
	v.awaitVersion(t, v.worker, secondVersion)
	v.deployment(t, "set-current", v.a)
	v.completesOn(t, v.a, inConversation)
	v.awaitRow(t, v.b, "drained", 0)
	if code, err := changed.stop(); code != 0 || err != nil {
		t.Errorf("the new worker: exit code %d, %v", code, err)
	}
}

// TestVersionsAreTurnedOn: a run that began without a version goes on with the first one there is.
func TestVersionsAreTurnedOn(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	model := holdingModel(t, held)
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL(), Settings: shortGrace})
	later := s.respondLater(t.Context(), `{"input": "hold"}`)
	if _, err := model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	without := s.worker
	s.options.Env = []string{"PERDURE_WORKER_BUILD_ID=auto", "PERDURE_WORKER_DEPLOYMENT=e2e-" + uuid.NewString()}
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	v := &versions{stack: s}
	v.a = v.awaitVersion(t, s.worker, firstVersion)
	if code, err := without.stop(); code != 0 || err != nil {
		t.Errorf("the worker without a version: exit code %d, %v", code, err)
	}
	close(held)
	got := completes(t, later, time.Now())
	if got.text() != "held" {
		t.Errorf("the run came to %q", got.text())
	}
	v.checkBuild(t, got.ID, v.a, enumspb.VERSIONING_BEHAVIOR_PINNED)
	v.completesOn(t, v.a, `{"input": "x"}`)
}

// TestChangedCodeWithoutVersions is what versions are there for: the other program breaks the run under way, which then waits until the
// program that it began with is back.
func TestChangedCodeWithoutVersions(t *testing.T) {
	t.Parallel()
	changed, err := changedPerdure()
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	model := holdingModel(t, held)
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})
	later := s.respondLater(t.Context(), `{"input": "hold"}`)
	if _, err := model.WaitRequest(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	match, err := s.starter.await(t.Context(), runStarted)
	if err != nil {
		t.Fatal(err)
	}
	s.worker.kill()
	close(held)
	other, err := s.startBuild(changed, "worker")
	if err != nil {
		t.Fatal(err)
	}
	s.awaitBroken(t, match[1])
	other.kill()
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-later:
		if got := r.must(t).decode(t); got.Status != "completed" || got.text() != "held" {
			t.Errorf("the run is %s and says %q", got.Status, got.text())
		}
	case <-time.After(answerTimeout): // Temporal tries a workflow task that fails at growing intervals
		t.Fatal("the run does not go on with the program that it began with")
	}
}

// awaitBroken waits until a worker cannot go on with a run.
func (s *stack) awaitBroken(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		history, err := s.history(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range history.GetEvents() {
			if e.GetWorkflowTaskFailedEventAttributes().GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatal("the changed program goes on with the run")
		case <-time.After(pollEvery):
		}
	}
}
