package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
)

// Temporal is the only one who retries. Every policy stands here with its reason.
//
// Activities are called by their registered names and not by their methods: a replay registers no activities, so it could not
// find the name behind a method.

// grace is added to a step's own time limit, so that the step itself can report that its time is over.
const grace = 15 * time.Second

// payloadTooLarge is how the SDK types a payload over the server's limit. It marks it retryable, although no retry can succeed.
const payloadTooLarge = "payloadSizeError"

// discoverOptions: listing tools changes nothing, so it may be repeated freely, but a client waits: the first retries come soon.
func discoverOptions(l Limits, s activities.Server) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             "discover " + s.Label,
		StartToCloseTimeout: l.DiscoveryTimeout + grace,
		HeartbeatTimeout:    l.Heartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        500 * time.Millisecond,
			BackoffCoefficient:     2,
			MaximumInterval:        10 * time.Second,
			MaximumAttempts:        l.DiscoveryAttempts,
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// modelTurnOptions: a turn can be repeated at the price of its tokens. Providers that are overloaded say so with Retry-After, which
// the activity turns into the next delay; otherwise the interval grows to half a minute. The first retry comes soon, because it is
// also the one after a worker's death.
func modelTurnOptions(l Limits, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: l.ModelTimeout + grace,
		HeartbeatTimeout:    l.Heartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        500 * time.Millisecond,
			BackoffCoefficient:     2,
			MaximumInterval:        30 * time.Second,
			MaximumAttempts:        l.ModelAttempts,
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// mcpCallOptions: the activity itself knows whether a call may be repeated and turns everything else into an item, so what comes
// back as an error here is safe to try again. Attempts also cover workers that die.
func mcpCallOptions(l Limits, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: l.CallTimeout + grace,
		HeartbeatTimeout:    l.Heartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        500 * time.Millisecond,
			BackoffCoefficient:     2,
			MaximumInterval:        30 * time.Second,
			MaximumAttempts:        l.CallAttempts,
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// abandonOptions: it only writes an item, so it is tried until it succeeds or the run's time is over.
func abandonOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}

const (
	// changeAttempts keep the client of a change waiting for some ten seconds.
	changeAttempts = 5
	// runAppendAttempts keep changes waiting for about an hour, which is better than to lose the items of a run.
	runAppendAttempts = 120
)

// conversationOptions: a change only adds to the blob store, so it may be repeated freely; what a lost attempt wrote is found again.
func conversationOptions(attempts int32, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: time.Minute,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        500 * time.Millisecond,
			BackoffCoefficient:     2,
			MaximumInterval:        30 * time.Second,
			MaximumAttempts:        attempts,
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}
