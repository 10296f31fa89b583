package e2e

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// TestStreamsSayWhatResponsesSay: whatever happens in a run, its events agree with each other and with what GET says, and they can be
// read again byte for byte.
func TestStreamsSayWhatResponsesSay(t *testing.T) {
	t.Parallel()
	weather := func(city string) modeltest.Call {
		return modeltest.Call{Name: "get_weather", Arguments: `{"city":"` + city + `"}`}
	}
	text := manyPieces("word", 10)
	// Of a reply that breaks off, the first chunk has no text.
	tests := []struct {
		name   string
		script []modeltest.Reply
		status string
		want   []string // the output
		gone   []string // the types of the items that were given up
		model  string   // that answered, if not the first
	}{
		{name: "reasoning", script: []modeltest.Reply{modeltest.Text(text).WithReasoning("A thought in a number of pieces.")}, want: []string{"reasoning", "message"}},
		{name: "refusal", script: []modeltest.Reply{modeltest.Text("").WithRefusal("That is not something that I do.")}, want: []string{"message"}},
		{name: "text and refusal", script: []modeltest.Reply{modeltest.Text(text).WithRefusal("But no more of it.")}, want: []string{"message"}},
		{
			name: "parallel calls", script: []modeltest.Reply{twoCalls().WithText("Let me see what they say."), modeltest.Text(text)},
			want: []string{"mcp_list_tools", "message", "mcp_call", "mcp_call", "message"},
		},
		{
			name: "failed call", script: []modeltest.Reply{modeltest.Calls(modeltest.Call{Name: "s__fail", Arguments: "{}"}), modeltest.Text(text)},
			want: []string{"mcp_list_tools", "mcp_call", "message"},
		},
		{
			name:   "function calls",
			script: []modeltest.Reply{modeltest.Calls(weather("Paris"), weather("Oslo")).WithReasoning("Two cities.").WithText(text)},
			want:   []string{"mcp_list_tools", "reasoning", "message", "function_call", "function_call"},
		},
		{
			name: "functions and MCP calls", script: []modeltest.Reply{
				modeltest.Calls(weather("Paris"), modeltest.Call{Name: "s__echo", Arguments: `{"text":"x"}`}, weather("Oslo")),
			},
			want: []string{"mcp_list_tools", "mcp_call", "function_call", "function_call"},
		},
		{
			name: "message that breaks off", script: []modeltest.Reply{modeltest.Text(manyPieces("lost", 9)).TruncateAfter(6), modeltest.Text(text)},
			want: []string{"message"}, gone: []string{"message"},
		},
		{
			name: "the same again after it broke off", script: []modeltest.Reply{modeltest.Text(text).TruncateAfter(6), modeltest.Text(text)},
			want: []string{"message"}, gone: []string{"message"},
		},
		{
			name: "reasoning and message that break off", script: []modeltest.Reply{
				modeltest.Text(manyPieces("lost", 9)).WithReasoning("A thought.").TruncateAfter(6), modeltest.Text(text),
			},
			want: []string{"message"}, gone: []string{"reasoning", "message"},
		},
		{
			name: "function call that breaks off", script: []modeltest.Reply{modeltest.Calls(weather("Paris"), weather("Oslo")).TruncateAfter(6), modeltest.Text(text)},
			want: []string{"mcp_list_tools", "message"},
		},
		{
			name: "MCP call that breaks off", script: []modeltest.Reply{twoCalls().WithText("Let me see.").TruncateAfter(5), twoCalls(), modeltest.Text(text)},
			want: []string{"mcp_list_tools", "mcp_call", "mcp_call", "message"}, gone: []string{"message"},
		},
		{
			name: "fallback model", script: []modeltest.Reply{
				modeltest.Text(manyPieces("lost", 9)).TruncateAfter(6),
				modeltest.Status(404, nil, `{"error":{"message":"The model does not exist","code":"model_not_found"}}`), modeltest.Text(text),
			},
			want: []string{"message"}, gone: []string{"message"}, model: "backup/",
		},
		{
			name: "failed run", script: []modeltest.Reply{
				modeltest.Text(manyPieces("lost", 9)).TruncateAfter(6), modeltest.Status(401, nil, `{"error":{"message":"Incorrect API key provided"}}`),
			},
			status: "failed", gone: []string{"message"},
		},
		{name: "length", script: []modeltest.Reply{modeltest.Text(text).WithFinish("length")}, status: "incomplete", want: []string{"message"}},
	}
	for dialect, start := range map[string]func(*testing.T) *stack{"agent": sharedStack, "openai": sharedOpenAIStack} {
		s := start(t)
		for _, test := range tests {
			t.Run(dialect+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				_, tool := startTools(t)
				tools := []string{}
				if slices.Contains(test.want, "mcp_list_tools") {
					tools = append(tools, tool, weatherTool)
				}
				members := `"input": "x", "stream": true, "tools": [` + strings.Join(tools, ", ") + `]`
				body := ask(t, modeltest.New(test.script...), "%s", members)
				if test.model != "" {
					own := plugName(t)
					body = []byte(`{"models": ["openai/gpt-5.5@` + own + `", "` + test.model + `gpt-5.5@` + own + `"], ` + members + `}`)
				}
				frames := postStream(t, s.url, body).whole(t)
				events := checkWhole(t, frames)
				_, last := final(t, events)
				r := *events[len(events)-1].Response
				if want := cmp.Or(test.status, "completed"); r.Status != want || events[len(events)-1].Type != "response."+want {
					t.Errorf("got status %s in %s, want %s", r.Status, events[len(events)-1].Type, want)
				}
				if !slices.Equal(r.types(), test.want) || !strings.HasPrefix(r.Model, cmp.Or(test.model, "openai/")) {
					t.Errorf("got the items %v of %s, want %v", r.types(), r.Model, test.want)
				}
				if gone := givenUp(t, events); !slices.Equal(gone, test.gone) {
					t.Errorf("the items %v were given up, want %v", gone, test.gone)
				}
				a, err := request(t.Context(), http.MethodGet, s.url+"/v1/responses/"+r.ID, apiKey, "")
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(decoded(t, a.body), decoded(t, last)); diff != "" {
					t.Errorf("the last event differs from the response (-response +event):\n%s", diff)
				}
				if diff := difference(frames, replay(t, s.url, r.ID)); diff != "" {
					t.Errorf("read again: %s", diff)
				}
			})
		}
	}
}

