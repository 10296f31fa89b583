package starter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"perdure/internal/admission"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

// gates are what a request must pass before it costs anything. They wait for nothing: what does not fit is refused at once, with the
// time after which it may be welcome.
type gates struct {
	rates admission.Rates
	// open has a place for each request that is being answered.
	open *admission.Budget
	// bodies has the bytes of requests whose runs have not begun yet.
	bodies *admission.Budget
	// starts has a place for each start that Temporal was asked for. By Little's law this many at once are as many a second as Temporal
	// answers in a second divided by how long it takes for one: it is asked for less as it gets slower.
	starts   *admission.Budget
	runs     *admission.Runs[identity.Principal]
	temporal *admission.Health
}

// How long a client is told to wait, where nothing says how long it will really be.
const (
	retryLater   = 2 * time.Second // what is away, or under way, may take a while
	retryBusy    = time.Second     // what is full has room again when a few requests are done
	retryOutage  = time.Second     // Temporal is noticed when it is back, in less
	rateExceeded = "rate_limit_exceeded"
)

func newGates(closing context.Context, k *Intake) gates {
	l := k.Limits
	return gates{
		open:     admission.NewBudget(0, int64(l.OpenRequests)),
		bodies:   admission.NewBudget(l.BodyMemory, l.BodyMemory/2),
		starts:   admission.NewBudget(int64(l.ConcurrentStarts), int64(l.ConcurrentStarts)/2),
		runs:     admission.NewRuns(k.countRuns, k.Logger),
		temporal: admission.NewHealth(closing, k.Logger, k.probeTemporal),
	}
}

// refusal is the error of a request of which nothing was done, because there is no room for it now, and when it may be sent again.
type refusal struct {
	shown *responses.Error
	after time.Duration
}

func (r *refusal) Error() string { return r.shown.Error() }
func (r *refusal) Unwrap() error { return r.shown }

func tooMany(after time.Duration, format string, args ...any) error {
	return &refusal{&responses.Error{
		Status: http.StatusTooManyRequests, Type: responses.ErrRateLimited, Code: rateExceeded, Message: fmt.Sprintf(format, args...),
	}, after}
}

func busy(message string) error { return &refusal{unavailable(message), retryBusy} }

// setRetryAfter tells a client when to come again. Seconds are rounded up, so that it is not too early; SDKs read the milliseconds. Whoever was
// refused beforehand hears that it is safe: of an error in the middle, what was asked for may have been done.
func setRetryAfter(h http.Header, err error) {
	after := retryLater
	var r *refusal
	if errors.As(err, &r) {
		after = r.after
		h.Set("X-Should-Retry", "true")
	}
	h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(after.Seconds())))))
	h.Set("Retry-After-Ms", strconv.FormatInt(after.Milliseconds(), 10))
}

// takeRequest counts a request against the rate of its key.
func (s *Starter) takeRequest(who identity.Principal) (admission.Quota, error) {
	quota, ok := s.gates.rates.Take(who.Account(), admission.Rate{PerMinute: who.Limits.RequestsPerMinute, Burst: who.Limits.RequestBurst})
	if !ok {
		return quota, tooMany(quota.Retry, "this API key may make %d requests a minute; try again in %v", quota.Limit, quota.Retry)
	}
	return quota, nil
}

// setQuota sets OpenAI's headers. A key without limit has none.
func setQuota(h http.Header, q admission.Quota) {
	if q.Limit == 0 {
		return
	}
	h.Set("X-Ratelimit-Limit-Requests", strconv.Itoa(q.Limit))
	h.Set("X-Ratelimit-Remaining-Requests", strconv.Itoa(q.Remaining))
	h.Set("X-Ratelimit-Reset-Requests", q.Reset.String())
}

