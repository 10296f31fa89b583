package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// TestRecordCutOff records a run that is cancelled while one of its calls is under way. What was recorded before such calls left items is
// kept beside it, as cancelled_before.json.
func TestRecordCutOff(t *testing.T) {
	if !*record {
		t.Skip("pass -record to record histories anew")
	}
	call := func(server string) modeltest.Call { return modeltest.Call{Name: server + "__t", Arguments: "{}"} }
	model := modeltest.New(modeltest.Calls(call("a"), call("b"), call("a")))
	answers, silent := mcptest.NewHostile(), mcptest.NewHostile()
	silent.On("tools/call", mcptest.Silent())
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
		answers.Close()
		silent.Close()
	})
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})
	tool := func(label, url string) string {
		return fmt.Sprintf(`{"type": "mcp", "server_label": "%s", "server_url": "%s", "authorization": "%s"}`, label, url, canary)
	}
	body := fmt.Sprintf(`{"input": "x", "background": true, "tools": [%s, %s]}`, tool("a", answers.URL()), tool("b", silent.URL()))
	id := s.send(t, http.MethodPost, "/responses", body).decode(t).ID
	if err := silent.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	if r := s.send(t, http.MethodPost, "/responses/"+id+"/cancel", "").decode(t); r.Status != "cancelled" {
		t.Errorf("the run is %s", r.Status)
	}
	s.recordHistory(t, id, filepath.Join(historiesDir, "cancelled.json"))
}
