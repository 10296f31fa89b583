package starter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

const (
	// startTimeout bounds how long a client waits to hear that Temporal is away.
	startTimeout = 10 * time.Second
	// taskTimeout is how long the server waits for a worker that has taken a run's next workflow task and may have died or stopped
	// with it. Temporal's 10 s would be lost by every such run; a workflow task takes milliseconds.
	taskTimeout = 5 * time.Second
	// cancelTimeout bounds the cancellation of a run whose client has gone.
	cancelTimeout = 5 * time.Second

	firstRewait = 100 * time.Millisecond
	lastRewait  = 2 * time.Second
)

// createResponse starts a run and answers with what it came to.
func (s *Starter) createResponse(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	run, response, err := s.accept(w, r, who)
	if err != nil {
		return err
	}
	out, err := s.await(r.Context(), run)
	if err != nil {
		return err
	}
	if err := s.complete(r.Context(), response, out); err != nil {
		return err
	}
	wire, err := response.MarshalWire()
	if err != nil {
		return err
	}
	s.writeJSON(w, r, http.StatusOK, wire)
	return nil
}

// accept starts the run that a request asks for. Of the request, which may be large, it leaves only what the response repeats.
func (s *Starter) accept(w http.ResponseWriter, r *http.Request, who identity.Principal) (client.WorkflowRun, *responses.Response, error) {
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	req, err := responses.DecodeRequest(body)
	if err != nil {
		return nil, nil, err
	}
	if err := s.validate(req); err != nil {
		return nil, nil, err
	}
	response := newResponse(req, responses.ResponsePrefix+uuid.NewString(), time.Now())
	input, err := s.runInput(r.Context(), response.ID, req)
	if err != nil {
		return nil, nil, err
	}
	run, err := s.start(r.Context(), who, input)
	if err != nil {
		return nil, nil, err
	}
	s.Logger.InfoContext(r.Context(), "run started", "request", requestID(w), "response", response.ID,
		"organization", who.Organization, "user", who.User, "key", who.Key)
	return run, response, nil
}

func (s *Starter) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > s.Limits.Body {
		return nil, tooLargeError(s.Limits.Body)
	}
	// It holds for the body alone: net/http lifts it when the body has been read, and watches whether the client stays.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.bodyTimeout)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.Limits.Body))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil:
		return nil, responses.Invalid("", "the request body ended early, or took longer than %v", s.bodyTimeout)
	}
	return body, nil
}

// start begins the run. When it returns without an error, the run is Temporal's to finish. A client that leaves in the middle does
// not interrupt it, since nobody could tell then whether there is a run to cancel.
func (s *Starter) start(ctx context.Context, who identity.Principal, in workflows.ResponseInput) (client.WorkflowRun, error) {
	labels := make([]string, len(in.Servers))
	for i, server := range in.Servers {
		labels[i] = server.Label
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	run, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       in.ResponseID,
		TaskQueue:                s.TaskQueue,
		WorkflowExecutionTimeout: s.Limits.RunTimeout,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		// Where the worker shares this process, the first step starts without a round trip through the server's queues.
		EnableEagerStart: true,
		StaticSummary:    summary(in.Models[0], labels),
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.Organization.ValueSet(who.Organization),
			workflows.User.ValueSet(who.User),
			workflows.Model.ValueSet(in.Models[0]),
			workflows.Servers.ValueSet(labels),
			workflows.Status.ValueSet(responses.ResponseInProgress),
		),
	}, workflows.ResponseName, in)
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return run, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, unavailable("the workflow service does not answer; try again")
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("start the run (does the namespace have the search attributes that \"perdure migrate\" adds?): %w", err)
	default:
		return nil, err
	}
}

func summary(model string, labels []string) string {
	if len(labels) == 0 {
		return model
	}
	return model + " · " + strings.Join(labels, ", ")
}

// await returns what the run came to. Temporal may go away and come back meanwhile. If the client leaves, its run is cancelled;
// if this starter must stop, the run goes on.
func (s *Starter) await(client context.Context, run client.WorkflowRun) (*workflows.Outcome, error) {
	ctx, cancel := context.WithCancel(client)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	for wait := firstRewait; ; wait = min(2*wait, lastRewait) {
		var out workflows.Outcome
		err := run.Get(ctx, &out)
		switch {
		case err == nil:
			return &out, nil
		case s.closing.Err() != nil:
			return nil, unavailable(fmt.Sprintf("this server is stopping; the run goes on as %s", run.GetID()))
		case client.Err() != nil:
			s.cancel(client, run)
			return nil, client.Err()
		case temporalAway(err):
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

// ended returns the outcome of a run that did not return one, or the error that its client gets.
func ended(err error) (*workflows.Outcome, error) {
	if out, shown := runError(err); shown != nil {
		return nil, shown
	} else if out != nil {
		return out, nil
	}
	var timeout *temporal.TimeoutError
	var terminated *temporal.TerminatedError
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &timeout):
		return nil, &responses.Error{Status: http.StatusGatewayTimeout, Type: "gateway_timeout", Message: "the run took too long and was stopped"}
	case errors.As(err, &terminated), errors.As(err, &gone):
		return nil, &responses.Error{Status: http.StatusBadGateway, Type: responses.ErrBadGateway, Message: "the run was terminated by an operator"}
	default:
		return nil, err
	}
}

func (s *Starter) cancel(ctx context.Context, run client.WorkflowRun) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	if err := s.Temporal.CancelWorkflow(ctx, run.GetID(), run.GetRunID()); err != nil {
		s.Logger.WarnContext(ctx, "run of a client that left could not be cancelled", "response", run.GetID(), "error", err)
	}
}
