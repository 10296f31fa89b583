package ui

// playExample is a prompt to begin with, and the server that it is for, if it is for one.
type playExample struct {
	Title, Prompt     string
	Label, URL, Tools string
}

// deepWikiURL is a public MCP server that needs no account.
const deepWikiURL = "https://mcp.deepwiki.com/mcp"

// playExamples work as they are: with the demo's server where there is one, or else with one that is there for everybody.
func (u *ui) playExamples() []playExample {
	if u.DemoMCP == "" {
		return []playExample{
			{Title: "Ask about a repository", Prompt: "Use DeepWiki to explain what the temporalio/sdk-go repository does.", Label: "deepwiki", URL: deepWikiURL},
			{Title: "One tool only", Prompt: "Which topics does DeepWiki document of modelcontextprotocol/go-sdk?", Label: "deepwiki", URL: deepWikiURL, Tools: "read_wiki_structure"},
			{Title: "No tools", Prompt: "Explain in three sentences how a program can survive the crash of the machine that it runs on."},
		}
	}
	return []playExample{
		{Title: "Ask about a repository", Prompt: "Use DeepWiki to explain what the perdure/perdure repository does.", Label: "deepwiki", URL: u.DemoMCP},
		{
			Title: "Two tools at once", Prompt: "Show me both the structure and the contents of the wiki of perdure/perdure.", Label: "deepwiki", URL: u.DemoMCP,
			Tools: "read_wiki_structure, read_wiki_contents",
		},
		{Title: "No tools", Prompt: "Say hello, and tell me who you are."},
	}
}

// fill puts an example into the form.
func (e playExample) fill(f *playForm) {
	f.Prompt = e.Prompt
	if e.Label == "" {
		return
	}
	f.addServer()
	s := &f.Servers[len(f.Servers)-1]
	s.Label, s.URL, s.Tools = e.Label, e.URL, e.Tools
}
