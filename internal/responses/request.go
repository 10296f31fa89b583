package responses

// Request is a decoded and validated POST /v1/responses or /v1/agent. Pointers are nil where the client left a field out.
type Request struct {
	// Models are the models to try in order, from "models" or "model"; empty means the server's default.
	Models []string
	// Input is empty only in a request that goes on with an earlier response or a conversation. A string becomes one user message.
	Input        []Item
	Instructions *string

	MaxSteps        *int
	MaxToolCalls    *int
	MaxOutputTokens *int

	Temperature      *float64
	TopP             *float64
	PresencePenalty  *float64
	FrequencyPenalty *float64
	Reasoning        Reasons
	Format           Format
	Verbosity        string

	Tools             []Tool
	ToolChoice        ToolChoice
	ParallelToolCalls *bool

	Metadata map[string]string

	// Stream asks for events instead of the finished response.
	Stream bool
	// Background asks for an answer at once: the run goes on without the client.
	Background bool
	// Store is false when the response shall not be retrieved later.
	Store bool
	// PreviousResponseID or Conversation, never both, is what the input goes on with.
	PreviousResponseID string
	Conversation       string
	// Truncation is "auto" or "disabled".
	Truncation string

	// The rest has no effect on the run and is only echoed.
	PromptCacheKey   *string
	SafetyIdentifier *string
	ServiceTier      string
}

// Values of [Request.Truncation].
const (
	// TruncationAuto drops the oldest of a conversation when it is too long for the model.
	TruncationAuto = "auto"
	// TruncationDisabled fails the run instead.
	TruncationDisabled = "disabled"
)

// Reasons is how much a model should think before it answers, and what it should tell of it.
type Reasons struct {
	Effort  string `json:"effort,omitempty"`
	Summary string `json:"summary,omitempty"`
}

// MCPTools returns the request's MCP servers in order.
func (r *Request) MCPTools() []*MCPTool { return toolsOf[*MCPTool](r.Tools) }

// FunctionTools returns the functions that the client runs itself, in order.
func (r *Request) FunctionTools() []*FunctionTool { return toolsOf[*FunctionTool](r.Tools) }

func toolsOf[T Tool](tools []Tool) []T {
	var out []T
	for _, t := range tools {
		if t, ok := t.(T); ok {
			out = append(out, t)
		}
	}
	return out
}
