package starter

import (
	"time"

	"perdure/internal/responses"
)

// StepKind says what a step of a run does.
type StepKind string

// The kinds of [Step].
const (
	// StepAccepted is from the request to the moment when a worker takes the run.
	StepAccepted StepKind = "accepted"
	// StepContinued is the beginning of an execution that goes on where another one, whose history was full, has stopped.
	StepContinued StepKind = "continued"
	// StepRequest makes a run of a request that was not sent to the API, but is one of a batch or of another workflow.
	StepRequest   StepKind = "request"
	StepRender    StepKind = "render"    // the response is written for the caller of the workflow
	StepDiscovery StepKind = "discovery" // tools of an MCP server are listed
	StepTurn      StepKind = "turn"      // a model is asked
	StepCall      StepKind = "call"      // a tool is called
	StepApproval  StepKind = "approval"  // an answer to an approval request is taken
	StepWebhook   StepKind = "webhook"   // an endpoint is told of the end
	// StepConversation hands the run's items to its conversation.
	StepConversation StepKind = "conversation"
	StepCancellation StepKind = "cancellation" // somebody asked for the run's end
	// StepTrouble is a worker that could not go on with the run, which Temporal repeats.
	StepTrouble StepKind = "trouble"
	StepEnd     StepKind = "end"
)

// StepState says how a step stands.
type StepState string

// The states of a [Step].
const (
	StepWaiting   StepState = "waiting" // for a worker
	StepRunning   StepState = "running"
	StepRetrying  StepState = "retrying" // an attempt has failed, and the next one comes
	StepPaused    StepState = "paused"   // by an operator
	StepDone      StepState = "done"
	StepFailed    StepState = "failed"
	StepCancelled StepState = "cancelled" // or given up, because the run ended before
	StepHandedOn  StepState = "handed on" // of a run: it goes on as another execution
)

// Step is one step of a run. Which fields are set depends on its kind.
type Step struct {
	// Event is the number of the event with which the step begins in the history of its execution, and names it there.
	Event int64
	Kind  StepKind
	State StepState
	// Start is when the step was asked for, and End when it was over: zero if it is not.
	Start, End time.Time
	// Attempts is how often it was tried. AttemptStart is when the last attempt began.
	Attempts     int32
	MaxAttempts  int32
	AttemptStart time.Time
	// LastFailure says why the attempt before, or the one that failed last, came to nothing, in words for clients. Asked is how long the
	// other side wanted to be left alone then; NextAttempt is when the next attempt comes, if one does.
	LastFailure string
	Asked       time.Duration
	NextAttempt time.Time

	// Error says why the step came to nothing, in words for clients. OutcomeUnknown is set for a call that may have taken effect.
	Error          string
	OutcomeUnknown bool
	// Unreadable says why details of the step are missing; it is empty when none are.
	Unreadable string

	// Of discovery and calls.
	Server string // its label
	Origin string // of an inline server
	// Connector is the ID of the saved connector that the server belongs to.
	Connector string
	Tools     []ToolShown
	ToolCount int
	Dropped   []ToolShown // tools that could not be used; the description is the reason

	// Of calls.
	ItemID            string
	Tool              string
	Arguments, Output *Content
	Abandoned         bool // the call is only reported as lost
	// ApprovalRequest is the request with whose answer the call was approved, or which was answered.
	ApprovalRequest string
	Approved        bool

	// Of turns.
	Model     string
	Turn      int
	Fallback  int // models that failed at the turn before
	Usage     *responses.Usage
	Finish    string
	Reasoning *Content
	Text      *Content
	Asks      []Ask
	Calls     int // that were made of what the model asked for

	// Of other steps.
	Status   string // with which the run ended
	Endpoint string // of a webhook
	Tells    string // the type of a webhook's event
	Count    int    // how often the trouble came in a row

	raw raw
}

// Ask is what a model asked for in a turn, other than calls that are steps of their own.
type Ask struct {
	// Kind is the type of the item: mcp_call for a call that was refused, mcp_approval_request or function_call.
	Kind      string
	ItemID    string
	Server    string
	Tool      string
	Arguments *Content
	Error     string // why the call was refused
}

// ToolShown is a tool as its server describes it.
type ToolShown struct{ Name, Description string }

// Duration is how long the step took, or takes so far.
func (s *Step) Duration(now time.Time) time.Duration {
	if s.End.IsZero() {
		return max(now.Sub(s.Start), 0)
	}
	return s.End.Sub(s.Start)
}

// UnderWay reports whether the step goes on.
func (s *Step) UnderWay() bool { return s.End.IsZero() }

// parallel reports whether the step is one of those that go on at the same time as others of their kind.
func (s *Step) parallel() bool {
	return s.Kind == StepDiscovery || s.Kind == StepCall || s.Kind == StepWebhook
}