// givenUp lists the types of the items that were done and are not in the output. They were closed as incomplete, except for a reasoning:
// it is done when the model goes on to its message.
func givenUp(t *testing.T, events []event) []string {
	t.Helper()
	_, last := final(t, events)
	var types []string
	for _, e := range events {
		if e.Type != "response.output_item.done" {
			continue
		}
		var done struct{ Item wireItem }
		if err := json.Unmarshal(e.raw, &done); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(last), `"`+done.Item.ID+`"`) {
			continue
		}
		if done.Item.Status != "incomplete" && done.Item.Type != "reasoning" {
			t.Errorf("an item that is not in the output was done: %s", e.raw)
		}
		types = append(types, done.Item.Type)
	}
	return types
}

// TestDiscoveryFailureWithStream: a server that cannot be listed is an HTTP status even when a stream was asked for. In the background
// the run was accepted before, so that there it is how the run ended; one that is merely away would be waited for.
func TestDiscoveryFailureWithStream(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	const members = `"input": "x", "stream": true, "tools": [{"type": "mcp", "server_label": "gone", "server_url": "%s"}]`
	body := string(ask(t, modeltest.New(), members, closedPort(t)))
	refusing := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := refusing.Close(); err != nil {
			t.Error(err)
		}
	})
	refusing.On("tools/list", mcptest.Status(http.StatusForbidden))
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		a, err := s.respond(t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		if p := readProblem(t, a); a.status != http.StatusFailedDependency || p.Error.Type != "external_connector_error" {
			t.Errorf("got status %d: %s", a.status, a.body)
		}
	})
	t.Run("background", func(t *testing.T) {
		t.Parallel()
		background := askAgain(t, `"background": true, `+members, refusing.URL())
		events := checkWhole(t, postStream(t, s.url, background).whole(t))
		last := events[len(events)-1]
		if r := last.Response; last.Type != "response.failed" || r.Status != "failed" || r.Error == nil || !strings.Contains(r.Error.Message, `"gone"`) {
			t.Errorf("the stream ends with %s", last.raw)
		}
		got := s.get(t, events[0].Response.ID)
		if got.Status != "failed" || got.Error == nil {
			t.Errorf("got status %s, error %+v", got.Status, got.Error)
		}
	})
}
