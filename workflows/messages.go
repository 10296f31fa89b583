package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/contract"
	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// ResponseName is the name under which [Response] is registered. It is part of every history: it never changes.
const ResponseName = contract.ResponseName

// Types of the errors with which a run ends. Their details are an [Outcome].
const (
	ErrTypeFailed    = contract.ErrTypeFailed
	ErrTypeDiscovery = contract.ErrTypeDiscovery
	ErrTypeInvalid   = contract.ErrTypeInvalid
)

// Search attributes of a run. Their values are never encrypted.
var (
	Organization = contract.Organization
	User         = contract.User
	Key          = contract.Key
	Model        = contract.Model
	Servers      = contract.Servers
	Status       = contract.Status
	Stored       = contract.Stored
	Created      = contract.Created
	BatchID      = contract.Batch
)

// SearchAttributes are all of them.
func SearchAttributes() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{Organization, User, Key, Model, Servers, Status, Stored, Created, BatchID}
}

// MemoResponse is the member of a run's memo that has the response as it was when the run began, without output: a [blob.Value] of a
// string, so that its bytes stay as they are whoever encodes them again. It is stored: it never changes.
const MemoResponse = "response"

// MemoTitle is the member of a run's memo that has the beginning of what the run was asked, for people who look at a list: a string. It
// is stored: it never changes.
const MemoTitle = "title"

// ResponseInput starts a run. It comes in two forms: what the API has made of a request, or the request alone, which the run's first
// step makes the rest of; see [Accept].
type ResponseInput struct {
	// Request is set in the second form, and nothing else: that is [contract.ResponseInput].
	Request *contract.Request `json:"request,omitempty"`

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
	// InputFrom is the position in Input of the first item that the request itself brought.
	InputFrom int `json:"input_from,omitempty"`
	// Organization is the tenant.
	Organization string `json:"organization,omitempty"`
	// Background is set when nobody waits for the run: it is queued until a worker takes it.
	Background bool `json:"background,omitempty"`
	// Listed are the labels of servers whose tools the conversation has already. They are not listed again.
	Listed []string `json:"listed,omitempty"`
	// Approved are calls of an earlier response that the client approved. They are made before the model is asked.
	Approved []Approved `json:"approved,omitempty"`
	// Denied are the IDs of approval requests that the client answered with no.
	Denied []string `json:"denied,omitempty"`
	// ConversationID names the conversation that gets the items of a run that came to an answer, or called tools.
	ConversationID string `json:"conversation_id,omitempty"`
	// Webhooks are the names of the endpoints that hear how the run ended.
	Webhooks []string `json:"webhooks,omitempty"`
	// Batch and CustomID are what the caller calls the run's place, for operators.
	Batch    string `json:"batch,omitempty"`
	CustomID string `json:"custom_id,omitempty"`
	// Return is [contract.ReturnResponse] if the result is to have the response itself.
	Return string `json:"return,omitempty"`
	// SequentialCalls is set when the request forbids parallel tool calls.
	SequentialCalls bool `json:"sequential_calls,omitempty"`

	Limits Limits `json:"limits"`
	// Carried is set for an execution that goes on where an earlier one of the same run has stopped.
	Carried *Carried `json:"carried,omitempty"`
}

// Approved is an MCP call that the client approved.
type Approved struct {
	RequestID string     `json:"request_id"`
	Server    string     `json:"server"`
	Tool      string     `json:"tool"`
	Arguments blob.Value `json:"arguments"` // a JSON string
	// Repeatable is set for a tool that the conversation's list declares read-only or idempotent. It is not known of one whose server
	// is listed anew.
	Repeatable bool `json:"repeatable,omitempty"`

	ThoughtSignature string `json:"thought_signature,omitempty"`
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
	// Patience is how long a run waits for what is away, without counting attempts: the last of its models, and, if nobody waits for
	// the run, MCP servers.
	Patience time.Duration `json:"patience,omitempty"`
	// HistoryEvents and HistoryBytes are how long the history of one execution may get before the run goes on as a new one. It can get
	// longer by the steps of one turn.
	HistoryEvents int `json:"history_events,omitempty"`
	HistoryBytes  int `json:"history_bytes,omitempty"`
	// ConversationBytes is how large the conversation may get by what tools answer; 0 is no limit, as for runs that began before there was one.
	ConversationBytes int64 `json:"conversation_bytes,omitempty"`
}

// Outcome is what a run came to. [contract.Outcome] is the part of it that other programs can use.
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
	// Throttled is how many times a provider refused a turn because there were too many.
	Throttled int `json:"throttled,omitempty"`
	// Discovered is set in the answer to the query [ProgressName] once the run cannot fail at discovery any more.
	Discovered bool `json:"discovered,omitempty"`
	// PendingCalls are the call IDs of function calls that the client has to answer, and PendingApprovals the IDs of approval requests.
	PendingCalls     []string `json:"pending_calls,omitempty"`
	PendingApprovals []string `json:"pending_approvals,omitempty"`
	// Servers are those whose tools the conversation lists.
	Servers []ListedServer `json:"servers,omitempty"`
	// Response is the response on the wire, and ResponseOmitted is set in its place if it could not be had; see [contract.Outcome].
	Response        contract.JSON `json:"response,omitempty"`
	ResponseOmitted bool          `json:"response_omitted,omitempty"`
}

// ListedServer is a server whose tools are in a conversation, with what the list depends on.
type ListedServer struct {
	Label   string     `json:"label"`
	Origin  string     `json:"origin"`
	Allowed blob.Value `json:"allowed"`
	// Connector and Version are those of a saved connector, which has no origin.
	Connector string `json:"connector,omitempty"`
	Version   int64  `json:"version,omitempty"`
	// Fingerprint is that of the endpoint of a server without a connector. A list of an earlier release has none, and is not used again.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Tools is how many tools the list has; nil if the conversation has no list, or one of an earlier release.
	Tools *int `json:"tools,omitempty"`
}

// ProgressName is the name of the query that returns what a run has come to so far, as an [Outcome].
const ProgressName = contract.ProgressName
