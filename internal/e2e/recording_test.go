package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"perdure/contract"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

var record = flag.Bool("record", false, "record histories into workflows/testdata/histories")

const historiesDir = "../../workflows/testdata/histories"

// TestRecordHistories makes runs whose histories the tests of package workflows replay. A new history belongs beside the old
// ones: what a released version has recorded must be replayed by all that follow.
func TestRecordHistories(t *testing.T) {
	if !*record {
		t.Skip("pass -record to record histories anew")
	}
	call := func(server string) modeltest.Call { return modeltest.Call{Name: server + "__t", Arguments: "{}"} }
	done := modeltest.Text("done")
	tests := []struct {
		name   string
		script []modeltest.Reply
		answer mcptest.Answer // to tools/list, where it is not the usual one
		body   string         // with %s for the tools of one server, or of two
	}{
		{"background", []modeltest.Reply{modeltest.Calls(call("a")), done}, nil, `{"input": "x", "background": true, "tools": [%s]}`},
		{"one_call", []modeltest.Reply{modeltest.Calls(call("a")), done}, nil, `{"input": "x", "tools": [%s]}`},
		{
			"two_servers_parallel",
			[]modeltest.Reply{modeltest.Calls(call("b"), call("a"), call("a")).WithText("both"), done},
			nil,
			`{"input": "x", "tools": [%s, %s]}`,
		},
		{"discovery_failed", nil, mcptest.Status(401), `{"input": "x", "tools": [%s]}`},
		{
			"function_call",
			[]modeltest.Reply{modeltest.Calls(modeltest.Call{Name: "f", Arguments: "{}"}, call("a"))},
			nil,
			`{"input": "x", "tools": [{"type": "function", "name": "f"}, %s]}`,
		},
		{
			"max_steps",
			[]modeltest.Reply{modeltest.Calls(call("a")), modeltest.Calls(call("a"))},
			nil,
			`{"input": "x", "max_steps": 2, "tools": [%s]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := mcptest.NewHostile()
			model := modeltest.New(test.script...)
			t.Cleanup(func() {
				if err := model.Close(); err != nil {
					t.Error(err)
				}
				server.Close()
			})
			if test.answer != nil {
				server.On("tools/list", test.answer)
			}
			s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})
			tool := func(label string) any {
				return fmt.Sprintf(`{"type": "mcp", "server_label": "%s", "server_url": "%s", "authorization": "%s"}`, label, server.URL(), canary)
			}
			tools := []any{tool("a"), tool("b")}[:strings.Count(test.body, "%s")]
			if _, err := s.respond(t.Context(), fmt.Sprintf(test.body, tools...)); err != nil {
				t.Fatal(err)
			}
			match, err := s.starter.await(t.Context(), runStarted)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.temporal.GetWorkflow(t.Context(), match[1], "").Get(t.Context(), nil) // some runs are meant to fail
			s.recordHistory(t, match[1], filepath.Join(historiesDir, test.name+".json"))
		})
	}
}

// TestRecordConversation records a run with a call that needs approval, the run that goes on with the answer to it, and the
// conversation that both belong to.
func TestRecordConversation(t *testing.T) {
	if !*record {
		t.Skip("pass -record to record histories anew")
	}
	server := mcptest.NewHostile()
	model := modeltest.New(modeltest.Calls(modeltest.Call{Name: "a__t", Arguments: "{}"}), modeltest.Text("done"))
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		webhook.Close()
	})
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL(), Settings: `
api: {dialect: openai}
webhooks:
  - {name: ops, url: "` + webhook.URL + `", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
`})
	tool := `{"type": "mcp", "server_label": "a", "server_url": "` + server.URL() + `", "authorization": "` + canary + `"`
	created, err := request(t.Context(), http.MethodPost, s.url+"/v1/conversations", apiKey, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	conversation := created.decode(t).ID
	asked, err := s.respond(t.Context(), `{"input": "x", "conversation": "`+conversation+`", "tools": [`+tool+`}]}`)
	if err != nil {
		t.Fatal(err)
	}
	first := asked.decode(t)
	// Another filter, so that the tools are listed again: a replay that does not list them must be found.
	answered, err := s.respond(t.Context(), `{"background": true, "conversation": "`+conversation+`", "tools": [`+tool+`, "allowed_tools": ["t"]}],
		"input": [{"type": "mcp_approval_response", "approve": true, "approval_request_id": "`+first.Output[len(first.Output)-1].ID+`"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	second := answered.decode(t)
	for _, id := range []string{first.ID, second.ID} {
		if err := s.temporal.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	s.recordHistory(t, first.ID, filepath.Join(historiesDir, "approval_asked.json"))
	s.recordHistory(t, second.ID, filepath.Join(historiesDir, "approval_given.json"))
	changed, err := request(t.Context(), http.MethodPost, s.url+"/v1/conversations/"+conversation, apiKey, `{"metadata": {"a": "b"}}`)
	if err != nil || changed.status != http.StatusOK {
		t.Fatalf("HTTP %d: %s, %v", changed.status, changed.body, err)
	}
	// The conversation goes on; its change of metadata came after the items of both runs.
	s.recordHistory(t, conversation, "../../workflows/testdata/conversations/two_runs.json")
}

// TestRecordContinued records a run that goes on as a new execution.
func TestRecordContinued(t *testing.T) {
	if !*record {
		t.Skip("pass -record to record histories anew")
	}
	server := mcptest.NewHostile()
	call := modeltest.Calls(modeltest.Call{Name: "a__t", Arguments: "{}"})
	model := modeltest.New(call, call, modeltest.Text("done"))
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL(), Settings: shortHistories})
	a, err := s.respond(t.Context(), `{"input": "x", "tools": [{"type": "mcp", "server_label": "a", "server_url": "`+server.URL()+`", "authorization": "`+canary+`"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	id := a.decode(t).ID
	all := s.executions(t, id)
	if len(all) != 3 {
		t.Fatalf("the run has %d executions, want 3", len(all))
	}
	for i, file := range []string{historiesDir + "/continued.json", "../../workflows/testdata/carried/continued.json", "../../workflows/testdata/carried/done.json"} {
		history, err := s.historyOf(t.Context(), id, runOf(all[i]))
		if err != nil {
			t.Fatal(err)
		}
		writeHistory(t, file, history)
	}
}

// TestRecordRequested records runs that a program has started with a request, one of them refused, and the run of a schedule.
func TestRecordRequested(t *testing.T) {
	if !*record {
		t.Skip("pass -record to record histories anew")
	}
	server := mcptest.NewHostile()
	model := modeltest.New(modeltest.Calls(modeltest.Call{Name: "a__t", Arguments: "{}"}), modeltest.Text("done"), modeltest.Text("done"))
	closeModel(t, model)
	t.Cleanup(func() { server.Close() })
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})
	for file, body := range map[string]string{
		"answered": `{"input": "x", "tools": [{"type": "mcp", "server_label": "a", "server_url": "` + server.URL() + `"}]}`,
		"refused":  `{"input": "x", "temperature": 9}`,
	} {
		run, err := s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: contract.NewResponseID(), TaskQueue: s.queue},
			contract.ResponseName, contract.ResponseInput{Request: contract.Request{
				Organization: organization, User: user, Key: "laptop", Body: contract.JSON(body), Batch: "batch_1", CustomID: "a",
				Return: contract.ReturnResponse,
			}})
		if err != nil {
			t.Fatal(err)
		}
		_ = run.Get(t.Context(), nil) // one is meant to fail
		s.recordHistory(t, run.GetID(), "../../workflows/testdata/requested/"+file+".json")
	}
	a := s.send(t, http.MethodPost, "/schedules", `{"interval": 86400, "request": {"input": "x"}}`)
	var made struct{ ID string }
	if err := json.Unmarshal(a.body, &made); err != nil || made.ID == "" {
		t.Fatalf("HTTP %d: %s", a.status, a.body)
	}
	s.send(t, http.MethodPost, "/schedules/"+made.ID+"/trigger", "")
	schedule := s.temporal.ScheduleClient().GetHandle(t.Context(), made.ID)
	var id string
	until(t, "the schedule has run", func() bool {
		d, err := schedule.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Info.RecentActions) > 0 {
			id = d.Info.RecentActions[0].StartWorkflowResult.WorkflowID
		}
		return id != "" && len(d.Info.RunningWorkflows) == 0
	})
	s.recordHistory(t, id, "../../workflows/testdata/scheduled/response.json")
	if err := schedule.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRecordRequestedBatches records batches that a program has started with a request, one of them refused.
func TestRecordRequestedBatches(t *testing.T) {
	if !*record {
		t.Skip("pass -record to record histories anew")
	}
	b := newBatchStack(t, "")
	in := b.upload(t, "one", "two", "fail")
	for file, window := range map[string]string{"answered": "24h", "refused": "1m"} {
		id := contract.NewBatchID()
		run, err := b.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: b.queue}, contract.BatchName,
			contract.BatchInput{Request: contract.BatchRequest{
				Organization: organization, User: user, Key: "laptop",
				Body: contract.JSON(fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":%q}`, in, window)),
			}})
		if err != nil {
			t.Fatal(err)
		}
		_ = run.Get(t.Context(), nil) // one is meant to fail
		b.recordHistory(t, id, "../../workflows/testdata/requested_batches/"+file+".json", append(lineIDs(id, 3), id)...)
	}
}

