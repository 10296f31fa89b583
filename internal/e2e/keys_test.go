package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// keys runs "perdure keys" and returns what it prints.
func (s *stack) keys(t *testing.T, args ...string) string {
	t.Helper()
	p, err := s.start(append([]string{"keys"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	code, err := p.wait()
	if out := string(p.output.since(0)); code == 0 && err == nil {
		return out
	}
	t.Fatalf("perdure keys %v: exit code %d, %v\n%s", args, code, err, p.output.since(0))
	return ""
}

var keyRow = regexp.MustCompile(`(?m)^(\d+) +(enabled|disabled) +(primary|prepared|decrypts|none)`)

// listKeys lists the IDs of the keys, the oldest first, and what each does.
func (s *stack) listKeys(t *testing.T) (ids, uses []string) {
	t.Helper()
	for _, row := range keyRow.FindAllStringSubmatch(s.keys(t, "list"), -1) {
		ids, uses = append(ids, row[1]), append(uses, row[3])
	}
	return ids, uses
}

// TestKeysRotated: keys are changed while runs are under way, by processes that do not start again. What the old key encrypted can be
// read until that key is disabled, and again once it is enabled.
func TestKeysRotated(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	k := newKillStack(t, encrypted, func(r modeltest.Request) modeltest.Reply {
		if r.Last().Content == "hold" {
			return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"}).Hold(release)
		}
		return modeltest.Text("done")
	})
	k.mcp.On("tools/list", mcptest.Result(writeTool))
	k.mcp.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"written"}]}`))
	before := k.create(t, []byte(`{"input": "before", "metadata": {"when": "before"}}`))
	tool := fmt.Sprintf(`"tools": [{"type": "mcp", "server_label": "s", "server_url": "%s"}]`, k.mcp.URL())
	later := k.respondLater(t.Context(), `{"input": "hold", `+tool+`}`)
	if _, err := k.model.WaitRequest(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if out := k.keys(t, "rotate"); !strings.Contains(out, "is the primary one and encrypts from now on") {
		t.Errorf("perdure keys rotate says %s", out)
	}
	ids, uses := k.listKeys(t)
	if fmt.Sprint(uses) != "[decrypts primary]" {
		t.Fatalf("after the rotation, the keys are for %v", uses)
	}
	// A worker that is new knows the new key alone as the one to encrypt with; the old one meets it in what the new one writes.
	old := k.worker
	if err := k.startWorker(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if r := k.create(t, []byte(`{"input": "meanwhile"}`)); r.Status != "completed" {
			t.Fatalf("with workers of both kinds, a run is %s", r.Status)
		}
	}
	close(release)
	got := completes(t, later, time.Now())
	if call := got.call(t); call.Error != nil || call.Output != "written" {
		t.Errorf("got %+v, want the output", call)
	}
	old.kill()
	if r := k.create(t, []byte(fmt.Sprintf(`{"input": "after", "previous_response_id": "%s"}`, before.ID))); r.Status != "completed" {
		t.Errorf("a response that goes on with one from before is %s", r.Status)
	}

	k.keys(t, "disable", ids[0])
	gone := k.awaitAnswer(t, before.ID, http.StatusInternalServerError)
	if bytes.Contains(gone.body, []byte(ids[0])) {
		t.Errorf("the answer names the key: %s", gone.body)
	}
	if _, err := k.starter.await(t.Context(), regexp.MustCompile("its key "+ids[0])); err != nil {
		t.Errorf("the log does not name the key: %v", err)
	}
	if a := k.send(t, http.MethodGet, "/responses", ""); a.status != http.StatusOK || !bytes.Contains(a.body, []byte(before.ID)) {
		t.Errorf("the list has status %d: %s", a.status, a.body)
	}
	if r := k.create(t, []byte(`{"input": "new"}`)); r.Status != "completed" {
		t.Errorf("without the old key, a new run is %s", r.Status)
	}
	k.keys(t, "enable", ids[0])
	k.awaitAnswer(t, before.ID, http.StatusOK)
	for _, args := range [][]string{{"disable", ids[1]}, {"drop", ids[1], "--yes"}, {"drop", ids[0], "--yes"}} {
		p, err := k.start(append([]string{"keys"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if code, err := p.wait(); code != 1 || err != nil {
			t.Errorf("perdure keys %v: exit code %d, %v\n%s", args, code, err, p.output.since(0))
		}
	}
	if _, uses := k.listKeys(t); fmt.Sprint(uses) != "[decrypts primary]" {
		t.Errorf("at the end, the keys are for %v", uses)
	}
}

// awaitAnswer gets a response until its status is the one that is wanted: processes look at their keyset now and then.
func (s *stack) awaitAnswer(t *testing.T, id string, status int) answer {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		a := s.send(t, http.MethodGet, "/responses/"+id, "")
		if a.status == status {
			return a
		}
		select {
		case <-deadline:
			t.Fatalf("the response has status %d after %v, want %d: %s", a.status, startTimeout, status, a.body)
		case <-time.After(pollEvery):
		}
	}
}

// TestKeysetsThatDiffer: where processes get their keyset from a variable, they get a new one at different times. In two phases that
// does no harm. Done in one, runs wait for a worker that has the key, and none fails.
func TestKeysetsThatDiffer(t *testing.T) {
	t.Parallel()
	one, err := os.ReadFile(newKeysetFile(t))
	if err != nil {
		t.Fatal(err)
	}
	model := modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("done") })
	body := string(ask(t, model, `"input": "x"`))
	s := ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: suite.models.url(),
		Settings: encrypted + "secrets:\n  keyset_env: E2E_KEYSET\n", Env: []string{"E2E_KEYSET=" + string(one)},
	})
	use := func(keyset []byte) { s.options.Env = []string{"E2E_KEYSET=" + string(keyset)} }
	phase := func(flag string) []byte {
		file := filepath.Join(s.dir, flag+".json")
		if out := s.keys(t, "rotate", flag, "--out", file); !strings.Contains(out, file) || !strings.Contains(out, "E2E_KEYSET") {
			t.Errorf("perdure keys rotate %s says %s", flag, out)
		}
		keyset, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		use(keyset)
		return keyset
	}
	two := phase("--prepare")
	three := phase("--promote")
	restartStarter := func() {
		s.starter.kill()
		if err := s.startStarter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restartWorker := func() {
		s.worker.kill()
		if err := s.startWorker(); err != nil {
			t.Fatal(err)
		}
	}

	restartStarter() // it encrypts with a key that the worker does not have
	id := s.create(t, []byte(strings.Replace(body, `"input"`, `"background": true, "input"`, 1))).ID
	s.awaitTaskFailure(t, id)
	if r := s.get(t, id); r.Status != "queued" {
		t.Errorf("without a worker that has the key, the run is %s", r.Status)
	}
	restartWorker()
	if r := s.awaitStatus(t, id, "completed"); r.text() != "done" {
		t.Errorf("with one, it says %q", r.text())
	}

	for name, keysets := range map[string][2][]byte{"one and two": {one, two}, "two and three": {two, three}} {
		for _, swapped := range []bool{false, true} {
			if swapped {
				keysets[0], keysets[1] = keysets[1], keysets[0]
			}
			use(keysets[0])
			restartStarter()
			use(keysets[1])
			restartWorker()
			a := s.send(t, http.MethodPost, "/responses", body)
			if r := a.decode(t); r.Status != "completed" {
				t.Errorf("%s, swapped: %v: the run is %s", name, swapped, r.Status)
			}
		}
	}
}

// newKeysetFile returns a file with a keyset, as a process makes it.
func newKeysetFile(t *testing.T) string {
	t.Helper()
	s := &stack{dir: t.TempDir()}
	if err := os.Mkdir(s.dataDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	s.payloads(t)
	return filepath.Join(s.dataDir(), "keyset.json")
}

// awaitTaskFailure waits until a worker could not go on with a run.
func (s *stack) awaitTaskFailure(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		h, err := s.history(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range h.GetEvents() {
			if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("no workflow task has failed after %v", startTimeout)
		case <-time.After(pollEvery):
		}
	}
}

// TestEncryptionSwitched: a run that began before the switch goes on after it, and what was written before can be read, whichever way it
// is moved, and while starter and worker differ.
func TestEncryptionSwitched(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: suite.models.url()})
	gate := make(chan chan struct{}, 1)
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Last().Content == "hold" {
			hold := make(chan struct{})
			gate <- hold
			return modeltest.Text("held").Hold(hold)
		}
		return modeltest.Text("done")
	})
	var ids []string
	previous := ""
	ask(t, model, `"input": "x"`)
	for i, on := range []bool{true, false, true} {
		later := s.sendLater(t, s.url, apiKey, string(askAgain(t, `"input": "hold", "background": true%s`, previous)))
		id := (<-later).must(t).decode(t).ID
		hold := <-gate // the model is asked
		if s.options.Settings = ""; on {
			s.options.Settings = encrypted
		}
		if err := s.configure(); err != nil {
			t.Fatal(err)
		}
		// First one of them, then the other.
		restart := []func() error{s.restartWorker, func() error { return s.restartStarter(t) }}
		for j := range restart {
			if err := restart[(i+j)%2](); err != nil {
				t.Fatal(err)
			}
			if r := s.create(t, askAgain(t, `"input": "between"%s`, previous)); r.text() != "done" {
				t.Errorf("between, a run is %s and says %q", r.Status, r.text())
			}
		}
		// The worker that held the turn is gone; another one asks again.
		close(hold)
		select {
		case again := <-gate:
			close(again)
		case <-time.After(startTimeout):
			t.Fatal("nobody goes on with the run")
		}
		if r := s.awaitStatus(t, id, "completed"); r.text() != "held" {
			t.Errorf("switched %v, the run is %s and says %q", on, r.Status, r.text())
		}
		previous = fmt.Sprintf(`, "previous_response_id": "%s"`, id)
		ids = append(ids, id)
	}
	for _, id := range ids {
		if r := s.get(t, id); r.text() != "held" {
			t.Errorf("at the end, %s says %q", id, r.text())
		}
		checkReplay(t, s, id)
	}
	text := fmt.Sprint(told(model.Requests()[len(model.Requests())-1]))
	if n := strings.Count(text, "held"); n != len(ids)-1 {
		t.Errorf("the last run knows of %d before it, want %d: %s", n, len(ids)-1, text)
	}
}

func (s *stack) restartWorker() error {
	s.worker.kill()
	return s.startWorker()
}

func (s *stack) restartStarter(t *testing.T) error {
	s.starter.kill()
	return s.startStarter(t.Context())
}

// TestEncryptedWriteAndKill: the record that a write is about to be sent is encrypted, too, and the next attempt reads it.
func TestEncryptedWriteAndKill(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, encrypted, callThenText)
	k.mcp.On("tools/list", mcptest.Result(writeTool))
	k.mcp.On("tools/call", mcptest.Silent())
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	k.awaitRecord(t)
	got := completes(t, later, k.killWorker(t))
	if n := k.mcp.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
	if call := got.call(t); call.Error == nil || !strings.Contains(*call.Error, "the outcome of this call is unknown") {
		t.Errorf("got %+v, want an error that says that the outcome is unknown", call)
	}
	checkReplay(t, k.stack, got.ID)
}

// awaitRecord waits until the only run has a record with its call, which must be encrypted.
func (k *killStack) awaitRecord(t *testing.T) {
	t.Helper()
	k.awaitCount(t.Context(), t, 1, "")
	deadline := time.After(startTimeout)
	for {
		listed := k.list(t, "")
		described, err := k.temporal.DescribeWorkflowExecution(t.Context(), listed.Data[0].ID, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, pending := range described.GetPendingActivities() {
			if details := pending.GetHeartbeatDetails().GetPayloads(); len(details) > 0 {
				if encoding := string(details[0].GetMetadata()["encoding"]); encoding != "binary/encrypted" {
					t.Errorf("the record is %s: %s", encoding, details[0].GetData())
				}
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("there is no record after %v", startTimeout)
		case <-time.After(pollEvery):
		}
	}
}
