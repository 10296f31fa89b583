package ui

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/page"
	"perdure/internal/responses"
)

const playToken = "a-token-that-no-page-shows"

func testConnectors() []playConnector {
	return []playConnector{
		{ID: "conn_AAAAAAAAAAAAAAAAAAAAAAAAAA", Name: "Acme CRM", Label: "acme-crm", Known: true, Offered: true, Tools: []playTool{{Name: "find"}, {Name: "drop"}}},
		{ID: "conn_BBBBBBBBBBBBBBBBBBBBBBBBBB", Name: "Other", Label: "other", Offered: true},
	}
}

func fullForm() url.Values {
	return url.Values{
		"nonce": {"N"}, "input": {"line one\r\nline two"}, "instructions": {"be brief"}, "model": {" p/m "}, "max_steps": {"3"}, "temperature": {"0.5"},
		"effort": {"low"}, "previous_response_id": {"resp_1"},
		"connector":                             {"conn_AAAAAAAAAAAAAAAAAAAAAAAAAA", "conn_BBBBBBBBBBBBBBBBBBBBBBBBBB"},
		"tools-conn_AAAAAAAAAAAAAAAAAAAAAAAAAA": {"find"}, "tools-conn_BBBBBBBBBBBBBBBBBBBBBBBBBB-names": {"a, b\nc"},
		"server-7-label": {"wiki"}, "server-7-url": {"https://wiki.example/mcp"}, "server-7-authorization": {playToken}, "server-7-tools": {"ask"},
		"server-2-label": {""}, "server-2-url": {""}, "server-2-authorization": {""}, "server-2-tools": {" "},
		"server-12-label": {"plain"}, "server-12-url": {"https://plain.example/"},
		"approval": {"writes"},
	}
}

func TestPlayRequest(t *testing.T) {
	t.Parallel()
	b, err := parsePlayForm(fullForm(), testConnectors()).request(true)
	if err != nil {
		t.Fatal(err)
	}
	never := map[string]any{"never": map[string]any{"read_only": true}}
	want := map[string]any{
		"input": "line one\nline two", "instructions": "be brief", "model": "p/m", "max_steps": 3.0, "temperature": 0.5, "store": false,
		"reasoning": map[string]any{"effort": "low"}, "previous_response_id": "resp_1",
		"tools": []any{
			map[string]any{"type": "mcp", "server_label": "acme-crm", "connector_id": "conn_AAAAAAAAAAAAAAAAAAAAAAAAAA", "allowed_tools": []any{"find"}, "require_approval": never},
			map[string]any{"type": "mcp", "server_label": "other", "connector_id": "conn_BBBBBBBBBBBBBBBBBBBBBBBBBB", "allowed_tools": []any{"a", "b", "c"}, "require_approval": never},
			map[string]any{"type": "mcp", "server_label": "wiki", "server_url": "https://wiki.example/mcp", "authorization": playToken, "allowed_tools": []any{"ask"}, "require_approval": never},
			map[string]any{"type": "mcp", "server_label": "plain", "server_url": "https://plain.example/", "require_approval": never},
		},
	}
	var got map[string]any
	if err := json.Unmarshal(b.json(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	if _, err := responses.DecodeRequest(b.json(), responses.DialectOpenAI); err != nil {
		t.Errorf("the API does not take it: %v", err)
	}
}

func TestPlayRequestOfDecisions(t *testing.T) {
	t.Parallel()
	b, err := parsePlayForm(url.Values{
		"store": {"1"}, "previous_response_id": {"resp_1"}, "decide-mcpr_b": {"deny"}, "decide-mcpr_a": {"approve"}, "input": {"be careful"}, "approval": {"never"},
		"server-0-label": {"s"}, "server-0-url": {"https://s.example"},
	}, nil).request(true)
	if err != nil {
		t.Fatal(err)
	}
	req, err := responses.DecodeRequest(b.json(), responses.DialectOpenAI)
	if err != nil {
		t.Fatalf("%v: %s", err, b.json())
	}
	want := []responses.Item{
		&responses.MCPApprovalResponse{ApprovalRequestID: "mcpr_a", Approve: true}, &responses.MCPApprovalResponse{ApprovalRequestID: "mcpr_b"},
		&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("be careful")}},
	}
	if diff := cmp.Diff(want, req.Input); diff != "" {
		t.Errorf("the input (-want +got):\n%s", diff)
	}
	if req.MCPTools()[0].Approval.Mode != responses.ApproveNever || !req.Store {
		t.Errorf("the request is %s", b.json())
	}
}

