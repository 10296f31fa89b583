package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// approvalItem is what the tests of approvals read of an item.
type approvalItem struct {
	ID, Type, Name    string
	Output            *string
	Status            string
	ApprovalRequestID *string `json:"approval_request_id"`
}

func approvalItems(t *testing.T, a answer) []approvalItem {
	t.Helper()
	var r struct{ Output []approvalItem }
	if err := json.Unmarshal(a.body, &r); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	return r.Output
}

// toolWith is a server as a tool with a policy, which may be empty for none.
func toolWith(url, policy string) string {
	if policy != "" {
		policy = `, "require_approval": ` + policy
	}
	return fmt.Sprintf(`{"type": "mcp", "server_label": "s", "server_url": "%s"%s}`, url, policy)
}

// TestRequireApproval pins which calls each form of require_approval asks about, and that the default dialect never asks.
func TestRequireApproval(t *testing.T) {
	t.Parallel()
	all := []string{"add", "echo", "lookup"} // lookup says that it only reads
	tests := []struct {
		name, policy string
		asked        []string
	}{
		{"absent", "", all},
		{"always", `"always"`, all},
		{"never", `"never"`, nil},
		{"never for some", `{"never": {"tool_names": ["echo"]}}`, []string{"add", "lookup"}},
		{"never for what only reads", `{"never": {"read_only": true}}`, []string{"add", "echo"}},
		{"always for some", `{"always": {"tool_names": ["echo"]}}`, all},
		{"both", `{"always": {"tool_names": ["echo"]}, "never": {"tool_names": ["add", "echo"]}}`, []string{"echo", "lookup"}},
	}
	calls := modeltest.Calls(
		modeltest.Call{Name: "s__add", Arguments: `{"a":1,"b":2}`}, modeltest.Call{Name: "s__echo", Arguments: `{"text":"x"}`},
		modeltest.Call{Name: "s__lookup", Arguments: `{"key":"k"}`})
	for dialect, start := range map[string]func(*testing.T) *stack{"agent": sharedStack, "openai": sharedOpenAIStack} {
		for _, test := range tests {
			t.Run(dialect+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				s := start(t)
				server, _ := startTools(t)
				asked, script := test.asked, []modeltest.Reply{calls}
				if dialect == "agent" {
					asked = nil
				}
				if asked == nil {
					script = append(script, modeltest.Text("done"))
				}
				a := s.send(t, http.MethodPost, "/responses",
					string(ask(t, modeltest.New(script...), `"input": "x", "tools": [%s]`, toolWith(server.URL(), test.policy))))
				var gotAsked, gotMade []string
				for _, item := range approvalItems(t, a) {
					switch item.Type {
					case "mcp_approval_request":
						gotAsked = append(gotAsked, item.Name)
					case "mcp_call":
						gotMade = append(gotMade, item.Name)
					}
				}
				made := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(asked, name) })
				if !slices.Equal(gotAsked, asked) || !slices.Equal(gotMade, made) {
					t.Errorf("asked about %v and made %v, want %v and %v", gotAsked, gotMade, asked, made)
				}
				for _, name := range all {
					if want := slices.Contains(made, name); server.Calls(name) > 0 != want {
						t.Errorf("%s was called %d times", name, server.Calls(name))
					}
				}
			})
		}
	}
}

// asking is a response that ended with a request for approval.
type asking struct {
	stack     *stack
	server    *mcptest.Server
	response  string
	requestID string
}

// askApproval has the model call a tool that needs approval, and play the rest of the script later.
func askApproval(t *testing.T, model *modeltest.Server) asking {
	t.Helper()
	s := sharedOpenAIStack(t)
	server, _ := startTools(t)
	a := s.send(t, http.MethodPost, "/responses", string(ask(t, model, `"input": "x", "tools": [%s]`, toolWith(server.URL(), ""))))
	items := approvalItems(t, a)
	if len(items) != 2 || items[1].Type != "mcp_approval_request" || server.Calls("echo") != 0 {
		t.Fatalf("got %s, want a request for approval", a.body)
	}
	return asking{s, server, a.decode(t).ID, items[1].ID}
}

