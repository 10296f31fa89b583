package ui

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/starter"
)

// TestCurlBehindProxy: the command of a run goes to where browsers reach us, and takes its key there encrypted, whoever ends TLS.
func TestCurlBehindProxy(t *testing.T) {
	t.Parallel()
	run := &starter.RunShown{ID: "resp_1", Request: &responses.Response{Model: "p/m"}}
	behind := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.0.0.1:8080/runs/resp_1", nil)
	forwarded := behind.Clone(t.Context())
	forwarded.Header.Set("X-Forwarded-Proto", "https")
	for want, tt := range map[string]struct {
		public string
		r      *http.Request
	}{
		"https://agents.example/v1/responses": {"https://agents.example", behind},
		"https://10.0.0.1:8080/v1/responses":  {"", forwarded},
		"http://10.0.0.1:8080/v1/responses":   {"", behind},
	} {
		u := &ui{api: &starter.Starter{Intake: &starter.Intake{Options: starter.Options{SignIn: starter.SignIn{PublicURL: tt.public}}}}}
		if c := u.newRun(tt.r, run); !strings.Contains(c.Curl, " "+want) && !strings.Contains(c.Curl, "'"+want) {
			t.Errorf("%s is not in %s", want, c.Curl)
		}
	}
}

// TestKeyOfSession: what stands for the sessions of a user is a name of ours, which tells people nothing.
func TestKeyOfSession(t *testing.T) {
	t.Parallel()
	session := identity.Session{User: "dev"}.Principal(identity.Member).Key
	for key, want := range map[string]string{session: "a browser", "laptop": "laptop", "": ""} {
		row := runRow{RunRow: starter.RunRow{ID: "resp_1", User: "dev", Key: key}}
		w := httptest.NewRecorder()
		if err := pages.RenderPart(w, "runs", "rows", runsContent{Rows: []runRow{row}}); err != nil {
			t.Fatal(err)
		}
		if body := w.Body.String(); strings.Contains(body, "session:") || !strings.Contains(body, `<span class="run-sub muted"><bdi>`+want+`</bdi>`) {
			t.Errorf("a run with the key %q: %s", key, body)
		}
	}
}

