package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxMCPRequest bounds the body of a request to an MCP server, in bytes.
const maxMCPRequest = 1 << 20

const (
	repoSchema = `{"type":"object","properties":{"repoName":{"type":"string"}},"required":["repoName"]}`
	askSchema  = `{"type":"object","properties":{"repoName":{"type":"string"},"question":{"type":"string"}},` +
		`"required":["repoName","question"]}`
)

type wikiInput struct {
	RepoName string `json:"repoName"`
}

type questionInput struct {
	RepoName string `json:"repoName"`
	Question string `json:"question"`
}

// WikiHandler is an MCP server that answers as DeepWiki does, about Perdure.
func WikiHandler() http.Handler {
	s := newMCPServer("perdure-demo-wiki")
	addWikiTool(s, "read_wiki_structure", "Get a list of documentation topics for a GitHub repository.", repoSchema,
		func(in wikiInput) (string, error) { return readWiki(in.RepoName, wikiStructure) })
	addWikiTool(s, "read_wiki_contents", "View documentation about a GitHub repository.", repoSchema,
		func(in wikiInput) (string, error) { return readWiki(in.RepoName, wikiContents) })
	addWikiTool(s, "ask_question",
		"Ask any question about a GitHub repository and get an AI-powered, context-grounded response.", askSchema,
		func(in questionInput) (string, error) {
			return readWiki(in.RepoName, func(pages []wikiPage) string { return wikiAnswer(pages, in.Question) })
		})
	return streamable(s)
}

func newMCPServer(name string) *mcp.Server {
	return mcp.NewServer(&mcp.Implementation{Name: name, Version: "1.0.0"}, &mcp.ServerOptions{
		// Without sessions there is nobody to notify of changes.
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
}

func streamable(s *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{
		Stateless:           true,
		JSONResponse:        true,
		MaxRequestBodyBytes: maxMCPRequest,
	})
}

func addWikiTool[In any](s *mcp.Server, name, description, schema string, answer func(In) (string, error)) {
	addTool(s, &mcp.Tool{
		Name:        name,
		Description: description,
		InputSchema: json.RawMessage(schema),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true},
	}, answer)
}

// addTool adds a tool that answers with text. An error of answer is the tool's own failure, for the model to read.
func addTool[In any](s *mcp.Server, t *mcp.Tool, answer func(In) (string, error)) {
	mcp.AddTool(s, t, func(_ context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		text, err := answer(in)
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	})
}

// readWiki gives the pages about a repository to read, or says that there are none.
func readWiki(name string, read func([]wikiPage) string) (string, error) {
	r, ok := parseRepo(name)
	switch {
	case ok && isPerdure(r.name) || isPerdure(name):
		return read(perdurePages()), nil
	case ok:
		return fmt.Sprintf("This is Perdure's demo server. It has no documentation of `%s`, only of `perdure/perdure`. "+
			"A real server, such as https://mcp.deepwiki.com/mcp, would answer about `%[1]s` here.", r), nil
	default:
		return "", errors.New("repoName must name a repository as owner/repo, for example perdure/perdure")
	}
}

func isPerdure(name string) bool { return strings.EqualFold(name, "perdure") }

func wikiStructure(pages []wikiPage) string {
	var b strings.Builder
	b.WriteString("Available pages for perdure/perdure:\n")
	for i, p := range pages {
		fmt.Fprintf(&b, "\n%d. %s", i+1, p.title)
	}
	return b.String()
}

func wikiContents(pages []wikiPage) string {
	var b strings.Builder
	for i, p := range pages {
		if i > 0 {
			b.WriteString("\n\n")
		}
		fmt.Fprintf(&b, "# %s\n\n%s", p.title, p.text)
	}
	return b.String()
}

// wikiAnswer returns the page that shares the most words with the question; the first page introduces the rest.
func wikiAnswer(pages []wikiPage, question string) string {
	asked := wordSet(clip(question, maxPrompt))
	best, most := pages[0], 0
	for _, p := range pages {
		shared := 0
		for word := range wordSet(p.title + " " + p.text) {
			if asked[word] {
				shared++
			}
		}
		if shared > most {
			best, most = p, shared
		}
	}
	return best.text
}