// limited passes a request of a caller on within the limits of its key.
func (s *Starter) limited(w http.ResponseWriter, r *http.Request, who identity.Principal, h func(http.ResponseWriter, *http.Request, identity.Principal) error) error {
	quota, err := s.takeRequest(who)
	setQuota(w.Header(), quota)
	if err != nil {
		return err
	}
	if s.gates.open.Take(who.Account(), 1) != nil {
		return tooMany(retryBusy, "this API key may have %d requests open at the same time, streams among them; let some end", s.Limits.OpenRequests)
	}
	defer s.gates.open.Give(who.Account(), 1)
	return h(w, r, who)
}

// durable is authenticated for what cannot be done without Temporal. While that is away, such a request is refused at once.
func (s *Starter) durable(h func(http.ResponseWriter, *http.Request, identity.Principal) error) http.Handler {
	return s.authenticated(func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		if err := s.checkTemporal(); err != nil {
			return err
		}
		return h(w, r, who)
	})
}

func (s *Starter) checkTemporal() error {
	if s.gates.temporal.Away() {
		return &refusal{unavailable("the workflow service cannot be reached; try again"), retryOutage}
	}
	return nil
}

// probeTemporal asks for a run that never was. The answer comes from Temporal's database, so it shows more than that somebody listens.
func (k *Intake) probeTemporal(ctx context.Context) error {
	_, err := k.Temporal.WorkflowService().DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: k.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: "perdure-health-check"},
	})
	if temporalAway(err) {
		return err
	}
	return nil // any other answer is one
}

// asking bounds how long a client waits for what Temporal is asked with the returned context, and has Temporal probed if it takes long.
// The returned function must be called when it is over.
func (k *Intake) asking(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	over := k.gates.temporal.Watch()
	return ctx, func() { over(); cancel() }
}

// askTimeout is how long a Temporal server that is restarted may take. The SDK itself would try for a minute.
const askTimeout = 10 * time.Second

// starting has Temporal asked for the start of a workflow, if not too many starts are waited for already. A client that leaves in the
// middle does not interrupt it.
func (s *Starter) starting(ctx context.Context, who identity.Principal, execute func(context.Context) error) error {
	if err := s.checkTemporal(); err != nil {
		return err
	}
	switch err := s.gates.starts.Take(who.Account(), 1); {
	case errors.Is(err, admission.ErrShare):
		return tooMany(retryBusy, "too many runs of this API key are being started; try again")
	case err != nil:
		return busy("too many runs are being started; try again")
	}
	defer s.gates.starts.Give(who.Account(), 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	defer s.gates.temporal.Watch()()
	err := execute(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.gates.temporal.Suspect()
		return unavailable("the workflow service did not answer in time, so the request may or may not have taken effect; " +
			"with the same Idempotency-Key it is safe to try again")
	}
	return err
}

// takeRun takes the place of a run that is about to start, and refuses it if its key has too many under way. The returned function
// gives the place back if the run does not start after all.
func (s *Starter) takeRun(ctx context.Context, who identity.Principal, id string) (never func(), err error) {
	never, ok := s.gates.runs.Begin(ctx, who, who.Limits.ConcurrentRuns, id)
	if !ok {
		return nil, tooMany(retryBusy, "this API key may have %d runs under way at the same time; let some end", who.Limits.ConcurrentRuns)
	}
	return never, nil
}

// countRuns counts the runs of a key that began before a time, of this deployment: it is the one with our task queue. Of a run that
// went on as a new execution, only the last one is running.
func (k *Intake) countRuns(ctx context.Context, who identity.Principal, before time.Time) (int, error) {
	query := fmt.Sprintf("WorkflowType = '%s' AND TaskQueue = '%s' AND %s = '%s' AND %s = '%s' AND ExecutionStatus = 'Running' AND %s IS NULL AND %s < '%s'",
		workflows.ResponseName, k.TaskQueue, workflows.Organization.GetName(), who.Organization, workflows.Key.GetName(), who.Key,
		workflows.BatchID.GetName(), workflows.Created.GetName(), before.UTC().Format(time.RFC3339Nano))
	counted, err := k.Temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: k.Namespace, Query: query})
	return int(counted.GetCount()), err
}
