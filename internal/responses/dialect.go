package responses

// Dialect is a way to speak the API where Perplexity's and OpenAI's ways cannot both be spoken.
type Dialect string

const (
	// DialectAgent is Perplexity's Agent API: MCP calls need no approval, MCP items have neither status nor approval_request_id, and
	// an error's code is its HTTP status.
	DialectAgent Dialect = "agent"
	// DialectOpenAI is OpenAI's Responses API, with approvals, with those members, and with codes that are words.
	DialectOpenAI Dialect = "openai"
)
