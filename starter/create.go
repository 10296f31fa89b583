package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

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

// createResponse starts a run, and answers with what it came to, with its events, or at once.
func (s *Starter) createResponse(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	run, err := s.accept(r.Context(), who, call{body: body, dialect: s.dialect(r), key: key, request: requestID(w), memory: memory})
	if err != nil {
		return err
	}
	memory.keep(int64(run.size))
	switch {
	case run.stream:
		return s.streamRun(w, r, run)
	case run.response.Background:
		return s.answer(w, r, run.response)
	default:
		return s.answerWhenDone(w, r, run)
	}
}

// call is a request for a response, as it came.
type call struct {
	body    []byte
	dialect responses.Dialect
	// key is the Idempotency-Key, empty when there is none.
	key     string
	request string // its ID, for the log
	// live are responses that are not stored but may be continued here: those of the same WebSocket.
	live map[string]bool
	// memory is that of the request, which also counts what it refers to.
	memory *metered
}

// begun is a run that has been accepted. Of the request, which may be large, it holds only what the response repeats.
type begun struct {
	run      client.WorkflowRun
	response *responses.Response
	size     int // of the response, in bytes: what it repeats may be most of the request
	stream   bool
	// independent is set for a run that goes on when its client leaves.
	independent bool
}

// accept starts the run that a request asks for, or attaches to the one that an earlier request with the same key has started.
func (s *Starter) accept(ctx context.Context, who identity.Principal, c call) (*begun, error) {
	req, err := responses.DecodeRequest(c.body, c.dialect)
	if err != nil {
		return nil, err
	}
	return s.admit(ctx, who, req, c)
}

// admit is accept for a request that has been decoded.
func (s *Starter) admit(ctx context.Context, who identity.Principal, req *responses.Request, c call) (*begun, error) {
	if err := s.validate(req); err != nil {
		return nil, err
	}
	before, err := s.before(ctx, who, req, c)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, who, req, before, c)
}

// begin starts a run that goes on with what was before.
func (s *Starter) begin(ctx context.Context, who identity.Principal, req *responses.Request, before before, c call) (*begun, error) {
	id := responseID(who, c.key)
	now := time.Now()
	response := newResponse(req, c.dialect, id, now)
	b := &begun{response: response, stream: req.Stream, independent: req.Background || c.key != ""}
	never, err := s.takeRun(ctx, who, id)
	if err != nil {
		return s.attachOr(ctx, who, b, c, err)
	}
	input, err := s.runInput(ctx, who, id, req, before, c.dialect)
	if err != nil {
		never()
		return s.attachOr(ctx, who, b, c, err) // such as that a connector is not there any more
	}
	memo, size, err := s.memo(ctx, response, fingerprint(c.key, c.body))
	if err != nil {
		never()
		return nil, err
	}
	if title := titleOf(req.Input); title != "" {
		memo[workflows.MemoTitle] = title
	}
	b.size = size
	b.run, err = s.start(ctx, who, input, memo, req, now)
	var taken *serviceerror.WorkflowExecutionAlreadyStarted
	var refused *refusal
	switch {
	case errors.As(err, &taken) && c.key != "":
		never()
		return s.attach(ctx, who, b, c)
	case errors.As(err, &refused):
		never()
		return nil, err
	case err != nil: // whether it runs is not known, so it keeps its place
		return nil, err
	}
	s.Logger.InfoContext(ctx, "run started", "request", c.request, "response", id,
		"organization", who.Organization, "user", who.User, "key", who.Key)
	return b, nil
}

// start begins the run of a response. When it returns without an error, the run is Temporal's to finish.
func (s *Starter) start(ctx context.Context, who identity.Principal, in workflows.ResponseInput, memo map[string]any, req *responses.Request, created time.Time) (client.WorkflowRun, error) {
	status := responses.ResponseInProgress
	if in.Background {
		status = responses.ResponseQueued
	}
	options := client.StartWorkflowOptions{
		ID:                       in.ResponseID,
		TaskQueue:                s.TaskQueue,
		WorkflowExecutionTimeout: s.Limits.RunTimeout,
		WorkflowTaskTimeout:      taskTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		// A run that exists is an error rather than the answer: whoever asks must first show that it is the same request.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		EnableEagerStart:                         s.Eager,
		StaticSummary:                            in.Summary(),
		Priority:                                 priority(who, in.Background),
		Memo:                                     memo,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.Organization.ValueSet(who.Organization),
			workflows.User.ValueSet(who.User),
			workflows.Model.ValueSet(in.Models[0]),
			workflows.Servers.ValueSet(in.Labels()),
			workflows.Status.ValueSet(status),
			workflows.Stored.ValueSet(req.Store),
			workflows.Key.ValueSet(who.Key),
			workflows.Created.ValueSet(created),
		),
	}
	var run client.WorkflowRun
	err := s.starting(ctx, who, func(ctx context.Context) (err error) {
		run, err = s.Temporal.ExecuteWorkflow(ctx, options, workflows.ResponseName, in)
		return err
	})
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) {
		return nil, fmt.Errorf("start the run (does the namespace have the search attributes that \"perdure migrate\" adds?): %w", err)
	}
	return run, err
}

// answerWhenDone waits for the run and answers with what it came to.
func (s *Starter) answerWhenDone(w http.ResponseWriter, r *http.Request, b *begun) error {
	out, err := s.finish(r.Context(), b)
	if err != nil {
		return err
	}
	response, err := s.complete(r.Context(), b.response, out, nil)
	if err != nil {
		return err
	}
	return s.answer(w, r, response)
}

// finish waits for the run of a client whose request is ctx. If the client leaves, its run is cancelled, unless it is to go on; if
// this starter must stop, it goes on in any case.
func (s *Starter) finish(ctx context.Context, b *begun) (*workflows.Outcome, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	end, err := s.await(waiting, b.run)
	switch {
	case err == nil && end.shown != nil:
		return nil, end.shown
	case err == nil:
		return end.outcome, nil
	case s.closing.Err() != nil:
		return nil, s.stoppingError(b.run.GetID())
	case ctx.Err() != nil:
		s.abandon(ctx, b)
		return nil, ctx.Err()
	default:
		return nil, err
	}
}

func (s *Starter) stoppingError(id string) error {
	return unavailable(fmt.Sprintf("this server is stopping; the run goes on as %s", id))
}

func (s *Starter) answer(w http.ResponseWriter, r *http.Request, response *responses.Response) error {
	wire, err := response.MarshalWire(s.dialect(r))
	if err != nil {
		return err
	}
	s.writeJSON(w, r, http.StatusOK, wire)
	return nil
}

// abandon cancels the run of a client that has left, unless the run is to go on without it.
func (s *Starter) abandon(ctx context.Context, b *begun) {
	if b.independent {
		return
	}
	if err := s.cancelRun(ctx, b.run.GetID()); err != nil {
		s.Logger.WarnContext(ctx, "run of a client that left could not be cancelled", "response", b.run.GetID(), "error", err)
	}
}

// cancelRun asks a run to end. It is done even if the caller has gone.
func (s *Starter) cancelRun(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	if err := s.Temporal.CancelWorkflow(ctx, id, ""); err != nil {
		return err
	}
	s.Events.NudgeCancelled(id)
	return nil
}
