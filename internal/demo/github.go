package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	searchSchema = `{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}`

	listIssuesSchema = `{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"},` +
		`"state":{"type":"string","enum":["OPEN","CLOSED"],"description":"Leave out for both"},` +
		`"direction":{"type":"string","enum":["ASC","DESC"],"description":"By number; DESC is the default"}},` +
		`"required":["owner","repo"]}`

	issueReadSchema = `{"type":"object","properties":{"method":{"type":"string","enum":["get","get_comments"]},` +
		`"owner":{"type":"string"},"repo":{"type":"string"},"issue_number":{"type":"number"}},` +
		`"required":["method","owner","repo","issue_number"]}`

	branchesSchema = `{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"}},` +
		`"required":["owner","repo"]}`

	fileSchema = `{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"},` +
		`"path":{"type":"string","default":"README.md"}},"required":["owner","repo"]}`

	createIssueSchema = `{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string"},` +
		`"title":{"type":"string","minLength":1,"maxLength":256},"body":{"type":"string","maxLength":16384}},` +
		`"required":["owner","repo","title"]}`
)

// sampleNote is part of every answer, so that nobody takes the samples for GitHub's.
const sampleNote = "Sample data of Perdure's demo server, not GitHub's"

var errNotRepo = errors.New("owner and repo must together name a repository, for example perdure and perdure")

// repoInput is the part of the input that names a repository.
type repoInput struct {
	Owner string `json:"owner"`
	Repo  string `json:"repo"`
}

func (in repoInput) parse() (repo, error) {
	r, ok := parseRepo(in.Owner + "/" + in.Repo)
	if !ok {
		return repo{}, errNotRepo
	}
	return r, nil
}

type searchInput struct {
	Query string `json:"query"`
}

type listIssuesInput struct {
	repoInput
	State     string `json:"state"`
	Direction string `json:"direction"`
}

type issueReadInput struct {
	repoInput
	Method string `json:"method"`
	Number int    `json:"issue_number"`
}

type fileInput struct {
	repoInput
	Path string `json:"path"`
}

type createIssueInput struct {
	repoInput
	Title string `json:"title"`
	Body  string `json:"body"`
}

// GitHubHandler is an MCP server with a few of the tools of GitHub's. It wants a bearer token and takes any. Issues that are
// created last as long as the handler.
func GitHubHandler() http.Handler {
	s := newMCPServer("perdure-demo-github")
	t := tracker{created: map[string][]issue{}}
	readOnly := &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true}

	addTool(s, &mcp.Tool{
		Name:        "search_repositories",
		Description: "Find GitHub repositories by name, description, readme, topics, or other metadata.",
		InputSchema: json.RawMessage(searchSchema),
		Annotations: readOnly,
	}, searchRepositories)
	addTool(s, &mcp.Tool{
		Name:        "list_issues",
		Description: "List issues in a GitHub repository.",
		InputSchema: json.RawMessage(listIssuesSchema),
		Annotations: readOnly,
	}, t.listIssues)
	addTool(s, &mcp.Tool{
		Name:        "issue_read",
		Description: "Get information about a specific issue in a GitHub repository.",
		InputSchema: json.RawMessage(issueReadSchema),
		Annotations: readOnly,
	}, t.readIssue)
	addTool(s, &mcp.Tool{
		Name:        "list_branches",
		Description: "List branches in a GitHub repository.",
		InputSchema: json.RawMessage(branchesSchema),
		Annotations: readOnly,
	}, listBranches)
	addTool(s, &mcp.Tool{
		Name:        "get_file_contents",
		Description: "Get the contents of a file in a GitHub repository.",
		InputSchema: json.RawMessage(fileSchema),
		Annotations: readOnly,
	}, fileContents)
	destructive := false
	addTool(s, &mcp.Tool{
		Name:        "create_issue",
		Description: "Create an issue in a GitHub repository.",
		InputSchema: json.RawMessage(createIssueSchema),
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &destructive},
	}, t.createIssue)
	return requireBearer(streamable(s))
}

// requireBearer refuses requests without a bearer token. It does not look at the token: there is nothing to protect, only
// something to show.
func requireBearer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="perdure-demo"`)
			http.Error(w, "a bearer token is required; the demo server takes any", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func searchRepositories(in searchInput) (string, error) {
	type item struct {
		FullName    string `json:"full_name"`
		Description string `json:"description"`
	}
	known := []item{
		{"perdure/perdure", "A self-hosted Agent API whose every response is a durable Temporal workflow"},
		{"perdure/examples", "Requests to Perdure with MCP tools, in curl, Go and Python"},
	}
	asked := wordSet(clip(in.Query, maxPrompt))
	found := []item{}
	for _, it := range known {
		for word := range wordSet(it.FullName + " " + it.Description) {
			if asked[word] {
				found = append(found, it)
				break
			}
		}
	}
	return encode(struct {
		Total int    `json:"total_count"`
		Items []item `json:"items"`
		Note  string `json:"note"`
	}{len(found), found, sampleNote})
}

func listBranches(in repoInput) (string, error) {
	if _, err := in.parse(); err != nil {
		return "", err
	}
	return encode(struct {
		Branches []string `json:"branches"`
		Note     string   `json:"note"`
	}{[]string{"main"}, sampleNote})
}

func fileContents(in fileInput) (string, error) {
	r, err := in.parse()
	if err != nil {
		return "", err
	}
	if !strings.EqualFold(in.Path, "README.md") {
		return "", errors.New("the demo server has no such file; every repository has a README.md")
	}
	text, err := readWiki(r.String(), wikiContents)
	if err != nil {
		return "", err
	}
	return text, nil
}

func encode(v any) (string, error) {
	data, err := marshal(v)
	if err != nil {
		return "", fmt.Errorf("demo: encode a tool's output: %w", err)
	}
	return string(data), nil
}