// recordHistory writes the history of a workflow as it is now.
func (s *stack) recordHistory(t *testing.T, id, file string, derived ...string) {
	t.Helper()
	history, err := s.history(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	writeHistory(t, file, history, derived...)
}

// writeHistory writes a history without what is private. IDs that the workflow itself derives are kept: those of a batch's lines.
func writeHistory(t *testing.T, file string, h *historypb.History, derived ...string) {
	t.Helper()
	s := scrubber{ids: map[string]string{}}
	for _, id := range derived {
		s.ids[anyUUID.FindString(id)] = anyUUID.FindString(id)
	}
	s.message(h.ProtoReflect())
	raw, err := protojson.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	// protojson varies its white space on purpose.
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	wire, err := proto.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range privateTexts(t) {
		if bytes.Contains(wire, []byte(text)) || leaks(wire, text) {
			at := bytes.Index(raw, []byte(text))
			t.Fatalf("the history holds %q, near %s", text, raw[max(at-200, 0):max(at, 0)])
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// privateTexts are secrets, and what would tell of the machine.
func privateTexts(t *testing.T) []string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return []string{canary, apiKey, modelKey, dir, suite.dir, "@" + host, host + ":"}
}

// scrubber replaces what differs from run to run and what tells of the machine, in place.
type scrubber struct{ ids map[string]string }

var anyBuild = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (s scrubber) message(m protoreflect.Message) {
	if queue, ok := m.Interface().(*taskqueuepb.TaskQueue); ok {
		if queue.GetKind() == enumspb.TASK_QUEUE_KIND_STICKY {
			queue.Name = "sticky"
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				if field.MapValue().Kind() == protoreflect.MessageKind {
					s.message(v.Message())
				}
				return true
			})
		case field.IsList():
			for i := range value.List().Len() {
				if field.Kind() == protoreflect.MessageKind {
					s.message(value.List().Get(i).Message())
				}
			}
		case field.Kind() == protoreflect.MessageKind:
			s.message(value.Message())
		case field.Kind() == protoreflect.BytesKind:
			m.Set(field, protoreflect.ValueOfBytes([]byte(s.text(string(value.Bytes())))))
		case field.Kind() == protoreflect.StringKind && field.Name() == "identity":
			m.Set(field, protoreflect.ValueOfString("perdure"))
		case field.Kind() == protoreflect.StringKind:
			m.Set(field, protoreflect.ValueOfString(s.text(value.String())))
		}
		return true
	})
}

// text numbers the UUIDs, in the order in which they are met.
func (s scrubber) text(text string) string {
	if anyBuild.MatchString(text) {
		return strings.Repeat("0", len(text)) // of the binary
	}
	text = anyUUID.ReplaceAllStringFunc(text, func(id string) string {
		if s.ids[id] == "" {
			s.ids[id] = fmt.Sprintf("00000000-0000-4000-8000-%012d", len(s.ids)+1)
		}
		return s.ids[id]
	})
	return anyPort.ReplaceAllString(text, "127.0.0.1:8080")
}
