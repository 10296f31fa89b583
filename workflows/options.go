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

// Times between two attempts. The first comes soon, because it is also the one after a worker's death.
const (
	firstRetry         = 500 * time.Millisecond
	lastRetry          = 30 * time.Second
	lastDiscoveryRetry = 10 * time.Second // somebody may wait
)

// attempts are at least as many as it takes to wait for patience between them. They are counted, not timed, because time also passes
// while no worker is there, or all are busy, and that must not end a run.
func attempts(least int32, patience, longest time.Duration) int32 {
	n, waited := int32(1), time.Duration(0)
	for wait := firstRetry; waited < patience; wait = min(2*wait, longest) {
		waited += wait
		n++
	}
	return max(n, least)
}

// patient is how long the run may wait for a service that its client can do without, or choose another: not at all while the client
// waits itself.
func (in ResponseInput) patient() time.Duration {
	if in.Background {
		return in.Limits.Patience
	}
	return 0
}

// payloadTooLarge is how the SDK types a payload over the server's limit. It marks it retryable, although no retry can succeed.
const payloadTooLarge = "payloadSizeError"

// acceptPatience is how long a request waits for a database or a storage that is away before its run fails. What the deployment says of
// patience comes with the acceptance itself.
const acceptPatience = time.Hour

// acceptOptions: what is written belongs to the run and is found again by the next attempt, so it may be repeated freely. A request that
// is refused is refused for good. It is a local activity, made by the worker that has the run's first task, since a batch makes one for each
// line: without it, a line costs Temporal half as much again. The failure story is the same, but for a worker that dies meanwhile: the task's
// time limit has it made again, by another worker.
func acceptOptions() workflow.LocalActivityOptions {
	return workflow.LocalActivityOptions{
		Summary:             "accept the request",
		StartToCloseTimeout: time.Minute,
		// Without it, it would be that of one attempt. It leaves room for the attempts to be used up.
		ScheduleToCloseTimeout: 2 * acceptPatience,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        firstRetry,
			BackoffCoefficient:     2,
			MaximumInterval:        lastRetry,
			MaximumAttempts:        attempts(1, acceptPatience, lastRetry),
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// renderOptions: it reads only. The caller waits for it, and can have the response otherwise, so it is given up after some minutes.
func renderOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             "render the response",
		StartToCloseTimeout: time.Minute,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        firstRetry,
			BackoffCoefficient:     2,
			MaximumInterval:        lastRetry,
			MaximumAttempts:        attempts(1, 5*time.Minute, lastRetry),
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// discoverOptions: listing tools changes nothing, so it may be repeated freely. A client that waits hears of a server that is away
// within seconds; a run for which nobody waits has patience.
func discoverOptions(in ResponseInput, s activities.Server) workflow.ActivityOptions {
	l := in.Limits
	return workflow.ActivityOptions{
		Summary:             "discover " + s.Label,
		StartToCloseTimeout: l.DiscoveryTimeout + grace,
		HeartbeatTimeout:    l.Heartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        firstRetry,
			BackoffCoefficient:     2,
			MaximumInterval:        lastDiscoveryRetry,
			MaximumAttempts:        attempts(l.DiscoveryAttempts, in.patient(), lastDiscoveryRetry),
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// modelTurnOptions: a turn can be repeated at the price of its tokens. Providers that are overloaded say so with Retry-After, which
// the activity turns into the next delay; otherwise the interval grows to half a minute. A provider that is away is waited for with
// patience, unless there is another model to go to; how often one may fail that took the turn is the activity's affair, which is told
// l.ModelAttempts. Attempts also cover workers that die or are stopped.
func modelTurnOptions(l Limits, last bool, summary string) workflow.ActivityOptions {
	patience := l.Patience
	if !last {
		patience = 0
	}
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: l.ModelTimeout + grace,
		HeartbeatTimeout:    l.Heartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        firstRetry,
			BackoffCoefficient:     2,
			MaximumInterval:        lastRetry,
			MaximumAttempts:        attempts(l.ModelAttempts, patience, lastRetry),
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

// mcpCallOptions: the activity itself knows whether a call may be repeated and turns everything else into an item, so what comes
// back as an error here is safe to try again. A server that is away is waited for with patience if nobody waits for the run; how many
// answers may be lost of calls that may be repeated is the activity's affair. Attempts also cover workers that die or are stopped.
func mcpCallOptions(in ResponseInput, summary string) workflow.ActivityOptions {
	l := in.Limits
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: l.CallTimeout + grace,
		HeartbeatTimeout:    l.Heartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        firstRetry,
			BackoffCoefficient:     2,
			MaximumInterval:        lastRetry,
			MaximumAttempts:        attempts(l.CallAttempts, in.patient(), lastRetry),
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
func conversationOptions(tries int32, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: time.Minute,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        firstRetry,
			BackoffCoefficient:     2,
			MaximumInterval:        lastRetry,
			MaximumAttempts:        tries,
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}
