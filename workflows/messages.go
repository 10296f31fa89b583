package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// ResponseName is the name under which [Response] is registered. It is part of every history: it never changes.
const ResponseName = "Response"

// Types of the errors with which a run ends. Their details are an [Outcome].
const (
	// ErrTypeFailed: the model failed for good.
	ErrTypeFailed = "response_failed"
	// ErrTypeDiscovery: an MCP server could not be listed.
	ErrTypeDiscovery = "external_connector_error"
	// ErrTypeInvalid: the request turned out to be impossible once the servers were listed.
	ErrTypeInvalid = "invalid_request"
)

// Search attributes of a run. Their values are never encrypted.
var (
	Organization = temporal.NewSearchAttributeKeyKeyword("PerdureOrganization")
	User         = temporal.NewSearchAttributeKeyKeyword("PerdureUser")
	Model        = temporal.NewSearchAttributeKeyKeyword("PerdureModel")
	Servers      = temporal.NewSearchAttributeKeyKeywordList("PerdureServers")
	Status       = temporal.NewSearchAttributeKeyKeyword("PerdureStatus")
)

// ResponseInput starts a run.
type ResponseInput struct {
	ResponseID string `json:"response_id"`
	// Models are tried in order, each as "provider/model". There is at least one.
	Models  []string            `json:"models"`
	Servers []activities.Server `json:"servers,omitempty"`
	// Input is the conversation that the run goes on with.
	Input    transcript.Transcript `json:"input"`
	Settings blob.Value            `json:"settings"` // of activities.Settings

	MaxSteps        int  `json:"max_steps"`
	MaxToolCalls    *int `json:"max_tool_calls,omitempty"`
	MaxOutputTokens *int `json:"max_output_tokens,omitempty"`
	// SequentialCalls is set when the request forbids parallel tool calls.
	SequentialCalls bool `json:"sequential_calls,omitempty"`

	Limits Limits `json:"limits"`
}

// Limits bound every run of a deployment. They travel with the run, so that a change of configuration does not change what a
// run under way does when it is replayed.
type Limits struct {
	Tools                  int           `json:"tools"`
	ParallelCalls          int           `json:"parallel_calls"`
	ParallelCallsPerServer int           `json:"parallel_calls_per_server"`
	DiscoveryTimeout       time.Duration `json:"discovery_timeout"`
	DiscoveryAttempts      int32         `json:"discovery_attempts"`
	ModelTimeout           time.Duration `json:"model_timeout"`
	ModelAttempts          int32         `json:"model_attempts"`
	CallTimeout            time.Duration `json:"call_timeout"`
	CallAttempts           int32         `json:"call_attempts"`
	Heartbeat              time.Duration `json:"heartbeat"`
}

// Outcome is what a run came to.
type Outcome struct {
	// Status is a response status: completed, incomplete, failed or cancelled.
	Status string `json:"status"`
	// Reason is set when Status is incomplete.
	Reason string `json:"reason,omitempty"`
	// Model is the one that served the last turn, as "provider/model".
	Model        string                `json:"model"`
	Conversation transcript.Transcript `json:"conversation"`
	// OutputFrom is the position of the first item of output.
	OutputFrom  int                 `json:"output_from"`
	Usage       responses.Usage     `json:"usage"`
	Error       *responses.RunError `json:"error,omitempty"`
	CompletedAt time.Time           `json:"completed_at"`
}
