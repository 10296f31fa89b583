package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// Response runs one response from its input to its end. See the package comment.
func Response(ctx workflow.Context, in ResponseInput) (Outcome, error) {
	requested := in.Request != nil
	if requested {
		accepted, err := accept(ctx, *in.Request)
		if err != nil {
			return refused(ctx, err)
		}
		in = accepted
	}
	r := newRun(in)
	r.requested, r.deadline = requested, deadline(workflow.GetInfo(ctx), in.Carried)
	if err := r.announce(ctx); err != nil {
		return Outcome{}, err
	}
	err := r.run(ctx)
	if workflow.IsContinueAsNewError(err) {
		return Outcome{}, err
	}
	return r.end(ctx, err)
}

// run is the state of a run.
type run struct {
	in         ResponseInput
	transcript transcript.Transcript
	servers    map[string]activities.Server // as steps get them
	retry      map[string]activities.RetryPolicy
	model      int // position in in.Models of the model in use
	turn       int
	tries      int   // attempts at turns that were given up
	steps      []int // where in the transcript the turns begin
	nextItem   int
	calls      int // MCP calls made
	usage      responses.Usage
	throttled  int
	status     string
	reason     string
	requested  bool      // this execution began with a request
	discovered bool      // the servers' tools are listed, and answers claimed: the request is not refused any more
	deadline   time.Time // see the function of this name

	// What the client has to answer before the conversation can go on.
	pendingCalls     []string
	pendingApprovals []string
}

func newRun(in ResponseInput) *run {
	r := &run{
		in: in, transcript: in.Input, status: responses.ResponseInProgress,
		servers: map[string]activities.Server{}, retry: map[string]activities.RetryPolicy{},
	}
	for _, s := range in.Servers {
		// A policy may name many tools, and every step has its server in the history.
		r.retry[s.Label], s.Retry, s.Fingerprint, s.Tools = s.Retry, activities.RetryPolicy{}, "", nil
		r.servers[s.Label] = s
	}
	r.in.Servers = slices.Clone(in.Servers) // what they list is noted there
	if in.Carried != nil {
		r.resume(in.Carried)
	}
	return r
}

func (r *run) run(ctx workflow.Context) error {
	if r.in.Carried == nil {
		if err := r.prepare(ctx); err != nil {
			return err
		}
	}
	for {
		answer, err := r.modelTurn(ctx)
		if err != nil {
			return err
		}
		err = r.call(ctx, answer.Calls)
		r.add(answer.Functions...) // the client has to answer them whatever became of the calls
		if err != nil {
			return err
		}
		if r.finished(answer) {
			return nil
		}
		if r.full(ctx) {
			return r.carryOn(ctx)
		}
	}
}

// prepare makes the steps that come before the first turn.
func (r *run) prepare(ctx workflow.Context) error {
	if !r.hasAnswers() {
		err := r.discover(ctx)
		r.discovered = err == nil
		return err
	}
	// An answer counts once, so it is claimed when nothing but the calls is left to do: a server that cannot be listed must not use it up.
	late := workflow.GetVersion(ctx, "answers are claimed after discovery", workflow.DefaultVersion, 1) != workflow.DefaultVersion
	if !late {
		if err := r.claimAnswers(ctx); err != nil {
			return err
		}
	}
	if err := r.discover(ctx); err != nil {
		return err
	}
	if late {
		if r.timeIsOver(ctx) {
			return outOfTime()
		}
		if err := r.claimAnswers(ctx); err != nil {
			return err
		}
	}
	r.discovered = true
	return r.callApproved(ctx)
}