// answer is an answer to the request.
func (a asking) answer(approve bool) string {
	return fmt.Sprintf(`{"type": "mcp_approval_response", "approval_request_id": "%s", "approve": %t}`, a.requestID, approve)
}

// goOn continues a response with input items.
func (a asking) goOn(t *testing.T, previous string, items ...string) string {
	t.Helper()
	return string(askAgain(t, `"input": [%s], "previous_response_id": "%s", "tools": [%s]`,
		strings.Join(items, ", "), previous, toolWith(a.server.URL(), "")))
}

func (a asking) post(t *testing.T, previous string, items ...string) answer {
	t.Helper()
	return a.stack.send(t, http.MethodPost, "/responses", a.goOn(t, previous, items...))
}

func echoCall() modeltest.Reply {
	return modeltest.Calls(modeltest.Call{Name: "s__echo", Arguments: `{"text":"from the tool"}`})
}

// TestApproved: the call is made once, its item names the request, and no answer to that request is taken again: not in the chain, not
// from the response that asked, and not at the same time.
func TestApproved(t *testing.T) {
	t.Parallel()
	model := modeltest.New(echoCall(), modeltest.Text("It spoke."), modeltest.Text("It had."))
	a := askApproval(t, model)
	refused(t, a.post(t, a.response, a.answer(true), a.answer(true)), http.StatusBadRequest, "answered")
	refused(t, a.post(t, a.response, a.answer(true), a.answer(false)), http.StatusBadRequest, "answered")
	refused(t, a.post(t, a.response, strings.Replace(a.answer(true), "mcpr_", "mcpr_x", 1)), http.StatusBadRequest, "no approval request")
	approved := a.post(t, a.response, a.answer(true))
	items := approvalItems(t, approved)
	if len(items) != 2 || items[0].Type != "mcp_call" || items[1].Type != "message" {
		t.Fatalf("got %s, want the call and a message: the tools are listed already", approved.body)
	}
	call := items[0]
	if call.ApprovalRequestID == nil || *call.ApprovalRequestID != a.requestID || call.Status != "completed" || call.Output == nil || *call.Output != "from the tool" {
		t.Errorf("got the call %s", approved.body)
	}
	id := approved.decode(t).ID
	refused(t, a.post(t, id, a.answer(true)), http.StatusBadRequest, "already answered")
	refused(t, a.post(t, a.response, a.answer(true)), http.StatusBadRequest, "already answered")
	refused(t, a.post(t, a.response, a.answer(false)), http.StatusBadRequest, "already answered")
	if r := a.post(t, id, `{"role": "user", "content": "Did it?"}`).decode(t); r.text() != "It had." {
		t.Errorf("got the text %q", r.text())
	}
	want := []string{"user: x", `assistant: s__echo{"text":"from the tool"}`, "tool: from the tool"}
	if diff := cmp.Diff(want, told(model.Requests()[1])); diff != "" {
		t.Errorf("the model was told (-want +got):\n%s", diff)
	}
	if n := a.server.Calls("echo"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
	if n := a.lists(); n != 1 {
		t.Errorf("the tools were listed %d times, want once", n)
	}
	checkReplay(t, a.stack, id)
}

// lists is how often the server was asked for its tools.
func (a asking) lists() int { return listings(a.server) }

func listings(server *mcptest.Server) int {
	n := 0
	for _, r := range server.Requests() {
		if r.Method == "tools/list" {
			n++
		}
	}
	return n
}

// TestAnswerIsNotUsedUp: a request that fails because another server is down has answered nothing.
func TestAnswerIsNotUsedUp(t *testing.T) {
	t.Parallel()
	a := askApproval(t, modeltest.New(echoCall(), modeltest.Text("It spoke.")))
	dead := `{"type": "mcp", "server_label": "dead", "server_url": "http://127.0.0.1:1/mcp"}`
	body := a.goOn(t, a.response, a.answer(true))
	both := strings.Replace(body, `"tools": [`, `"tools": [`+dead+`, `, 1)
	refused(t, a.stack.send(t, http.MethodPost, "/responses", both), http.StatusFailedDependency, "could not be initialized")
	if items := approvalItems(t, a.stack.send(t, http.MethodPost, "/responses", body)); len(items) != 2 || items[0].Type != "mcp_call" {
		t.Errorf("got %+v, want the call and a message", items)
	}
	if n := a.server.Calls("echo"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// TestApprovedTwiceAtOnce: of several answers at the same time, one is taken.
func TestApprovedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	a := askApproval(t, modeltest.New(echoCall(), modeltest.Text("It spoke.")))
	body := a.goOn(t, a.response, a.answer(true))
	var answers []<-chan result
	for range 4 {
		answers = append(answers, a.stack.sendLater(t, a.stack.url, apiKey, body))
	}
	taken := 0
	for _, later := range answers {
		got := (<-later).must(t)
		if got.status == http.StatusOK {
			taken++
			continue
		}
		refused(t, got, http.StatusBadRequest, "already answered")
	}
	if n := a.server.Calls("echo"); taken != 1 || n != 1 {
		t.Errorf("%d answers were taken and the tool was called %d times, want once each", taken, n)
	}
}

// TestDenied: the call is not made, there is no item of it, and the model is told.
func TestDenied(t *testing.T) {
	t.Parallel()
	model := modeltest.New(echoCall(), modeltest.Text("Then not."))
	a := askApproval(t, model)
	denied := a.post(t, a.response, a.answer(false))
	if items := approvalItems(t, denied); len(items) != 1 || items[0].Type != "message" {
		t.Errorf("got %s, want a message alone", denied.body)
	}
	last := model.Requests()[1].Last()
	if last.Role != "tool" || !strings.Contains(last.Content, "did not approve") {
		t.Errorf("the model was told %+v", last)
	}
	refused(t, a.post(t, a.response, a.answer(true)), http.StatusBadRequest, "already answered")
	if n := a.server.Calls("echo"); n != 0 {
		t.Errorf("the tool was called %d times, want never", n)
	}
}

// TestToolsAreListedAgain: by each request in the default dialect, and in OpenAI's only where the conversation does not list them.
func TestToolsAreListedAgain(t *testing.T) {
	t.Parallel()
	for dialect, start := range map[string]func(*testing.T) *stack{"agent": sharedStack, "openai": sharedOpenAIStack} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			server, tool := startTools(t)
			model := modeltest.New(modeltest.Text("one"), modeltest.Text("two"), modeltest.Text("three"))
			first := s.create(t, ask(t, model, `"input": "x", "tools": [%s]`, tool))
			second := s.create(t, askAgain(t, `"input": "y", "previous_response_id": "%s", "tools": [%s]`, first.ID, tool))
			want, wantTypes := 2, []string{"mcp_list_tools", "message"}
			if dialect == "openai" {
				want, wantTypes = 1, []string{"message"}
			}
			if n := listings(server); n != want || !slices.Equal(second.types(), wantTypes) {
				t.Errorf("the tools were listed %d times, and the second response has %v", n, second.types())
			}
			if offered := model.Requests()[1].ToolNames(); !slices.Contains(offered, "s__echo") {
				t.Errorf("the model was offered %v", offered)
			}
			// Another filter is another list.
			narrow := strings.Replace(tool, "{", `{"allowed_tools": ["add"], `, 1)
			third := s.create(t, askAgain(t, `"input": "z", "previous_response_id": "%s", "tools": [%s]`, second.ID, narrow))
			if n := listings(server); n != want+1 || third.types()[0] != "mcp_list_tools" {
				t.Errorf("the tools were listed %d times, and the third response has %v", n, third.types())
			}
			if offered := model.Requests()[2].ToolNames(); !slices.Equal(offered, []string{"s__add"}) {
				t.Errorf("the model was offered %v", offered)
			}
		})
	}
}
