package demo_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	notice = "(This answer was written by Perdure's scripted demo model; configure a model to get real ones.)"

	// tools are those of the seed's two servers, named as Perdure does.
	tools = `[
	 {"type":"function","function":{"name":"deepwiki__read_wiki_structure","description":"Get a list of documentation topics for a GitHub repository.",
	  "parameters":{"type":"object","properties":{"repoName":{"type":"string"}},"required":["repoName"]}}},
	 {"type":"function","function":{"name":"deepwiki__read_wiki_contents","description":"View documentation about a GitHub repository.",
	  "parameters":{"type":"object","properties":{"repoName":{"type":"string"}},"required":["repoName"]}}},
	 {"type":"function","function":{"name":"deepwiki__ask_question","description":"Ask any question about a GitHub repository and get an AI-powered, context-grounded response.",
	  "parameters":{"type":"object","properties":{"repoName":{"type":"string"},"question":{"type":"string"}},"required":["repoName","question"]}}},
	 {"type":"function","function":{"name":"github__issue_read","description":"Get information about a specific issue in a GitHub repository.",
	  "parameters":{"type":"object","properties":{"method":{"type":"string"},"owner":{"type":"string"},"repo":{"type":"string"},"issue_number":{"type":"number"}},
	   "required":["method","owner","repo","issue_number"]}}},
	 {"type":"function","function":{"name":"github__list_issues","description":"List issues in a GitHub repository.",
	  "parameters":{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"},"state":{"type":"string"}},"required":["owner","repo"]}}},
	 {"type":"function","function":{"name":"github__search_repositories","description":"Find GitHub repositories by name, description, readme, topics, or other metadata.",
	  "parameters":{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}}}]`

	askPrompt    = "Use DeepWiki to explain what the perplexityai/perplexity-py repository does."
	issuesPrompt = "Use GitHub to find open issues about authentication in perplexityai/perplexity-py."
)

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

type toolCall struct {
	Index    int    `json:"index"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type message struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	ToolCalls []toolCall `json:"tool_calls"`
}

type completion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Model   string `json:"model"`
	Choices []struct {
		Message      message `json:"message"`
		Delta        message `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *usage `json:"usage"`
}

// request is the body of a request with one user message and further members.
func request(t *testing.T, prompt, more string) string {
	t.Helper()
	content, err := json.Marshal(prompt)
	if err != nil {
		t.Fatal(err)
	}
	return `{"model":"openai/gpt-5.5","messages":[{"role":"user","content":` + string(content) + `}]` + more + `}`
}

func complete(t *testing.T, url, body string) (message, string, completion) {
	t.Helper()
	resp := post(t, url+"/v1/chat/completions", body)
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("status %d: %s", resp.StatusCode, text)
	}
	var c completion
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if len(c.Choices) != 1 || c.Choices[0].FinishReason == nil {
		t.Fatalf("not a finished choice: %+v", c)
	}
	return c.Choices[0].Message, *c.Choices[0].FinishReason, c
}

// callsOf lists calls as "name arguments".
func callsOf(calls []toolCall) []string {
	var out []string
	for _, c := range calls {
		out = append(out, c.Function.Name+" "+c.Function.Arguments)
	}
	return out
}

