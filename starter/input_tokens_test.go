package starter

import (
	"net/http"
	"strings"
	"testing"

	"perdure/activities"
	"perdure/internal/responses"
)

// count asks a starter that has no Temporal how many tokens a request has.
func count(t *testing.T, o Options, url, body string) int {
	t.Helper()
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	s := newStarter(t.Context(), t.Context(), o)
	a, err := post(t.Context(), handlers(t, s.routes()).URL+url, body)
	if err != nil {
		t.Fatal(err)
	}
	out := decoded[struct {
		Object      string
		InputTokens int `json:"input_tokens"`
	}](t, a)
	if out.Object != "response.input_tokens" {
		t.Errorf("object %q", out.Object)
	}
	return out.InputTokens
}

func TestInputTokens(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	sealed := must(activities.SealCompaction(o.Sealer, alice.Organization, "They spoke of fish."))
	const (
		list   = `{"type":"mcp_list_tools","server_label":"gh","tools":[{"name":"a","input_schema":{}},{"name":"b","input_schema":{}}]}`
		server = `{"type":"mcp","server_label":"gh","server_url":"http://127.0.0.1:1/mcp","require_approval":"never"`
		hi     = `{"role":"user","content":"hi"}`
	)
	bare := count(t, o, "/v1/responses/input_tokens", `{"input":"hi"}`)
	if bare != 8 { // 3 before the answer, 3 for a message, its role and its text
		t.Errorf("%d tokens", bare)
	}
	both := count(t, o, "/v1/responses/input_tokens", `{"input":[`+list+`,`+hi+`],"tools":[`+server+`}]}`)
	one := count(t, o, "/v1/responses/input_tokens", `{"input":[`+list+`,`+hi+`],"tools":[`+server+`,"allowed_tools":["b"]}]}`)
	if one <= bare || both-bare != 2*(one-bare) {
		t.Errorf("%d tokens with two tools, %d with one, %d with none", both, one, bare)
	}
	for name, test := range map[string]struct {
		url, body string
		more      int
	}{
		"agent":               {"/v1/agent/input_tokens", `{"input":"hi","model":"q/any"}`, 0},
		"instructions":        {"/v1/responses/input_tokens", `{"input":"hi","instructions":"Be kind."}`, 7},
		"server without list": {"/v1/responses/input_tokens", `{"input":"hi","tools":[` + server + `}]}`, 0},
		"list without server": {"/v1/responses/input_tokens", `{"input":[` + list + `,` + hi + `]}`, 0},
		// "Summary of the conversation so far:", a line's end and "They spoke of fish."
		"compaction": {"/v1/responses/input_tokens", `{"input":[{"type":"compaction","encrypted_content":"` + sealed + `"},` + hi + `]}`, 16},
	} {
		if got := count(t, o, test.url, test.body) - bare; got != test.more {
			t.Errorf("%s: %d tokens more, want %d", name, got, test.more)
		}
	}
}

func TestInputTokensOfWhatCannotBe(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	others := must(activities.SealCompaction(o.Sealer, "other", "theirs"))
	url := handlers(t, newStarter(t.Context(), t.Context(), o).routes()).URL + "/v1/responses/input_tokens"
	for body, param := range map[string]string{
		`{}`:                          "input",
		`{"input":"hi","surprise":1}`: "surprise",
		`{"input":[{"type":"compaction","encrypted_content":"` + others + `"}]}`: "input",
	} {
		a, err := post(t.Context(), url, body)
		if err != nil {
			t.Fatal(err)
		}
		if shown := a.failed(t); a.status != http.StatusBadRequest || shown.Param != param || strings.Contains(a.body, "theirs") {
			t.Errorf("%s: HTTP %d with %s", body, a.status, a.body)
		}
	}
	if a, err := do(t.Context(), http.MethodPost, url, strings.NewReader(hello)); err != nil || a.failed(t).Type != responses.ErrUnauthorized {
		t.Errorf("without a key: HTTP %d, %v", a.status, err)
	}
}
