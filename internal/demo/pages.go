package demo

type wikiPage struct{ title, text string }

// perdurePages is all that the demo's MCP servers know.
func perdurePages() []wikiPage {
	return []wikiPage{
		{"What Perdure is", "Perdure is a self-hosted Agent API, written in Go. A client posts to `/v1/responses` what it would " +
			"post to OpenAI's Responses API or to Perplexity's Agent API. While the model answers, it may call tools on remote MCP " +
			"servers. Every response is a Temporal workflow, so it survives the crash of any process and goes on where it was, " +
			"without losing a step or doing a write twice."},
		{"The path of a request", "The starter checks the key, decodes the request strictly and starts a workflow whose ID is the " +
			"response's ID. The workflow lists the tools of all MCP servers in parallel, then takes turns: the model answers or asks " +
			"for tools, the tools are called in parallel, and the model reads what they returned. A worker does the work in three " +
			"activities, `discover`, `model_turn` and `mcp_call`, and Temporal retries each by a policy of its own. The Temporal Web " +
			"UI shows every step of a run."},
		{"Connecting MCP servers", "A request names a server in its `tools`: `type` is `mcp`, `server_label` namespaces the " +
			"server's tools, and `server_url` is its Streamable HTTP endpoint. `authorization` is an access token, sent as a bearer " +
			"token, and `headers` adds others; both are sealed before they are stored. `allowed_tools` limits the tools that the " +
			"model sees. The response lists them in an `mcp_list_tools` item and each call in an `mcp_call` item."},
		{"When something fails", "A server whose tools cannot be listed fails the request with status 424 and an error of type " +
			"`external_connector_error`, before the model runs. A tool call that fails is no failure of the run: its `mcp_call` item " +
			"has an `error` and an empty `output`, and the model reads the error and goes on. A call that may have reached its " +
			"server is repeated only if the tool says that repeating is safe."},
		{"Running Perdure", "`perdure dev` starts everything on one machine: a Temporal server with its Web UI, a worker, a " +
			"starter, and this demo. To get real answers, configure a model: set `OPENAI_API_KEY`, or name any OpenAI-compatible " +
			"endpoint in the configuration. Beyond one machine, `perdure starter` and `perdure worker` run as processes of their own " +
			"against any Temporal address."},
	}
}
