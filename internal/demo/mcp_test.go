package demo_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"perdure/internal/demo"
)

// bearer adds a token to requests.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b != "" {
		r.Header.Set("Authorization", string(b))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func connect(t *testing.T, url, authorization string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint:             url,
		HTTPClient:           &http.Client{Transport: bearer(authorization)},
		MaxRetries:           -1,
		DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(demo.Handler(demo.Options{}))
	t.Cleanup(s.Close)
	return s.URL
}

// call returns the text of a tool's result and whether it is an error.
func call(t *testing.T, session *mcp.ClientSession, tool, arguments string) (string, bool) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(arguments)})
	if err != nil {
		t.Fatalf("%s(%s): %v", tool, arguments, err)
	}
	if len(result.Content) != 1 {
		t.Fatalf("%s(%s): %d contents, want 1", tool, arguments, len(result.Content))
	}
	return result.Content[0].(*mcp.TextContent).Text, result.IsError
}

type listedTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"inputSchema"`
	Annotations struct {
		ReadOnly bool `json:"readOnlyHint"`
	} `json:"annotations"`
}

func listTools(t *testing.T, session *mcp.ClientSession) []listedTool {
	t.Helper()
	result, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(result.Tools)
	if err != nil {
		t.Fatal(err)
	}
	var tools []listedTool
	if err := json.Unmarshal(data, &tools); err != nil {
		t.Fatal(err)
	}
	return tools
}

func TestWikiTools(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"read_wiki_structure": "Get a list of documentation topics for a GitHub repository.",
		"read_wiki_contents":  "View documentation about a GitHub repository.",
		"ask_question":        "Ask any question about a GitHub repository and get an AI-powered, context-grounded response.",
	}
	got := map[string]string{}
	for _, tool := range listTools(t, connect(t, serve(t)+"/mcp", "")) {
		got[tool.Name] = tool.Description
		if !tool.Annotations.ReadOnly {
			t.Errorf("%s does not say that it only reads", tool.Name)
		}
		var s struct {
			Required []string `json:"required"`
		}
		if err := json.Unmarshal(tool.InputSchema, &s); err != nil || !slices.Contains(s.Required, "repoName") {
			t.Errorf("%s does not require repoName: %s", tool.Name, tool.InputSchema)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWikiCalls(t *testing.T) {
	t.Parallel()
	session := connect(t, serve(t)+"/mcp", "")
	for _, tt := range []struct {
		name, tool, arguments string
		want                  string // a part
		failed                bool
	}{
		{"structure", "read_wiki_structure", `{"repoName":"perdure/perdure"}`, "3. Connecting MCP servers", false},
		{"contents", "read_wiki_contents", `{"repoName":"Perdure"}`, "# When something fails", false},
		{"introduction", "ask_question", `{"repoName":"perdure/perdure","question":"?"}`, "self-hosted Agent API", false},
		{"question", "ask_question", `{"repoName":"me/perdure","question":"What happens when a tool call fails?"}`, "424", false},
		{
			"other repository", "ask_question", `{"repoName":"perplexityai/perplexity-py","question":"What does it do?"}`,
			"no documentation of `perplexityai/perplexity-py`", false,
		},
		{"URL", "read_wiki_structure", `{"repoName":"https://github.com/a/b"}`, "`a/b`", false},
		{"no repository", "read_wiki_contents", `{"repoName":"everything, please"}`, "owner/repo", true},
		{"missing argument", "ask_question", `{"repoName":"a/b"}`, "question", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, failed := call(t, session, tt.tool, tt.arguments)
			if failed != tt.failed || !strings.Contains(text, tt.want) {
				t.Errorf("failed %v with %q, want failed %v with %q in it", failed, text, tt.failed, tt.want)
			}
			again, _ := call(t, session, tt.tool, tt.arguments)
			if again != text {
				t.Errorf("a second call gave %q, the first %q", again, text)
			}
		})
	}
}

func TestGitHubWantsBearer(t *testing.T) {
	t.Parallel()
	url := serve(t) + "/github/mcp"
	for _, tt := range []struct {
		authorization string
		want          int
	}{
		{"", http.StatusUnauthorized},
		{"Bearer", http.StatusUnauthorized},
		{"Bearer  ", http.StatusUnauthorized},
		{"Basic dTpw", http.StatusUnauthorized},
		{"Bearer x", http.StatusOK},
		{"bearer x", http.StatusOK},
	} {
		body := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		resp, err := (&http.Client{Transport: bearer(tt.authorization)}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		challenged := strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ")
		if resp.StatusCode != tt.want || challenged != (tt.want == http.StatusUnauthorized) {
			t.Errorf("authorization %q: status %d, challenged %v; want %d", tt.authorization, resp.StatusCode, challenged, tt.want)
		}
	}
}

func TestGitHubTools(t *testing.T) {
	t.Parallel()
	want := map[string]bool{ // read-only
		"search_repositories": true,
		"list_issues":         true,
		"issue_read":          true,
		"list_branches":       true,
		"get_file_contents":   true,
		"create_issue":        false,
	}
	got := map[string]bool{}
	for _, tool := range listTools(t, connect(t, serve(t)+"/github/mcp", "Bearer x")) {
		got[tool.Name] = tool.Annotations.ReadOnly
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGitHubCalls(t *testing.T) {
	t.Parallel()
	session := connect(t, serve(t)+"/github/mcp", "Bearer x")
	const note = `"note":"Sample data of Perdure's demo server, not GitHub's"}`
	for _, tt := range []struct {
		name, tool, arguments string
		want                  string
		failed                bool
	}{
		{
			"open issues", "list_issues", `{"owner":"a","repo":"b","state":"OPEN","orderBy":"CREATED_AT","direction":"DESC"}`,
			`{"issues":[{"number":3,"title":"Document the authentication header","state":"OPEN"},` +
				`{"number":2,"title":"Retry requests that fail with status 503","state":"OPEN"}],"totalCount":2,` + note, false,
		},
		{
			"closed issues", "list_issues", `{"owner":"a","repo":"b","state":"CLOSED","direction":"ASC"}`,
			`{"issues":[{"number":1,"title":"Add a getting-started guide","state":"CLOSED"}],"totalCount":1,` + note, false,
		},
		{
			"issue", "issue_read", `{"method":"get","owner":"a","repo":"b","issue_number":2}`,
			`{"number":2,"title":"Retry requests that fail with status 503","state":"OPEN","body":"Today the first 503 ends the whole run.",` +
				note, false,
		},
		{"comments", "issue_read", `{"method":"get_comments","owner":"a","repo":"b","issue_number":2}`, `{"comments":[],` + note, false},
		{
			"no such issue", "issue_read", `{"method":"get","owner":"a","repo":"b","issue_number":60}`,
			"a/b has no issue #60; list_issues shows those that exist", true,
		},
		{
			"not a repository", "list_issues", `{"owner":"a b","repo":"c"}`,
			"owner and repo must together name a repository, for example perdure and perdure", true,
		},
		{
			"search", "search_repositories", `{"query":"durable workflows"}`,
			`{"total_count":1,"items":[{"full_name":"perdure/perdure",` +
				`"description":"A self-hosted Agent API whose every response is a durable Temporal workflow"}],` + note, false,
		},
		{"search in vain", "search_repositories", `{"query":"pelicans"}`, `{"total_count":0,"items":[],` + note, false},
		{"branches", "list_branches", `{"owner":"a","repo":"b"}`, `{"branches":["main"],` + note, false},
		{
			"no such file", "get_file_contents", `{"owner":"a","repo":"b","path":"x"}`,
			"the demo server has no such file; every repository has a README.md", true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, failed := call(t, session, tt.tool, tt.arguments)
			if diff := cmp.Diff(tt.want, text); diff != "" || failed != tt.failed {
				t.Errorf("failed %v, want %v; text: %s", failed, tt.failed, diff)
			}
		})
	}
	if text, failed := call(t, session, "get_file_contents", `{"owner":"perdure","repo":"perdure"}`); failed || !strings.Contains(text, "Agent API") {
		t.Errorf("README.md: failed %v: %q", failed, text)
	}
}

func TestGitHubKeepsIssues(t *testing.T) {
	t.Parallel()
	session := connect(t, serve(t)+"/github/mcp", "Bearer x")
	text, failed := call(t, session, "create_issue", `{"owner":"A","repo":"b","title":"It rains","body":"Again."}`)
	if failed || !strings.HasPrefix(text, `{"number":4,"title":"It rains","state":"OPEN",`) {
		t.Fatalf("create_issue: failed %v: %s", failed, text)
	}
	text, _ = call(t, session, "issue_read", `{"method":"get","owner":"a","repo":"B","issue_number":4}`)
	if !strings.Contains(text, `"body":"Again."`) {
		t.Errorf("issue_read: %s", text)
	}
	if text, failed = call(t, session, "issue_read", `{"method":"get","owner":"a","repo":"other","issue_number":4}`); !failed {
		t.Errorf("the issue is in another repository as well: %s", text)
	}
	if text, failed = call(t, session, "create_issue", `{"owner":"a","repo":"b","title":""}`); !failed {
		t.Errorf("an empty title was taken: %s", text)
	}
}