// TestPlayToolThatIsGone: an allow-list whose one tool has gone does not become a list of all.
func TestPlayToolThatIsGone(t *testing.T) {
	t.Parallel()
	f := parsePlayForm(url.Values{"connector": {"conn_AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "tools-conn_AAAAAAAAAAAAAAAAAAAAAAAAAA": {"gone"}}, testConnectors())
	if diff := cmp.Diff([]string{"gone"}, f.Connectors[0].allowed()); diff != "" {
		t.Error(diff)
	}
}

// TestPlayPrefillApproval: a form made of an earlier run lets no call run unasked that needed approval there, in whichever order its servers come.
func TestPlayPrefillApproval(t *testing.T) {
	t.Parallel()
	always := responses.ApprovalPolicy{Mode: responses.ApproveAlways}
	never := responses.ApprovalPolicy{Mode: responses.ApproveNever}
	writes := responses.ApprovalPolicy{Never: &responses.ToolFilter{ReadOnly: true}}
	some := responses.ApprovalPolicy{Never: &responses.ToolFilter{Names: []string{"find"}}}
	for name, tt := range map[string]struct {
		policies []responses.ApprovalPolicy
		want     string
		notes    int
	}{
		"no server":             {nil, approvalAlways, 0},
		"never":                 {[]responses.ApprovalPolicy{never, never}, approvalNever, 0},
		"writes":                {[]responses.ApprovalPolicy{writes}, approvalWrites, 0},
		"never, always":         {[]responses.ApprovalPolicy{never, always}, approvalAlways, 1},
		"always, never":         {[]responses.ApprovalPolicy{always, never}, approvalAlways, 1},
		"writes, never":         {[]responses.ApprovalPolicy{writes, never}, approvalWrites, 1},
		"never, writes":         {[]responses.ApprovalPolicy{never, writes}, approvalWrites, 1},
		"never, nothing said":   {[]responses.ApprovalPolicy{never, {}}, approvalAlways, 1},
		"never, one without":    {[]responses.ApprovalPolicy{never, some}, approvalAlways, 1},
		"writes, always, never": {[]responses.ApprovalPolicy{writes, always, never}, approvalAlways, 1},
	} {
		r := &responses.Response{Temperature: 1}
		for _, p := range tt.policies {
			r.Tools = append(r.Tools, responses.MCPToolEcho{ServerLabel: "s", ServerURL: "https://s.example", RequireApproval: p})
		}
		for _, f := range []*playForm{newPlayForm(), {Approval: approvalNever}} {
			if notes := f.settingsOf(r); f.Approval != tt.want || len(notes) != tt.notes {
				t.Errorf("%s: %q with the notes %q, want %q", name, f.Approval, notes, tt.want)
			}
		}
	}
}

// TestPlayErrors: the problem is told at the field that it is about.
func TestPlayErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value string // of the field that is changed
		field       string
	}{
		{"model", strings.Repeat("m", 300), "model"},
		{"max_steps", "many", "max_steps"},
		{"max_steps", "0", "max_steps"},
		{"temperature", "hot", "temperature"},
		{"temperature", "3", "temperature"},
		{"effort", "none at all", "effort"},
		{"previous_response_id", strings.Repeat("r", 300), "previous_response_id"},
		{"server-7-label", "no label", "server-7-label"},
		{"server-12-label", "wiki", "server-12-label"},
		{"server-12-url", "", "server-12-url"},
		{"server-7-tools", strings.Repeat("t", 300), "server-7-tools"},
		{"connector", "conn_AAAAAAAAAAAAAAAAAAAAAAAAAA", ""},
	} {
		form := fullForm()
		form.Set(tt.name, tt.value)
		f := parsePlayForm(form, testConnectors())
		b, err := f.request(false)
		if err == nil {
			_, err = responses.DecodeRequest(b.json(), responses.DialectOpenAI)
		}
		var shown *responses.Error
		if !errors.As(err, &shown) {
			if tt.field != "" {
				t.Errorf("%s = %.20q: no error: %v", tt.name, tt.value, err)
			}
			continue
		}
		if field := f.fail(b, shown); field != tt.field || f.Errors[field] != shown.Message {
			t.Errorf("%s = %.20q: %v is told at %q, want %q", tt.name, tt.value, shown, field, tt.field)
		}
	}
	f := parsePlayForm(fullForm(), testConnectors())
	b, err := f.request(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		e     responses.Error
		field string
	}{
		{responses.Error{Param: "tools", Message: `MCP server "wiki" could not be initialized (stage dns): no such host`}, "server-7-url"},
		{responses.Error{Param: "tools", Message: `MCP server "other" could not be initialized`}, "connector-conn_BBBBBBBBBBBBBBBBBBBBBBBBBB"},
		{responses.Error{Param: "tools[2].headers", Message: "x"}, "server-7-url"},
		{responses.Error{Param: "tools[2].authorization", Message: "x"}, "server-7-authorization"},
		{responses.Error{Param: "tools[0].connector_id", Message: "x"}, "connector-conn_AAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{responses.Error{Param: "tools[9].server_url", Message: "x"}, ""},
		{responses.Error{Param: "input[0].content", Message: "x"}, "input"},
		{responses.Error{Message: "try again"}, ""},
		{responses.Error{Param: "reasoning.effort", Message: "x"}, "effort"},
	} {
		if got := b.fieldOf(&tt.e); got != tt.field {
			t.Errorf("%+v is told at %q, want %q", tt.e, got, tt.field)
		}
	}
}

// TestPlaygroundPage: a form that goes back to its page keeps what was entered, but for secrets, and harms no page.
func TestPlaygroundPage(t *testing.T) {
	t.Parallel()
	const hostile = "<script>alert(1)</script>\"'\u202e{{.}}"
	form := fullForm()
	for _, name := range []string{"input", "instructions", "model", "max_steps", "temperature", "previous_response_id", "server-7-label", "server-7-url", "server-7-tools"} {
		form.Set(name, hostile)
	}
	connectors := testConnectors()
	connectors[0].Name, connectors[0].Message, connectors[0].Tag = hostile, hostile, "Error"
	connectors[0].Tools[0].Description = hostile
	f := parsePlayForm(form, connectors)
	for _, field := range []string{"", "model", "server-7-url", f.Connectors[0].Field()} {
		f.Errors[field] = hostile
	}
	f.forgetSecrets()
	w := httptest.NewRecorder()
	err := pages.Render(w, 200, "playground", page.Frame{Title: "Playground", Account: &page.Account{}, Content: &playContent{
		Form: f, HasApprovals: true, Notes: []string{hostile}, Blank: playServer{Index: maxPlayIndex}, Models: []string{hostile},
		Exchange: &playExchange{ID: "resp_1", Prompt: hostile, Answer: hostile, Earlier: hostile, Asked: []playAsked{{ID: "mcpr_1", Server: hostile, Tool: hostile, Arguments: hostile}}},
		Code:     &playCode{Problem: hostile},
	}})
	if err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	if strings.Contains(body, playToken) {
		t.Error("the page has the token")
	}
	if strings.Contains(body, "<script>alert") || strings.Count(body, "&lt;script&gt;") < 15 {
		t.Errorf("foreign text is not shown as text: %s", body)
	}
	for _, want := range []string{`name="server-7-authorization" type="password"`, "enter it again", `value="find" checked`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
