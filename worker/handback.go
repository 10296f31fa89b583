package worker

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"perdure/activities"
)

const (
	// handBackTimeout is how long the steps of a stopping worker may take to report that they were handed back.
	handBackTimeout = 5 * time.Second
	// atOnce is the shortest delay before the next attempt: none at all would mean that of the retry policy.
	atOnce = time.Millisecond
)

// errStopping is why a step was cancelled whose worker stops.
var errStopping = errors.New("worker: the grace period is over")

// handBack cancels the steps that are under way when over ends, and has them fail in a way that gives them to another worker at once.
//
// The SDK would cancel them, too, but does not wait until they have told the server: the process would be gone before, and each step
// would wait for its heartbeat timeout.
type handBack struct {
	interceptor.WorkerInterceptorBase
	over context.Context
}

func (h *handBack) InterceptActivity(
	_ context.Context, next interceptor.ActivityInboundInterceptor,
) interceptor.ActivityInboundInterceptor {
	i := &handBackActivity{over: h.over}
	i.Next = next
	return i
}

type handBackActivity struct {
	interceptor.ActivityInboundInterceptorBase
	over context.Context
}

func (i *handBackActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(i.over, func() { cancel(errStopping) })()
	result, err := i.Next.ExecuteActivity(ctx, in)
	// Whether a step may be repeated is the step's own affair: what it has recorded is there for the next attempt, and one that knows
	// its result, or has failed for another reason, says so even now.
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errStopping) {
		return nil, temporal.NewApplicationErrorWithOptions("the worker was stopped; another one takes over", activities.ErrTypeStopped,
			temporal.ApplicationErrorOptions{
				NextRetryDelay: atOnce, Category: temporal.ApplicationErrorCategoryBenign,
				Details: []any{int(activity.GetInfo(ctx).Attempt)},
			})
	}
	return result, err
}
