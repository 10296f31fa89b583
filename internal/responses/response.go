package responses

import (
	"encoding/json"
	"fmt"
)

// Statuses of a response.
const (
	ResponseQueued     = "queued"
	ResponseInProgress = "in_progress"
	ResponseCompleted  = "completed"
	ResponseIncomplete = "incomplete"
	ResponseFailed     = "failed"
	ResponseCancelled  = "cancelled"
)

// Response is the response object: the superset that the SDKs of all three APIs accept. Every field is on the wire, null where
// it has no value, because the strictest client requires each key.
type Response struct {
	ID                 string             `json:"id"`
	Object             string             `json:"object"`
	CreatedAt          int64              `json:"created_at"`   // Unix seconds
	CompletedAt        *int64             `json:"completed_at"` // Unix seconds
	Status             string             `json:"status"`
	Background         bool               `json:"background"`
	Store              bool               `json:"store"`
	Model              string             `json:"model"`
	Error              *RunError          `json:"error"`
	IncompleteDetails  *IncompleteDetails `json:"incomplete_details"`
	Instructions       *string            `json:"instructions"`
	Metadata           map[string]string  `json:"metadata"`
	PreviousResponseID *string            `json:"previous_response_id"`
	Conversation       *ConversationRef   `json:"conversation,omitempty"`
	Output             []Item             `json:"output"`
	Tools              []ToolEcho         `json:"tools"`
	ToolChoice         json.RawMessage    `json:"tool_choice"`
	ParallelToolCalls  bool               `json:"parallel_tool_calls"`
	MaxSteps           *int               `json:"max_steps,omitempty"`
	MaxOutputTokens    *int               `json:"max_output_tokens"`
	MaxToolCalls       *int               `json:"max_tool_calls"`
	Reasoning          ReasonsEcho        `json:"reasoning"`
	Text               TextEcho           `json:"text"`
	Temperature        float64            `json:"temperature"`
	TopP               float64            `json:"top_p"`
	PresencePenalty    float64            `json:"presence_penalty"`
	FrequencyPenalty   float64            `json:"frequency_penalty"`
	TopLogprobs        int                `json:"top_logprobs"`
	Truncation         string             `json:"truncation"`
	ServiceTier        string             `json:"service_tier"`
	SafetyIdentifier   *string            `json:"safety_identifier"`
	PromptCacheKey     *string            `json:"prompt_cache_key"`
	Usage              *Usage             `json:"usage"`
}

// ConversationRef names the conversation that a response belongs to.
type ConversationRef struct {
	ID string `json:"id"`
}

// Reasons for which a response may be incomplete.
const (
	IncompleteMaxOutputTokens = "max_output_tokens"
	IncompleteContentFilter   = "content_filter"
	// IncompleteMaxSteps means that the model still asked for tools in the last turn that max_steps allows.
	IncompleteMaxSteps = "max_steps"
)

// IncompleteDetails says why a response is incomplete.
type IncompleteDetails struct {
	Reason string `json:"reason"`
}

// ReasonsEcho is [Reasons] with null for what was not asked.
type ReasonsEcho struct {
	Effort  *string `json:"effort"`
	Summary *string `json:"summary"`
}

// TextEcho repeats the text settings of the request.
type TextEcho struct {
	Format    Format `json:"format"`
	Verbosity string `json:"verbosity,omitempty"`
}

// ToolEcho repeats a tool of the request without its secrets: [MCPToolEcho] or [FunctionToolEcho].
type ToolEcho interface{ toolEcho() }

// MCPToolEcho repeats an MCP tool. ServerURL has the server's origin only, since paths and queries may carry secrets; that of a saved
// connector, which is named by its ID, is left out.
type MCPToolEcho struct {
	Type              string      `json:"type"`
	ServerLabel       string      `json:"server_label"`
	ServerURL         string      `json:"server_url,omitempty"`
	ConnectorID       string      `json:"connector_id,omitempty"`
	ServerDescription *string     `json:"server_description"`
	AllowedTools      *ToolFilter `json:"allowed_tools"`
	Headers           *struct{}   `json:"headers"`
	// RequireApproval is what holds in the run: in [DialectAgent] always ApproveNever.
	RequireApproval ApprovalPolicy `json:"require_approval"`
}

// FunctionToolEcho repeats a function tool.
type FunctionToolEcho struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

func (MCPToolEcho) toolEcho()      {}
func (FunctionToolEcho) toolEcho() {}

// UnmarshalResponse reads a response that [Response.MarshalWire] rendered. Rendered again, it has the same bytes.
func UnmarshalResponse(data []byte) (*Response, error) {
	type plain Response
	var in struct {
		plain
		Output []json.RawMessage `json:"output"`
		Tools  []json.RawMessage `json:"tools"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, err
	}
	r := Response(in.plain)
	for _, data := range in.Output {
		item, err := UnmarshalItem(data)
		if err != nil {
			return nil, err
		}
		r.Output = append(r.Output, item)
	}
	for _, data := range in.Tools {
		tool, err := unmarshalToolEcho(data)
		if err != nil {
			return nil, err
		}
		r.Tools = append(r.Tools, tool)
	}
	return &r, nil
}

func unmarshalToolEcho(data []byte) (ToolEcho, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	switch head.Type {
	case "mcp":
		var tool MCPToolEcho
		err := json.Unmarshal(data, &tool)
		return tool, err
	case "function":
		var tool FunctionToolEcho
		err := json.Unmarshal(data, &tool)
		return tool, err
	default:
		return nil, fmt.Errorf("responses: unknown tool type %q", head.Type)
	}
}

// Usage counts the tokens of all model turns of a run.
type Usage struct {
	InputTokens        int                `json:"input_tokens"`
	InputTokensDetails InputTokensDetails `json:"input_tokens_details"`
	OutputTokens       int                `json:"output_tokens"`
	OutputDetails      OutputTokenDetails `json:"output_tokens_details"`
	TotalTokens        int                `json:"total_tokens"`
	ToolCalls          ToolCallsDetails   `json:"tool_calls_details"`
}

// InputTokensDetails splits input tokens.
type InputTokensDetails struct {
	CachedTokens     int `json:"cached_tokens"`
	CacheWriteTokens int `json:"cache_write_tokens"`
}

// OutputTokenDetails splits output tokens.
type OutputTokenDetails struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

// ToolCallsDetails counts tool calls by kind.
type ToolCallsDetails struct {
	MCP Invocations `json:"mcp"`
}

// Invocations counts calls that were made.
type Invocations struct {
	Invocation int `json:"invocation"`
}

// Add sums the tokens of another model turn into u.
func (u *Usage) Add(v Usage) {
	u.InputTokens += v.InputTokens
	u.InputTokensDetails.CachedTokens += v.InputTokensDetails.CachedTokens
	u.InputTokensDetails.CacheWriteTokens += v.InputTokensDetails.CacheWriteTokens
	u.OutputTokens += v.OutputTokens
	u.OutputDetails.ReasoningTokens += v.OutputDetails.ReasoningTokens
	u.TotalTokens += v.TotalTokens
	u.ToolCalls.MCP.Invocation += v.ToolCalls.MCP.Invocation
}
