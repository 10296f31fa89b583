package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// TestTemporalView pins what an operator sees of a run in Temporal's Web UI.
func TestTemporalView(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On("tools/list", mcptest.Result(`{"tools":[{"name":"list_issues","inputSchema":{"type":"object"}}]}`))
	suite.models.plug(t, "view", modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "github__list_issues", Arguments: "{}"}), modeltest.Text("done")))
	a, err := s.respond(t.Context(), fmt.Sprintf(`{"model": "openai/gpt-5.5@view", "input": "x",
		"tools": [{"type": "mcp", "server_label": "github", "server_url": "%s"}]}`, server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	id := a.decode(t).ID
	history, err := s.history(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	const model = "openai/gpt-5.5@view"
	want := []string{
		model + " · github", "discover github", "model_turn 1 · " + model, "mcp_call github.list_issues", "model_turn 2 · " + model,
	}
	if diff := cmp.Diff(want, summaries(t, history)); diff != "" {
		t.Errorf("summaries (-want +got):\n%s", diff)
	}
	described, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	info := described.GetWorkflowExecutionInfo()
	if kind := info.GetType().GetName(); kind != "Response" || info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		t.Errorf("the run is shown as a %s that is %s", kind, info.GetStatus())
	}
	wantAttributes := map[string]any{
		"PerdureOrganization": organization, "PerdureUser": user, "PerdureKey": user, "PerdureModel": model,
		"PerdureServers": []any{"github"}, "PerdureStatus": "completed", "PerdureStored": true,
	}
	got := attributes(t, info.GetSearchAttributes())
	created, err := time.Parse(time.RFC3339, fmt.Sprint(got["PerdureCreated"]))
	if age := info.GetStartTime().AsTime().Sub(created); err != nil || age < 0 || age > startTimeout {
		t.Errorf("PerdureCreated is %v, %v before the start: %v", got["PerdureCreated"], age, err)
	}
	delete(got, "PerdureCreated")
	if diff := cmp.Diff(wantAttributes, got); diff != "" {
		t.Errorf("search attributes (-want +got):\n%s", diff)
	}
	wantDetails := "**completed**\n\nturn 2 of 10 · 1 MCP calls · 3 items · 22 tokens in, 14 out"
	if diff := cmp.Diff(wantDetails, s.details(t, id)); diff != "" {
		t.Errorf("current details (-want +got):\n%s", diff)
	}
	s.awaitCount(t.Context(), t, 1, fmt.Sprintf("PerdureServers = 'github' AND PerdureUser = '%s' AND PerdureModel = '%s'", user, model))
}

// summaries lists the summaries of the run and of its activities, as they were scheduled.
func summaries(t *testing.T, h *historypb.History) []string {
	t.Helper()
	var out []string
	for _, e := range h.GetEvents() {
		payload := e.GetUserMetadata().GetSummary()
		if payload == nil {
			continue
		}
		var text string
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

func attributes(t *testing.T, attributes *commonpb.SearchAttributes) map[string]any {
	t.Helper()
	out := map[string]any{}
	for name, payload := range attributes.GetIndexedFields() {
		if !strings.HasPrefix(name, "Perdure") {
			continue // the server's own
		}
		var value any
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &value); err != nil {
			t.Fatal(err)
		}
		out[name] = value
	}
	return out
}

// details is what the run says about its state.
func (s *stack) details(t *testing.T, id string) string {
	t.Helper()
	value, err := s.temporal.QueryWorkflow(t.Context(), id, "", "__temporal_workflow_metadata")
	if err != nil {
		t.Fatal(err)
	}
	var metadata sdkpb.WorkflowMetadata
	if err := value.Get(&metadata); err != nil {
		t.Fatal(err)
	}
	return metadata.GetCurrentDetails()
}

// TestSecretsStayOut: the secrets of a request are nowhere in Temporal, on disk, in a log or in the answer, although tool and
// server repeat them.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On("tools/call", mcptest.InTurn(mcptest.Status(500), mcptest.Error(-32000, "bad token")))
	suite.models.plug(t, "secrets", modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"}),
		modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"}),
		modeltest.Text("done")))
	const query, path, token, header = canary + "-query", canary + "-path", canary + "-token", canary + "-header"
	a, err := s.respond(t.Context(), fmt.Sprintf(`{"model": "openai/gpt-5.5@secrets", "input": "x", "tools": [{"type": "mcp",
		"server_label": "s", "server_url": "%s/%s?key=%s", "authorization": "%s", "headers": {"X-Key": "%s"}}]}`,
		server.URL(), escape(path), escape(query), token, header))
	if err != nil {
		t.Fatal(err)
	}
	got := a.decode(t)
	// The secrets did reach their server.
	for _, r := range server.Requests() {
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Key") != header {
			t.Errorf("the server got a request %s without its credentials", r.Method)
		}
	}
	places := map[string][]byte{
		"the answer": a.body, "the starter's log": s.starter.output.since(0), "the worker's log": s.worker.output.since(0),
	}
	history, err := s.history(t.Context(), got.ID)
	if err != nil {
		t.Fatal(err)
	}
	described, err := s.temporal.DescribeWorkflowExecution(t.Context(), got.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string]proto.Message{"the history": history, "the description": described} {
		if places[name], err = proto.Marshal(message); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(s.dataDir(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, data := range places {
		for _, secret := range []string{canary, apiKey, modelKey} {
			if leaks(data, secret) {
				t.Errorf("%s holds a secret, %s", place, secret)
			}
		}
	}
	if len(history.GetEvents()) < 20 || len(places) < 6 {
		t.Errorf("looked at %d events and %d places: too little for a run", len(history.GetEvents()), len(places))
	}
}

const (
	longTurns        = 60
	longOutput       = 5_000   // bytes of one tool output
	longConversation = 800_000 // bytes
	maxHistory       = 2_000_000
)

// TestLongRun: a history grows with the number of turns, not with its square. A run that passes its whole conversation from step
// to step is terminated by the server at about the 54th turn of this one.
func TestLongRun(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"`+strings.Repeat("x", longOutput)+`"}]}`))
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Turn() < longTurns {
			return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: fmt.Sprintf(`{"turn":%d}`, r.Turn())})
		}
		return modeltest.Text("done")
	})
	suite.models.plug(t, "long", model)
	var input strings.Builder
	for input.Len() < longConversation {
		role := "user"
		if input.Len() > 0 {
			input.WriteString(", ")
			role = "assistant"
		}
		fmt.Fprintf(&input, `{"role": "%s", "content": "%s"}`, role, strings.Repeat("y", longOutput))
	}
	a, err := s.respond(t.Context(), fmt.Sprintf(`{"model": "openai/gpt-5.5@long", "max_steps": %d,
		"input": [%s, {"role": "user", "content": "go"}],
		"tools": [{"type": "mcp", "server_label": "s", "server_url": "%s"}]}`, longTurns+1, input.String(), server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	got := a.decode(t)
	if want := 1 + longTurns + 1; got.Status != "completed" || len(got.Output) != want || got.text() != "done" {
		t.Errorf("got status %s, %d items, want completed, %d", got.Status, len(got.Output), want)
	}
	described, err := s.temporal.DescribeWorkflowExecution(t.Context(), got.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	size := described.GetWorkflowExecutionInfo().GetHistorySizeBytes()
	t.Logf("%d turns: history of %d bytes", longTurns+1, size)
	if size <= 0 || size >= maxHistory {
		t.Errorf("the history has %d bytes, want less than %d", size, maxHistory)
	}
	checkReplay(t, s, got.ID)
}
