package model

import (
	"encoding/json"

	"perdure/internal/responses"
)

// DefaultMaxToolOutput is how many bytes of one tool's output a model sees when a [Turn] does not say.
const DefaultMaxToolOutput = 100_000

// Turn is one request to a model: a conversation to go on with.
type Turn struct {
	Model Ref
	// Instructions come first, as the system's message; empty means none.
	Instructions string
	// Items is the conversation, oldest first.
	Items []responses.Item
	// Steps are the indexes in Items at which the model's earlier turns in this run begin, ascending. Calls of one step are
	// replayed as made at once, which is how the model made them and what keeps a provider's prompt cache valid. Without Steps,
	// calls whose order tells nothing are replayed one after the other.
	Steps []int
	Tools []Tool
	// Names is what the model calls the tools; nil means the names that [NewNames] gives to Tools.
	Names *Names
	// Choice is a request's choice among Tools, which the caller has already narrowed to it.
	Choice responses.ToolChoice

	ParallelToolCalls *bool
	MaxOutputTokens   *int
	Temperature       *float64
	TopP              *float64
	PresencePenalty   *float64
	FrequencyPenalty  *float64
	Effort            string // of reasoning; empty leaves it to the model
	Verbosity         string // empty leaves it to the model
	Format            responses.Format

	// MaxToolOutput is how many bytes of one tool's output the model sees; 0 means [DefaultMaxToolOutput].
	MaxToolOutput int
	// IdempotencyKey is sent as the header Idempotency-Key, the same on every attempt at this turn; empty sends none.
	IdempotencyKey string
}

// Tool is offered to the model: a function of the client, or a tool of an MCP server.
type Tool struct {
	Ref         responses.ToolRef
	Description string
	// Schema is the tool's own JSON Schema, or nil. The model gets what [Sanitize] makes of it.
	Schema json.RawMessage
	// Strict asks the provider to make the model obey the schema; see [Quirks.StrictSchemas].
	Strict bool
}

// DeltaKind says what a [Delta] adds to.
type DeltaKind string

// The kinds of [Delta].
const (
	DeltaText      DeltaKind = "text"
	DeltaRefusal   DeltaKind = "refusal"
	DeltaReasoning DeltaKind = "reasoning"
	// DeltaCall begins a tool call; DeltaArguments adds to its arguments. A call begins before its arguments, but the
	// arguments of several calls may alternate.
	DeltaCall      DeltaKind = "call"
	DeltaArguments DeltaKind = "arguments"
)

// Delta is a piece of an answer as it arrives.
type Delta struct {
	Kind DeltaKind
	// Text is what is added; empty when a call begins.
	Text string
	// Index is the call's place in [Answer.Calls], for the two kinds of delta that belong to one.
	Index int
	// ID and Name are the call's, when it begins.
	ID, Name string
}

// Finish says why a model stopped.
type Finish string

// The values of [Finish].
const (
	FinishStop          Finish = "stop"
	FinishToolCalls     Finish = "tool_calls"
	FinishLength        Finish = "length"
	FinishContentFilter Finish = "content_filter"
)

// Answer is a whole turn of the model.
type Answer struct {
	Text      string
	Refusal   string
	Reasoning string
	// Calls are the tools that the model asks for. Their IDs are unique within the answer. A call that was cut off (Finish is
	// then [FinishLength]) is left out.
	Calls  []Call
	Finish Finish
	Usage  responses.Usage
	// Model is the provider's own name for what answered, which may be more exact than what was asked for.
	Model string
}

// Call is a tool call as the model wrote it.
type Call struct {
	ID string
	// Name is for [Names.Resolve]; a model may write a name that it was not offered.
	Name string
	// Arguments is usually, but not certainly, a JSON object. It is "{}" when the model wrote nothing.
	Arguments string
	// ThoughtSignature is opaque and must be replayed with the call; empty with most models.
	ThoughtSignature string
}
