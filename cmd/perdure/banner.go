package main

import (
	"fmt"
	"path/filepath"
)

// banner tells a newcomer where everything is, and what to type next.
func (d *devServer) banner() {
	model, example := d.config.Models.Default, d.config.Models.Default
	if model == "" {
		model, example = "(name one in each request)", "PROVIDER/MODEL"
	}
	fmt.Fprintf(d.out, `
Perdure is ready.

  API              %s
  Temporal Web UI  %s
  API key          %s
                   kept in %s
  Sign-in link     %s
                   opens the pages, signed in as %s: once, within 15 minutes
  Model            %s
  Demo MCP server  %s
                   %s (takes any token as authorization)
  State            %s

`, d.http, orNone(d.uiURL), d.apiKey.Reveal(), filepath.Join(d.dir, keyFile), d.signIn.Reveal(), devUser, model, d.demo.MCPURL(), d.demo.GitHubMCPURL(), d.dir)
	if !d.config.Encryption.Codec.Token.IsZero() {
		fmt.Fprintf(d.out, "Payloads are decrypted for Temporal's Web UI at %s/codec; sign in there first.\n\n", d.http)
	}
	if d.scripted() {
		fmt.Fprint(d.out, `The model is a script, not a language model: it picks a tool by its name and quotes what the tool says.
Set OPENAI_API_KEY, or name a provider in a configuration file, and start again for real answers.

`)
	}
	fmt.Fprintf(d.out, `Try it:

  curl -s %s/v1/responses \
    -H "Authorization: Bearer %s" \
    -H "Content-Type: application/json" \
    -d '{
      "model": "%s",
      "input": "Use DeepWiki to explain what the perdure/perdure repository does.",
      "tools": [{"type": "mcp", "server_label": "deepwiki", "server_url": "%s"}]
    }'

Then look at the run: on the pages, or in the Temporal Web UI. Ctrl-C stops everything.
`, d.http, d.apiKey.Reveal(), example, d.demo.MCPURL())
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
