package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"

	"perdure/activities"
)

// TestHandBack pins what becomes of a step that is under way when its worker's grace ends.
func TestHandBack(t *testing.T) {
	t.Parallel()
	down := temporal.NewApplicationError("down", "down")
	tests := []struct {
		name string
		// step is given what ends the grace, and its own context.
		step func(ctx context.Context, endGrace func()) (string, error)
		// What it comes to: a result, or an error of this type.
		want, wantType string
	}{
		{
			"it ends in time",
			func(context.Context, func()) (string, error) { return "done", nil }, "done", "",
		},
		{
			"it is cut short",
			func(ctx context.Context, endGrace func()) (string, error) {
				endGrace()
				<-ctx.Done()
				return "", ctx.Err()
			},
			"", activities.ErrTypeStopped,
		},
		{
			"it begins when the grace is over",
			func(ctx context.Context, _ func()) (string, error) { <-ctx.Done(); return "", ctx.Err() },
			"", activities.ErrTypeStopped,
		},
		{
			"it says so in other words",
			func(ctx context.Context, endGrace func()) (string, error) {
				endGrace()
				<-ctx.Done()
				return "", errors.Join(errors.New("not stored"), ctx.Err())
			},
			"", activities.ErrTypeStopped,
		},
		{
			"it has its result all the same",
			func(ctx context.Context, endGrace func()) (string, error) {
				endGrace()
				<-ctx.Done()
				return "done", nil
			}, "done", "",
		},
		{
			"it fails for a reason of its own",
			func(ctx context.Context, endGrace func()) (string, error) { endGrace(); <-ctx.Done(); return "", down }, "", "down",
		},
		{
			"it fails by a cancellation of its own",
			func(ctx context.Context, _ func()) (string, error) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return "", temporal.NewApplicationErrorWithCause("gave up", "own", ctx.Err())
			},
			"", "own",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			over, endGrace := context.WithCancel(t.Context())
			defer endGrace()
			if tt.name == "it begins when the grace is over" {
				endGrace()
			}
			env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
			env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{&handBack{over: over}}})
			env.RegisterActivityWithOptions(func(ctx context.Context) (string, error) {
				ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
				defer cancel()
				return tt.step(ctx, endGrace)
			}, activity.RegisterOptions{Name: "step"})
			value, err := env.ExecuteActivity("step")
			var got string
			if err == nil {
				err = value.Get(&got)
			}
			var app *temporal.ApplicationError
			if tt.wantType == "" {
				if err != nil || got != tt.want {
					t.Errorf("result %q, error %v; want %q", got, err, tt.want)
				}
				return
			}
			if !errors.As(err, &app) || app.Type() != tt.wantType {
				t.Fatalf("error %v, want one of type %s", err, tt.wantType)
			}
			if tt.wantType == activities.ErrTypeStopped {
				checkHandedBack(t, app)
			}
		})
	}
}

// checkHandedBack looks for what makes another worker go on at once, and the workflow know that nothing was wrong.
func checkHandedBack(t *testing.T, err *temporal.ApplicationError) {
	t.Helper()
	var attempt int
	if e := err.Details(&attempt); e != nil || attempt != 1 {
		t.Errorf("the details are %d, %v; want the number of the attempt", attempt, e)
	}
	if err.NonRetryable() || err.NextRetryDelay() <= 0 || err.NextRetryDelay() > time.Second {
		t.Errorf("non-retryable %t, next attempt after %v; want one at once", err.NonRetryable(), err.NextRetryDelay())
	}
	if err.Category() != temporal.ApplicationErrorCategoryBenign {
		t.Error("it counts as a failure")
	}
}

// A step that its run has cancelled is cancelled, also while its worker stops.
func TestCancelledStepIsNotHandedBack(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	over, endGrace := context.WithCancel(t.Context())
	defer endGrace()
	i := (&handBack{over: over}).InterceptActivity(t.Context(), &nextStep{run: func(ctx context.Context) (any, error) {
		endGrace()
		return nil, ctx.Err()
	}})
	if _, err := i.ExecuteActivity(cancelled, &interceptor.ExecuteActivityInput{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the cancellation", err)
	}
}

// nextStep is a step behind the interceptor.
type nextStep struct {
	interceptor.ActivityInboundInterceptorBase
	run func(context.Context) (any, error)
}

func (n *nextStep) ExecuteActivity(ctx context.Context, _ *interceptor.ExecuteActivityInput) (any, error) {
	return n.run(ctx)
}
