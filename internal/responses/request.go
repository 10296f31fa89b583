package responses

// Request is a decoded and validated POST /v1/responses or /v1/agent. Pointers are nil where the client left a field out.
type Request struct {
	// Models are the models to try in order, from "models" or "model"; empty means the server's default.
	Models []string
	// Input is never empty. A string becomes one user message.
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

	// The rest has no effect on the run and is only echoed.
	PromptCacheKey   *string
	SafetyIdentifier *string
	ServiceTier      string
}

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