// The command of a run, given to a shell with a curl that prints what it is told to send, asks for what the run was asked, with nothing of
// it taken for code.
func TestCurlOfRun(t *testing.T) {
	t.Parallel()
	instructions, previous, effort, steps := "be 'brief'; $(touch pwned)", "resp_1", "low", 7
	run := &starter.RunShown{
		ID: "resp_2", InputLen: 3,
		Input: []responses.Item{
			&responses.Message{Role: "user", Content: []responses.Part{responses.InputText("it's `me` \u202e \\ \"\n<b>")}},
			&responses.FunctionCallOutput{CallID: "call_1", Output: []responses.Part{responses.InputText("{}")}},
		},
		Request: &responses.Response{
			Model: "p/m", Instructions: &instructions, PreviousResponseID: &previous, MaxSteps: &steps, Background: true,
			ToolChoice: json.RawMessage(`{"type":"function","name":"f"}`), Reasoning: responses.ReasonsEcho{Effort: &effort},
			Tools: []responses.ToolEcho{
				responses.MCPToolEcho{Type: "mcp", ServerLabel: "deep-wiki", ServerURL: "https://wiki.example", AllowedTools: &responses.ToolFilter{Names: []string{"a'b"}}},
				responses.MCPToolEcho{Type: "mcp", ServerLabel: "crm", ConnectorID: "conn_1"},
				responses.FunctionToolEcho{Type: "function", Name: "f", Parameters: json.RawMessage(`{"type":"object","z":1.5,"a":[null,true,"x"]}`)},
			},
		},
	}
	command, notes := curlOf("http://127.0.0.1:8080", run)
	if len(notes) != 2 || !strings.Contains(notes[0], "first 1 items") || !strings.Contains(notes[1], "DEEP_WIKI_URL is the whole address of the server at https://wiki.example") {
		t.Errorf("the notes are %q", notes)
	}
	script := `curl() { while [ $# -gt 1 ]; do shift; done; printf %s "$1"; }` + "\n" + command
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PERDURE_API_KEY=k", "DEEP_WIKI_URL=https://wiki.example/mcp", "DEEP_WIKI_TOKEN=t"}
	sent, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, command)
	}
	var got, want any
	if err := json.Unmarshal(sent, &got); err != nil {
		t.Fatalf("%v: %s", err, sent)
	}
	if err := json.Unmarshal([]byte(`{
		"model": "p/m", "instructions": "be 'brief'; $(touch pwned)", "previous_response_id": "resp_1", "max_steps": 7, "background": true,
		"parallel_tool_calls": false, "reasoning": {"effort": "low"}, "tool_choice": {"type": "function", "name": "f"},
		"input": [
			{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "it's `+"`me` \u202e"+` \\ \"\n<b>"}]},
			{"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "{}"}]}
		],
		"tools": [
			{"type": "mcp", "server_label": "deep-wiki", "server_url": "https://wiki.example/mcp", "authorization": "t", "allowed_tools": ["a'b"]},
			{"type": "mcp", "server_label": "crm", "connector_id": "conn_1"},
			{"type": "function", "name": "f", "strict": false, "parameters": {"type": "object", "z": 1.5, "a": ["", true, "x"]}}
		]}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the request differs (-want +got):\n%s", diff)
	}
	run.Input = []responses.Item{&responses.Message{Role: "user", Content: []responses.Part{responses.InputText(strings.Repeat("x", maxCommand))}}}
	if command, notes := curlOf("http://h", run); len(command) > maxCommand || !strings.Contains(command, `$INPUT`) || !strings.Contains(notes[len(notes)-1], "too long") {
		t.Errorf("with a long input the command has %d bytes and notes %q", len(command), notes)
	}
}

func TestStepsInWords(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1_800_000_000, 0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	timeline := &starter.Timeline{Execution: "x", Steps: []starter.Step{
		{Event: 1, Kind: starter.StepAccepted, State: starter.StepDone, Start: at(0), End: at(10)},
		{
			Event: 5, Kind: starter.StepTurn, State: starter.StepDone, Start: at(10), End: at(100), Turn: 1, Model: "p/m", Calls: 2, Attempts: 3,
			AttemptStart: at(60), LastFailure: "too busy", Asked: 7 * time.Second, Fallback: 1,
		},
		{
			Event: 11, Kind: starter.StepCall, State: starter.StepFailed, Start: at(100), End: at(200), Tool: "t", Server: "s", OutcomeUnknown: true,
			Output: &starter.Content{Part: starter.PartOutput, Text: "lost", Size: 90_000, Cut: true},
		},
		{Event: 12, Kind: starter.StepCall, State: starter.StepRetrying, Start: at(150), Tool: "u", Attempts: 2, MaxAttempts: 4, NextAttempt: at(900), LastFailure: "refused"},
	}}
	groups := newGroups("resp_1", timeline, begin, at(300))
	if len(groups) != 3 || !groups[2].Parallel() || groups[2].Took != 200*time.Millisecond {
		t.Fatalf("the groups are %+v", groups)
	}
	texts := func(v stepView) string {
		words := []string{v.Title, v.Name, v.Tag.Text, v.Gist}
		for _, n := range v.Notes {
			words = append(words, n.Text, n.Quoted)
		}
		return strings.Join(words, "|")
	}
	for i, want := range []string{
		"Accepted||done|waited for a worker",
		"Model turn 1|p/m|done|asked for 2 calls|Attempt 2 failed:|too busy|The other side asked to be left alone for 7.0 s.||" +
			"Attempt 3 began 50 ms after the first and succeeded.||1 model failed at this turn before.|",
	} {
		if got := texts(groups[i].Steps[0]); got != want {
			t.Errorf("step %d says %q, want %q", i, got, want)
		}
	}
	lost, again := groups[2].Steps[0], groups[2].Steps[1]
	if lost.Tag.Text != "outcome unknown" || !lost.Open || lost.Blocks[0].Label != "Error" || lost.Blocks[0].Link != "/runs/resp_1/steps/x/11/output" {
		t.Errorf("the lost call is %+v", lost)
	}
	if got := texts(again); got != "Call|u|waiting to try again||Attempt 1 failed:|refused|Attempt 2 of 4 comes at|" || !again.Notes[1].At.Equal(at(900)) {
		t.Errorf("the call that is tried again says %q", got)
	}
	if lost.Bar != (bar{"0.00%", "50.00%"}) || again.Bar != (bar{"25.00%", "75.00%"}) {
		t.Errorf("the calls are at %+v and %+v of their group", lost.Bar, again.Bar)
	}
	o := newOverview(timeline, at(300))
	if len(o.Bars) != 4 || o.Height != 2*laneHeight+2 || o.Bars[3].Y == o.Bars[2].Y || o.Bars[3].bar != (bar{"50.00%", "50.00%"}) {
		t.Errorf("the overview is %+v", o)
	}
}

func TestRunsFilter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 500)
	f := readRunsFilter(url.Values{"since": {"1h"}, "status": {"failed"}, "server": {"wiki & co"}})
	query, err := f.query(now)
	if err != nil || query.After.Unix() != 1_800_000_000-3600 || query.Status != "failed" || query.Server != "wiki & co" {
		t.Errorf("the query is %+v, %v", query, err)
	}
	f.Page = "next"
	address, err := url.Parse(f.address())
	if err != nil {
		t.Fatal(err)
	}
	later := readRunsFilter(address.Query())
	again, err := later.query(now.Add(time.Minute))
	if err != nil || !again.After.Equal(query.After) || again.Page != "next" || again.Server != query.Server {
		t.Errorf("the next page asks for %+v, %v", again, err)
	}
	for name, f := range map[string]runsFilter{"span": {Since: "2h"}, "moment": {Since: "1h", Page: "p", After: "x"}} {
		if _, err := f.query(now); err == nil {
			t.Errorf("another %s was taken", name)
		}
	}
	if got := (runsFilter{}).address(); got != "/runs" {
		t.Errorf("without filters the address is %s", got)
	}
}

func TestSpoken(t *testing.T) {
	t.Parallel()
	refused := "no"
	got := spoken([]responses.Item{
		&responses.MCPListTools{}, &responses.MCPCall{Error: &refused},
		&responses.Message{Role: "user", Content: []responses.Part{{Type: responses.PartInputText, Text: "look"}, {Type: responses.PartInputImage, ImageURL: "data:x"}}},
		&responses.Reasoning{Summary: []responses.Part{{Text: "hm"}}},
		&responses.FunctionCall{Name: "f", Arguments: "{}"},
		&responses.MCPApprovalRequest{ServerLabel: "s", Name: "t", Arguments: "{}"},
		&responses.Message{Role: "assistant", Content: []responses.Part{responses.OutputText(strings.Repeat("é", shownText))}},
	})
	want := []said{
		{"User", "message", "look\n[an image, 6 bytes of address or data]", false},
		{"Reasoning", "reasoning", "hm", false},
		{"Function call for the client", "code", "f {}", false},
		{"Approval asked for", "code", "s.t {}", false},
		{"Answer", "message", strings.Repeat("é", shownText/2), true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