func TestModelPicksTools(t *testing.T) {
	t.Parallel()
	url := serve(t)
	for _, tt := range []struct {
		name, prompt, more string
		want               []string
	}{
		{
			"seed: DeepWiki", askPrompt, "",
			[]string{`deepwiki__ask_question {"question":"` + askPrompt + `","repoName":"perplexityai/perplexity-py"}`},
		},
		{
			"seed: GitHub", issuesPrompt, "",
			[]string{`github__list_issues {"owner":"perplexityai","repo":"perplexity-py"}`},
		},
		{
			"a number", "Use GitHub to read issue #60 of https://github.com/a/b.", "",
			[]string{`github__issue_read {"issue_number":60,"method":"Use GitHub to read issue #60 of https://github.com/a/b.","owner":"a","repo":"b"}`},
		},
		{
			"no server named", "Which topics does the documentation of a/b have?", "",
			[]string{`deepwiki__read_wiki_structure {"repoName":"a/b"}`},
		},
		{
			"a quotation", `Search repositories for "durable agents"`, "",
			[]string{`github__search_repositories {"query":"durable agents"}`},
		},
		{
			"several repositories", `Use deepwiki to answer "why?" for a/b, c/d, e/f, g/h and i/j`, "",
			[]string{
				`deepwiki__ask_question {"question":"why?","repoName":"a/b"}`,
				`deepwiki__ask_question {"question":"why?","repoName":"c/d"}`,
				`deepwiki__ask_question {"question":"why?","repoName":"e/f"}`,
				`deepwiki__ask_question {"question":"why?","repoName":"g/h"}`,
			},
		},
		{
			"not in parallel", `Use deepwiki to answer "why?" for a/b and c/d`, `,"parallel_tool_calls":false`,
			[]string{`deepwiki__ask_question {"question":"why?","repoName":"a/b"}`},
		},
		{
			"both servers", "Ask both: DeepWiki to describe a/b, GitHub to list its issues", "",
			[]string{
				`github__list_issues {"owner":"a","repo":"b"}`,
				`deepwiki__ask_question {"question":"Ask both: DeepWiki to describe a/b, GitHub to list its issues","repoName":"a/b"}`,
			},
		},
		{
			"both tools", "Use GitHub both to list issues of a/b and to search repositories", "",
			[]string{
				`github__list_issues {"owner":"a","repo":"b"}`,
				`github__search_repositories {"query":"Use GitHub both to list issues of a/b and to search repositories"}`,
			},
		},
		{"nothing fits", "Good morning!", "", nil},
		{"a chance word", "Tell me a joke", "", nil},
		{"none", askPrompt, `,"tool_choice":"none"`, nil},
		{"required", "Good morning!", `,"tool_choice":"required"`, []string{`github__search_repositories {"query":"Good morning!"}`}},
		{
			"one function", askPrompt, `,"tool_choice":{"type":"function","function":{"name":"deepwiki__read_wiki_contents"}}`,
			[]string{`deepwiki__read_wiki_contents {"repoName":"perplexityai/perplexity-py"}`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, finish, c := complete(t, url, request(t, tt.prompt, `,"tools":`+tools+tt.more))
			if diff := cmp.Diff(tt.want, callsOf(m.ToolCalls)); diff != "" {
				t.Error(diff)
			}
			ids := map[string]bool{}
			for _, c := range m.ToolCalls {
				ids[c.ID] = c.Type == "function" && strings.HasPrefix(c.ID, "call_")
			}
			for id, ok := range ids {
				if !ok {
					t.Errorf("bad call %q", id)
				}
			}
			if len(ids) != len(m.ToolCalls) {
				t.Errorf("%d IDs for %d calls", len(ids), len(m.ToolCalls))
			}
			if (finish == "tool_calls") != (len(tt.want) > 0) || (m.Content == nil) != (len(tt.want) > 0) {
				t.Errorf("finish_reason %q, content %v with %d calls", finish, m.Content, len(tt.want))
			}
			if c.Model != "openai/gpt-5.5" || c.Usage.Prompt < 100 || c.Usage.Completion < 5 || c.Usage.Total != c.Usage.Prompt+c.Usage.Completion {
				t.Errorf("model %q, usage %+v", c.Model, c.Usage)
			}
		})
	}
}

