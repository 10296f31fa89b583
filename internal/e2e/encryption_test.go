package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"perdure/internal/events/eventstest"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const (
	operatorToken = "the-token-of-an-operator-of-e2e"
	webUIOrigin   = "http://127.0.0.1:8233"
	// encrypted are the settings of a stack that encrypts.
	encrypted = "encryption:\n  payloads: true\n  codec:\n    token: " + operatorToken + "\n    origins: [\"" + webUIOrigin + "\"]\n"
)

// marks are what nobody may read, by where it comes from.
var marks = map[string]string{
	"instructions": "mark-1-instructions", "prompt": "mark-2-prompt", "answer": "mark-3-answer", "arguments": "mark-4-arguments",
	"tool output": "mark-5-output", "metadata": "mark-6-metadata", "failure": "mark-7-failure", "tool": "mark_8_tool",
	"conversation": "mark-9-conversation", "approval": "mark-10-approval", "cancelled": "mark-11-cancelled",
}

// cipherStack is a stack that encrypts, with an event log of its own.
type cipherStack struct {
	*stack
	natsDir    string
	tool       string
	model      *modeltest.Server
	deliveries chan delivery
}

func newCipherStack(t *testing.T) *cipherStack {
	t.Helper()
	s := &cipherStack{natsDir: t.TempDir(), deliveries: make(chan delivery, 16)}
	nats, err := eventstest.Start(s.natsDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nats.Stop)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.deliveries <- delivery{r.Header, body, time.Now()}
	}))
	t.Cleanup(hook.Close)
	s.stack = ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: suite.models.url(), Events: nats.URL(),
		Settings: encrypted + fmt.Sprintf("api:\n  dialect: openai\nwebhooks:\n  - name: hook\n    url: %s/\n    secret: whsec_%s\n",
			hook.URL, base64.StdEncoding.EncodeToString(hookKey)),
	})
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On("tools/list", mcptest.Result(`{"tools":[{"name":"`+marks["tool"]+`","inputSchema":{"type":"object"}}]}`))
	server.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"`+marks["tool output"]+strings.Repeat(" long", 2000)+`"}]}`))
	s.tool = `{"type":"mcp","server_label":"s","server_url":"` + server.URL() + `","require_approval":"never"}`
	never := make(chan struct{})
	s.model = modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		call := modeltest.Calls(modeltest.Call{Name: "s__" + marks["tool"], Arguments: `{"x":"` + marks["arguments"] + `"}`})
		switch said := r.Last().Content; {
		case strings.HasPrefix(said, "call"):
			return call
		case strings.HasPrefix(said, "fail"):
			return modeltest.Status(401, nil, `{"error":{"message":"`+marks["failure"]+`"}}`)
		case strings.HasPrefix(said, "hold"):
			return modeltest.Text(strings.Repeat(marks["cancelled"]+" ", 20)).HoldAfter(2, never)
		default:
			return modeltest.Text(marks["answer"])
		}
	})
	return s
}

// hookKey signs what the webhook gets.
var hookKey = []byte("another key of 32 random bytes..")

// TestEncrypted: with encryption, everything that the API does works, and neither Temporal nor the event log nor a file can be read.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	s := newCipherStack(t)
	mine := ownRuns(t)
	metadata := `"metadata": {"m": "` + marks["metadata"] + `"}`
	body := ask(t, s.model, `"input": "call %s", "instructions": "%s", %s, "tools": [%s], "stream": true`,
		marks["prompt"], marks["instructions"], metadata, s.tool)
	stream := postStream(t, s.url, body).whole(t)
	id := responseOf(t, stream).ID
	ids := []string{id}
	got := s.get(t, id)
	if got.Status != "completed" || got.text() != marks["answer"] || !strings.Contains(got.Output[1].Output, marks["tool output"]) {
		t.Errorf("got %+v", got)
	}
	if again := replay(t, s.url, id); fmt.Sprint(again) != fmt.Sprint(stream) {
		t.Error("the stream, read again, is another")
	}
	items := s.send(t, http.MethodGet, "/responses/"+id+"/input_items", "")
	if !bytes.Contains(items.body, []byte(marks["prompt"])) {
		t.Errorf("the input is %s", items.body)
	}

	continued := s.create(t, askAgain(t, `"input": "and now?", "previous_response_id": "%s", %s`, id, metadata))
	ids = append(ids, continued.ID)
	if all := fmt.Sprint(told(s.model.Requests()[len(s.model.Requests())-1])); !strings.Contains(all, marks["prompt"]) || !strings.Contains(all, marks["tool output"]) {
		t.Errorf("a response that goes on tells the model %s", all)
	}
	ids = append(ids, s.converse(t), s.approve(t), s.beRefused(t), s.cancelOne(t))
	s.checkBackground(t, &ids)
	const others = 2 // the response that asked for approval, and the one whose server was not there
	s.awaitListed(t, mine, len(ids)-1+others)
	if all := s.send(t, http.MethodGet, "/responses?"+mine, ""); bytes.Count(all.body, []byte(marks["metadata"])) != 2 {
		t.Errorf("the list shows the metadata otherwise: %s", all.body)
	}
	s.checkUnreadable(t, ids)
	s.checkReadableForOperators(t, id)
	for _, id := range ids {
		if strings.HasPrefix(id, "resp_") {
			checkReplay(t, s.stack, id)
		}
	}
}

// converse has a run add to a conversation, and returns the run's ID.
func (s *cipherStack) converse(t *testing.T) string {
	t.Helper()
	a := s.send(t, http.MethodPost, "/conversations", `{"items":[{"type":"message","role":"user","content":"`+marks["conversation"]+`"}]}`)
	conversation := a.decode(t).ID
	r := s.create(t, askAgain(t, `"input": "go on", "conversation": "%s"`, conversation))
	if all := fmt.Sprint(told(s.model.Requests()[len(s.model.Requests())-1])); !strings.Contains(all, marks["conversation"]) {
		t.Errorf("the model was told %s", all)
	}
	list := s.send(t, http.MethodGet, "/conversations/"+conversation+"/items", "")
	for _, want := range []string{marks["conversation"], "go on", marks["answer"]} {
		if !bytes.Contains(list.body, []byte(want)) {
			t.Errorf("the conversation lacks %s: %s", want, list.body)
		}
	}
	return r.ID
}

// approve has a call made that needs approval, and returns the ID of the run that makes it.
func (s *cipherStack) approve(t *testing.T) string {
	t.Helper()
	tool := strings.Replace(s.tool, "never", "always", 1)
	asked := s.send(t, http.MethodPost, "/responses", string(askAgain(t, `"input": "call %s", "tools": [%s]`, marks["approval"], tool)))
	items := approvalItems(t, asked)
	if len(items) != 2 || items[1].Type != "mcp_approval_request" {
		t.Fatalf("got %s, want a request for approval", asked.body)
	}
	answered := s.send(t, http.MethodPost, "/responses", string(askAgain(t, `"previous_response_id": "%s", "tools": [%s],
		"input": [{"type": "mcp_approval_response", "approval_request_id": "%s", "approve": true}]`, asked.decode(t).ID, tool, items[1].ID)))
	if made := approvalItems(t, answered); len(made) != 2 || made[0].Output == nil || !strings.Contains(*made[0].Output, marks["tool output"]) {
		t.Errorf("got %s", answered.body)
	}
	return answered.decode(t).ID
}

// beRefused has the model's provider refuse a run, whose client reads why.
func (s *cipherStack) beRefused(t *testing.T) string {
	t.Helper()
	r := s.create(t, askAgain(t, `"input": "fail"`))
	if r.Status != "failed" || r.Error == nil || !strings.Contains(r.Error.Message, marks["failure"]) {
		t.Errorf("got status %s, error %+v", r.Status, r.Error)
	}
	if again := s.get(t, r.ID); again.Error == nil || again.Error.Message != r.Error.Message {
		t.Errorf("later, the error is %+v", again.Error)
	}
	refused(t, s.send(t, http.MethodPost, "/responses", string(askAgain(t, `"input": "x", "tools": [{"type":"mcp","server_label":"gone",
		"server_url":"http://127.0.0.1:%d/mcp"}]`, freePort(t)))), http.StatusFailedDependency, `MCP server \"gone\" could not be initialized`)
	return r.ID
}