// finished decides whether the turn was the last, and with which status.
func (r *run) finished(answer activities.ModelTurnResult) bool {
	switch {
	case answer.Finish == activities.FinishLength || r.outputTokensLeft() == 0:
		r.incomplete(responses.IncompleteMaxOutputTokens)
	case answer.Finish == activities.FinishContentFilter:
		r.incomplete(responses.IncompleteContentFilter)
	case len(answer.Functions) > 0, len(r.pendingApprovals) > 0, len(answer.Calls) == 0:
		r.status = responses.ResponseCompleted
	case r.turn >= r.in.MaxSteps:
		r.incomplete(responses.IncompleteMaxSteps)
	default:
		return false
	}
	return true
}

func (r *run) incomplete(reason string) {
	r.status, r.reason = responses.ResponseIncomplete, reason
}

// end turns what run returned into the workflow's own result.
func (r *run) end(ctx workflow.Context, err error) (Outcome, error) {
	out := r.outcome()
	if !out.end(ctx, err) {
		return out, err
	}
	r.publish(ctx, out)
	r.tellOthers(ctx, out)
	r.render(ctx, &out)
	return out, out.result(err)
}

// end says how a run ended. It is false for an error that says nothing of the run.
func (out *Outcome) end(ctx workflow.Context, err error) bool {
	out.CompletedAt = workflow.Now(ctx)
	var failure *failure
	switch {
	case temporal.IsCanceledError(err):
		out.Status = responses.ResponseCancelled
	case errors.As(err, &failure):
		out.Status = responses.ResponseFailed
		out.Error = &responses.RunError{Code: failure.kind, Type: failure.kind, Message: failure.message, Param: failure.param}
		if failure.shown != nil {
			out.Error.Type, out.Error.Code = failure.shown.Type, cmp.Or(failure.shown.Code, failure.shown.Type)
		}
	case err != nil:
		return false
	}
	return true
}

// result is the error of a workflow that ends so.
func (out *Outcome) result(err error) error {
	var failure *failure
	switch {
	case errors.As(err, &failure):
		return temporal.NewApplicationErrorWithOptions(failure.message, failure.kind,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{*out}, Cause: failure.cause})
	case err != nil:
		return temporal.NewCanceledError(*out)
	default:
		return nil
	}
}

// outcome is what the run has come to so far.
func (r *run) outcome() Outcome {
	return Outcome{
		Status:           r.status,
		Reason:           r.reason,
		Model:            r.in.Models[r.model],
		Conversation:     r.transcript,
		OutputFrom:       r.in.Input.Len(),
		Usage:            r.usage,
		Throttled:        r.throttled,
		PendingCalls:     r.pendingCalls,
		PendingApprovals: r.pendingApprovals,
		Servers:          listedServers(r.in.Servers),
	}
}

func listedServers(servers []activities.Server) []ListedServer {
	var listed []ListedServer
	for _, s := range servers {
		l := ListedServer{Label: s.Label, Origin: s.Origin, Allowed: s.Allowed, Fingerprint: s.Fingerprint, Tools: s.Tools}
		if s.Connector != nil {
			l.Connector, l.Version = s.Connector.ID, s.Connector.Version
		}
		listed = append(listed, l)
	}
	return listed
}

// failure is a reason for a run to fail that its client should hear of.
type failure struct {
	kind    string
	message string
	param   string // the place in the request, if the request is to blame
	cause   error
	shown   *Refusal // what the API would have said, where that is more than kind
}

func (f *failure) Error() string { return f.message }

// failed makes a failure of an activity's error. Only messages of our own types are fit for a client.
func failed(kind, otherwise string, err error) error {
	if temporal.IsCanceledError(err) {
		return err
	}
	f := &failure{kind: kind, message: otherwise, cause: err}
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		switch app.Type() {
		case activities.ErrTypeDiscovery, activities.ErrTypeModel:
			f.message = app.Message()
		}
	}
	return f
}

// newItem returns the number of the next item, which is also its place in the output.
func (r *run) newItem() int {
	r.nextItem++
	return r.nextItem - 1
}

func unavailable(label string) string {
	return fmt.Sprintf("MCP server %q could not be initialized", label)
}