// TestModelIgnoresNaming offers the same tool under names of other schemes.
func TestModelIgnoresNaming(t *testing.T) {
	t.Parallel()
	url := serve(t)
	for _, name := range []string{"ask_question", "deepwiki_ask_question", "deepwiki-askQuestion", "mcp__deepwiki__ask_question", "dw__ask_question_ABCDEFGH"} {
		renamed := strings.ReplaceAll(tools, "deepwiki__ask_question", name)
		m, _, _ := complete(t, url, request(t, "Please explain what a/b does.", `,"tools":`+renamed))
		want := []string{name + ` {"question":"Please explain what a/b does.","repoName":"a/b"}`}
		if diff := cmp.Diff(want, callsOf(m.ToolCalls)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestModelAnswers(t *testing.T) {
	t.Parallel()
	url := serve(t)
	long := strings.Repeat("word ", 1000)
	for _, tt := range []struct {
		name, more string // more follows the user's message
		want       string
	}{
		{
			"tool output", turn("a", "deepwiki__ask_question", "It is a **library**.\nIt has tests."),
			"I asked the tool `ask_question`. It answered:\n\n> It is a **library**.\n> It has tests.\n\n" + notice,
		},
		{
			"long output", turn("a", "deepwiki__ask_question", long),
			"I asked the tool `ask_question`. It answered:\n\n> " + strings.TrimSpace(long[:600]) + " …\n\n" + notice,
		},
		{
			"failure", turn("a", "deepwiki__ask_question", "The tool call failed: no such repository"),
			"The tool `ask_question` failed, so I cannot answer from it. It said:\n\n> The tool call failed: no such repository\n\n" + notice,
		},
		{
			"failure in JSON", turn("a", "deepwiki__ask_question", `{\"error\":\"no\"}`),
			"The tool `ask_question` failed, so I cannot answer from it. It said:\n\n> {\"error\":\"no\"}\n\n" + notice,
		},
		{
			"about errors", turn("a", "deepwiki__ask_question", "Error handling is in errors.go."),
			"I asked the tool `ask_question`. It answered:\n\n> Error handling is in errors.go.\n\n" + notice,
		},
		{
			"no output", turn("a", "deepwiki__ask_question", " "),
			"The tool `ask_question` returned no text.\n\n" + notice,
		},
		{
			"two calls", turn("a", "deepwiki__ask_question", "One.") + turn("b", "github__list_issues", "Two."),
			"I asked the tool `ask_question`. It answered:\n\n> One.\n\nI asked the tool `list_issues`. It answered:\n\n> Two.\n\n" + notice,
		},
		{
			"call without output", `,{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
			"I called the tool `f` but have not seen its output.\n\n" + notice,
		},
		{
			"a new question", turn("a", "deepwiki__ask_question", "One.") + `,{"role":"user","content":[{"type":"text","text":"Thank you."}]}`,
			"Your message was: Thank you.\n\nI am a script that knows nothing by itself, and none of the 6 offered tools seems to fit it.\n\n" + notice,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := `{"model":"m","messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"` + askPrompt + `"}` + tt.more + `],"tools":` + tools + `}`
			m, finish, _ := complete(t, url, body)
			if m.Content == nil || finish != "stop" || m.Role != "assistant" {
				t.Fatalf("finish_reason %q, message %+v", finish, m)
			}
			if diff := cmp.Diff(tt.want, *m.Content); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// turn is an assistant's call and the tool's output, to follow another message.
func turn(id, name, output string) string {
	return `,{"role":"assistant","content":null,"tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"` + id + `","content":"` + strings.ReplaceAll(output, "\n", `\n`) + `"}`
}

func TestModelContinuesPlan(t *testing.T) {
	t.Parallel()
	url := serve(t)
	start := `{"model":"m","messages":[{"role":"user","content":"Use deepwiki to read the contents of a/b and c/d"}`
	end := `],"parallel_tool_calls":false,"tools":` + tools + `}`
	more := ""
	for _, want := range []string{`{"repoName":"a/b"}`, `{"repoName":"c/d"}`} {
		m, _, _ := complete(t, url, start+more+end)
		if diff := cmp.Diff([]string{"deepwiki__read_wiki_contents " + want}, callsOf(m.ToolCalls)); diff != "" {
			t.Fatal(diff)
		}
		more += turn(m.ToolCalls[0].ID, "deepwiki__read_wiki_contents", "Text.")
	}
	m, finish, _ := complete(t, url, start+more+end)
	if finish != "stop" || strings.Count(*m.Content, "> Text.") != 2 {
		t.Errorf("finish_reason %q: %v", finish, m)
	}
	m, _, _ = complete(t, url, start+more+strings.Replace(end, `"tools"`, `"tool_choice":"required","tools"`, 1))
	if len(m.ToolCalls) != 1 {
		t.Errorf("a required call was not made: %+v", m)
	}
}

func TestModelWithoutTools(t *testing.T) {
	t.Parallel()
	url := serve(t)
	m, _, _ := complete(t, url, request(t, "Hello <b>there</b>", ""))
	want := "Your message was: Hello <b>there</b>\n\nI am a script that knows nothing by itself, and no tool was offered that I could ask.\n\n" + notice
	if diff := cmp.Diff(want, *m.Content); diff != "" {
		t.Error(diff)
	}
	m, _, _ = complete(t, url, `{"model":"m","messages":[{"role":"system","content":"Be kind."}]}`)
	if !strings.Contains(*m.Content, "no user message") {
		t.Errorf("without a user message: %q", *m.Content)
	}
	m, finish, _ := complete(t, url, request(t, "Hello", `,"max_completion_tokens":4`))
	if *m.Content != "Your message was" || finish != "length" {
		t.Errorf("cut to 4 tokens: %q, %q", *m.Content, finish)
	}
}

func TestModelIsDeterministic(t *testing.T) {
	t.Parallel()
	url := serve(t)
	body := request(t, `Use both servers: deepwiki and github for a/b`, `,"tools":`+tools)
	first, _, c1 := complete(t, url, body)
	second, _, c2 := complete(t, url, body)
	if diff := cmp.Diff(first, second); diff != "" || c1.ID != c2.ID {
		t.Errorf("IDs %s, %s; %s", c1.ID, c2.ID, diff)
	}
}

func TestModelRefusesBadRequests(t *testing.T) {
	t.Parallel()
	url := serve(t)
	const user = `"messages":[{"role":"user","content":"x"}]`
	for _, tt := range []struct {
		name, body, param string
		status            int
	}{
		{"not JSON", `{`, "", http.StatusBadRequest},
		{"no model", `{` + user + `}`, "model", http.StatusBadRequest},
		{"no messages", `{"model":"m"}`, "messages", http.StatusBadRequest},
		{"a role", `{"model":"m","messages":[{"role":"user"},{"role":"king"}]}`, "messages[1].role", http.StatusBadRequest},
		{"content", `{"model":"m","messages":[{"role":"user","content":{"text":"x"}}]}`, "messages", http.StatusBadRequest},
		{"a tool's type", `{"model":"m",` + user + `,"tools":[{"type":"web_search"}]}`, "tools[0]", http.StatusBadRequest},
		{"wrong type", `{"model":7}`, "model", http.StatusBadRequest},
		{"too many tools", `{"model":"m",` + user + `,"tools":[{}` + strings.Repeat(",{}", 128) + `]}`, "tools", http.StatusBadRequest},
		{"a tool choice", `{"model":"m",` + user + `,"tool_choice":"maybe"}`, "tool_choice", http.StatusBadRequest},
		{"a tool that is not offered", `{"model":"m",` + user + `,"tool_choice":{"type":"function","function":{"name":"f"}}}`, "tool_choice", http.StatusBadRequest},
		{"no tools", `{"model":"m",` + user + `,"tool_choice":"required"}`, "tool_choice", http.StatusBadRequest},
		{"too large", `{"model":"` + strings.Repeat("m", 32<<20) + `"}`, "", http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp := post(t, url+"/v1/chat/completions", tt.body)
			var got struct {
				Error struct {
					Message, Type string
					Param         *string
				}
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			param := ""
			if got.Error.Param != nil {
				param = *got.Error.Param
			}
			if resp.StatusCode != tt.status || param != tt.param || got.Error.Type != "invalid_request_error" || got.Error.Message == "" {
				t.Errorf("status %d, error %+v, param %q; want %d, %q", resp.StatusCode, got.Error, param, tt.status, tt.param)
			}
		})
	}
}