func (s *cipherStack) cancelOne(t *testing.T) string {
	t.Helper()
	id := s.create(t, askAgain(t, `"input": "hold", "background": true`)).ID
	s.awaitStatus(t, id, "in_progress")
	if a := s.send(t, http.MethodPost, "/responses/"+id+"/cancel", ""); a.decode(t).Status != "cancelled" {
		t.Errorf("got %s", a.body)
	}
	if got := s.get(t, id); got.Status != "cancelled" {
		t.Errorf("later, it is %s", got.Status)
	}
	return id
}

// checkBackground awaits a background run, and the webhooks of all that there were.
func (s *cipherStack) checkBackground(t *testing.T, ids *[]string) {
	t.Helper()
	id := s.create(t, askAgain(t, `"input": "x", "background": true`)).ID
	s.awaitStatus(t, id, "completed")
	for told := map[string]bool{}; !told[id]; {
		select {
		case d := <-s.deliveries:
			_, response := d.check(t, hookKey)
			told[response] = true
		case <-time.After(webhookWithin):
			t.Fatalf("no webhook within %v", webhookWithin)
		}
	}
	*ids = append(*ids, id, "webhook/hook/"+id)
}

// checkUnreadable searches all that is stored.
func (s *cipherStack) checkUnreadable(t *testing.T, ids []string) {
	t.Helper()
	places := map[string][]byte{}
	add := func(place string, m proto.Message) {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		places[place] = append(places[place], data...)
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", Query: "TaskQueue = '" + s.queue + "'"}
	listed, err := s.temporal.ListWorkflow(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	add("visibility", listed)
	all := ids
	for _, e := range listed.GetExecutions() { // among them approvals and conversations
		all = append(all, e.GetExecution().GetWorkflowId())
	}
	if len(all) < 2*len(ids) {
		t.Errorf("%d workflows are listed, want those of %d and more", len(all)-len(ids), len(ids))
	}
	for _, id := range all {
		h, err := s.history(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		add("histories", h)
		described, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		add("descriptions", described)
	}
	places["logs"] = append(s.starter.output.since(0), s.worker.output.since(0)...)
	for place, dir := range map[string]string{"event log": s.natsDir, "data directory": s.dataDir()} {
		places[place] = filesOf(t, dir)
	}
	for place, data := range places {
		if len(data) < 100 {
			t.Errorf("%s: there are %d bytes, which is no search", place, len(data))
		}
		for name, mark := range marks {
			// The reason why a step failed is in the worker's log, as docs/encryption.md says.
			if leaks(data, mark) && (place != "logs" || name != "failure") {
				t.Errorf("%s: the %s can be read", place, name)
			}
		}
	}
}

// filesOf is all that the files below a directory hold.
func filesOf(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkReadableForOperators reads a history as the Web UI does: every payload goes to the codec endpoint.
func (s *cipherStack) checkReadableForOperators(t *testing.T, id string) {
	t.Helper()
	h, err := s.history(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text := s.decoded(t, h)
	for _, want := range []string{
		marks["prompt"], marks["answer"], "model_turn 1", "mcp_call s." + marks["tool"], marks["metadata"], `"response_id":"` + id + `"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the codec endpoint does not show %s", want)
		}
	}
	a, err := request(t.Context(), http.MethodPost, s.url+"/codec/decode", apiKey, `{"payloads":[]}`)
	if err != nil || a.status != http.StatusUnauthorized {
		t.Errorf("with an API key: %d, %v", a.status, err)
	}
}

// decoded is what the codec endpoint makes of the payloads of a history.
func (s *stack) decoded(t *testing.T, h *historypb.History) string {
	t.Helper()
	var text strings.Builder
	visit := func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
		body, err := protojson.Marshal(&commonpb.Payloads{Payloads: payloads})
		if err != nil {
			return nil, err
		}
		r, err := newRequest(t.Context(), http.MethodPost, s.url+"/codec/decode?preserveStorageRefs=true", operatorToken, string(body),
			"X-Namespace", "default", "Origin", webUIOrigin)
		if err != nil {
			return nil, err
		}
		a, err := do(r)
		if err != nil {
			return nil, err
		}
		var out commonpb.Payloads
		if err := protojson.Unmarshal(a.body, &out); err != nil || a.status != http.StatusOK ||
			a.header.Get("Access-Control-Allow-Origin") != webUIOrigin {
			return nil, fmt.Errorf("status %d, %w: %s", a.status, err, a.body)
		}
		for _, p := range out.GetPayloads() {
			text.Write(p.GetData())
		}
		return payloads, nil
	}
	clone, ok := proto.Clone(h).(*historypb.History)
	if !ok {
		t.Fatal("not a history")
	}
	err := proxy.VisitPayloads(t.Context(), clone, proxy.VisitPayloadsOptions{Visitor: visit, SkipSearchAttributes: true})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestDevEncrypted: "perdure dev" encrypts, and its own Web UI is the one that may have payloads decrypted.
func TestDevEncrypted(t *testing.T) {
	t.Parallel()
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "perdure.yaml")
	settings := "encryption:\n  payloads: true\n  codec:\n    token: " + operatorToken + "\n"
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDev(t, data, "--config", file)
	first := d.try(t, d.curl)
	checkFirstRun(t, first)
	if !bytes.Contains(d.output.since(0), []byte(d.api+"/codec; sign in there first")) {
		t.Error("the banner does not name the codec endpoint")
	}
	// What the Web UI gets from its server, as JSON.
	history, err := request(t.Context(), http.MethodGet, d.ui+"/api/v1/namespaces/default/workflows/"+first.ID+"/history", "", "")
	if err != nil || history.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", history.status, err, history.body)
	}
	prompt := "Use DeepWiki to explain"
	if leaks(history.body, prompt) || !bytes.Contains(history.body, []byte(base64.StdEncoding.EncodeToString([]byte("binary/encrypted")))) {
		t.Errorf("the Web UI shows %s", history.body)
	}
	d.checkDecodedInUI(t, history.body, prompt)
	ask, err := newRequest(t.Context(), http.MethodOptions, d.api+"/codec/decode", "", "", "Origin", d.ui, "Access-Control-Request-Method", "POST")
	if err != nil {
		t.Fatal(err)
	}
	a, err := do(ask)
	if err != nil || a.header.Get("Access-Control-Allow-Origin") != d.ui || a.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("the Web UI may not use the endpoint: status %d, %v, %v", a.status, err, a.header)
	}
	for place, dir := range map[string]string{"database": data, "event log": filepath.Join(data, "events")} {
		files := filesOf(t, dir)
		if leaks(files, prompt) || len(files) < 1000 {
			t.Errorf("the %s, of %d bytes, can be read", place, len(files))
		}
	}
}

// checkDecodedInUI has a payload decrypted, in the very words of the Web UI's own server.
func (d *devProcess) checkDecodedInUI(t *testing.T, history []byte, prompt string) {
	t.Helper()
	var shown struct {
		History struct {
			Events []struct {
				Started struct{ Input json.RawMessage } `json:"workflowExecutionStartedEventAttributes"`
			}
		}
	}
	if err := json.Unmarshal(history, &shown); err != nil || len(shown.History.Events) == 0 {
		t.Fatalf("%v in %s", err, history)
	}
	r, err := newRequest(t.Context(), http.MethodPost, d.api+"/codec/decode?preserveStorageRefs=true", operatorToken,
		string(shown.History.Events[0].Started.Input), "X-Namespace", "default", "Origin", d.ui)
	if err != nil {
		t.Fatal(err)
	}
	a, err := do(r)
	if err != nil || a.status != http.StatusOK || !leaks(a.body, prompt) {
		t.Errorf("status %d, %v: %s", a.status, err, a.body)
	}
}
