package starter

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/responses"
	"perdure/workflows"
)

// queryTimeout bounds how long a run is asked for its progress. Without a worker nobody answers.
const queryTimeout = 2 * time.Second

// end is how a run ended.
type end struct {
	outcome *workflows.Outcome
	// shown is set when a client that waits for the run is told with an HTTP status of its own.
	shown *responses.Error
}

// await waits for a run's end. Temporal may go away and come back meanwhile. Its error is the one of ctx, or one for which the run
// cannot be asked at all.
func (s *Starter) await(ctx context.Context, run client.WorkflowRun) (end, error) {
	defer s.gates.runs.Watch(run.GetID())()
	e, err := s.awaitEnd(ctx, run)
	if err == nil {
		s.gates.runs.Ended(run.GetID())
	}
	return e, err
}

func (s *Starter) awaitEnd(ctx context.Context, run client.WorkflowRun) (end, error) {
	for wait := firstRewait; ; wait = min(2*wait, lastRewait) {
		var out workflows.Outcome
		err := run.Get(ctx, &out)
		switch {
		case err == nil:
			return end{outcome: &out}, nil
		case ctx.Err() != nil:
			return end{}, ctx.Err()
		case temporalAway(err):
			s.gates.temporal.Suspect()
			s.Logger.WarnContext(ctx, "Temporal cannot be reached, waiting for the run", "response", run.GetID(), "error", err)
		default:
			return ended(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// ended reads the error with which a run ended. An error that says nothing of the run is returned.
func ended(err error) (end, error) {
	if e, ok := runError(err); ok {
		return e, nil
	}
	var timeout *temporal.TimeoutError
	var terminated *temporal.TerminatedError
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &timeout):
		return lost(http.StatusGatewayTimeout, responses.ErrGatewayTimeout, "the run took too long and was stopped"), nil
	case errors.As(err, &terminated), errors.As(err, &gone):
		return lost(http.StatusBadGateway, responses.ErrBadGateway, "the run was terminated by an operator"), nil
	default:
		return end{}, err
	}
}

// lost is the end of a run that could not say what it had come to.
func lost(status int, kind, message string) end {
	return end{
		outcome: &workflows.Outcome{
			Status: responses.ResponseFailed, Error: &responses.RunError{Code: kind, Type: kind, Message: message},
		},
		shown: &responses.Error{Status: status, Type: kind, Message: message},
	}
}

// runError reads an error of the run itself.
func runError(err error) (end, bool) {
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	var out workflows.Outcome
	switch {
	case errors.As(err, &app):
		if app.Details(&out) != nil || out.Error == nil {
			return end{}, false
		}
		e := end{outcome: &out}
		switch app.Type() {
		case workflows.ErrTypeDiscovery:
			e.shown = &responses.Error{
				Status: http.StatusFailedDependency, Type: responses.ErrExternalConnector, Code: responses.CodeHTTPError, Param: "tools", Message: app.Message(),
			}
		case workflows.ErrTypeInvalid:
			e.shown = responses.Invalid(out.Error.Param, "%s", out.Error.Message)
		case workflows.ErrTypeFailed:
		default:
			return end{}, false
		}
		return e, true
	case errors.As(err, &cancelled):
		if cancelled.Details(&out) == nil {
			return end{outcome: &out}, true
		}
	}
	return end{}, false
}

// progress is what a run under way has come to so far. Without a worker that could say, it is what the run last announced.
func (k *Intake) progress(ctx context.Context, e *envelope) (*workflows.Outcome, error) {
	queued := &workflows.Outcome{Status: e.status, Model: e.response.Model}
	if e.status == responses.ResponseQueued {
		return queued, nil
	}
	answer, err := k.ask(ctx, e.response.ID)
	if err != nil {
		k.Logger.WarnContext(ctx, "run could not be asked for its progress", "response", e.response.ID, "error", err)
		return queued, nil
	}
	var out workflows.Outcome
	err = answer.Get(&out)
	return &out, err
}

// ask asks a run under way for its progress.
func (k *Intake) ask(ctx context.Context, id string) (converter.EncodedValue, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return k.Temporal.QueryWorkflow(ctx, id, "", workflows.ProgressName)
}

// discovered reports whether discovery is over in a run under way, as far as the run can be asked.
func (k *Intake) discovered(ctx context.Context, id string) bool {
	var out workflows.Outcome
	answer, err := k.ask(ctx, id)
	return err == nil && answer.Get(&out) == nil && out.Discovered
}

// complete returns the response with what its run came to. Its output counts as memory, which is nil for an answer that cannot be refused
// any more.
func (k *Intake) complete(ctx context.Context, begun *responses.Response, out *workflows.Outcome, memory *metered) (*responses.Response, error) {
	output, err := k.items(ctx, begun.ID, out.Conversation, out.OutputFrom, memory)
	if err != nil {
		return nil, err
	}
	r := *begun
	r.Status = out.Status
	if out.Model != "" {
		r.Model = out.Model
	}
	r.Error = out.Error
	r.Output = output
	if out.Status != responses.ResponseQueued && out.Status != responses.ResponseInProgress {
		usage := out.Usage
		r.Usage = &usage
	}
	if out.Status == responses.ResponseCompleted {
		at := out.CompletedAt.Unix()
		r.CompletedAt = &at
	}
	if out.Reason != "" {
		r.IncompleteDetails = &responses.IncompleteDetails{Reason: out.Reason}
	}
	return &r, nil
}

// load returns a response as it is now.
func (k *Intake) load(ctx context.Context, e *envelope, memory *metered) (*responses.Response, error) {
	out, err := k.outcome(ctx, e)
	if err != nil {
		return nil, err
	}
	return k.complete(ctx, e.response, out, memory)
}

// outcome is what a run came to, or has come to so far.
func (k *Intake) outcome(ctx context.Context, e *envelope) (*workflows.Outcome, error) {
	if e.running {
		out, err := k.progress(ctx, e)
		if err != nil || out.Status == responses.ResponseQueued || out.Status == responses.ResponseInProgress {
			return out, err
		}
		// It has come to its end while it was asked.
	}
	var out workflows.Outcome
	asking, over := k.asking(ctx)
	defer over()
	err := k.Temporal.GetWorkflow(asking, e.response.ID, "").Get(asking, &out)
	switch {
	case err == nil:
		return &out, nil
	case ctx.Err() != nil, temporalAway(err):
		return nil, err
	case asking.Err() != nil:
		return nil, unavailable("the workflow service does not answer; try again")
	}
	ended, err := ended(err)
	return ended.outcome, err
}
