package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	// collectEvery is how long a line that has ended waits for others before it is written to the files.
	collectEvery = 10 * time.Second
	// skippedSegment is how many lines that never ran are written at once.
	skippedSegment = 2_000
	// shareEvery is how often a batch asks for its share of the organization's places.
	shareEvery       = 15 * time.Second
	shareEveryPaused = time.Minute
	// drainPatience is how long an execution that is about to stop waits for its lines.
	drainPatience = 5 * time.Second
	// eventsOfLine is how many events a line brings at the most: three of its own, and two workflow tasks.
	eventsOfLine = 9
)

// stepOptions: steps of a batch write the same again if they are repeated, and wait for a database or a storage that is away for as long as
// it takes: a batch has nobody who waits for it but for its whole.
func stepOptions(summary string, longest time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: longest,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: firstRetry, BackoffCoefficient: 2, MaximumInterval: lastRetry, NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	}
}

func batchOptions(summary string) workflow.ActivityOptions {
	o := stepOptions(summary, time.Hour)
	o.HeartbeatTimeout = batchHeartbeat
	return o
}

// batchHeartbeat is how long a step of a batch may be silent before another worker begins it anew.
const batchHeartbeat = 15 * time.Second

func collectOptions(in BatchCollectInput) workflow.ActivityOptions {
	o := stepOptions(fmt.Sprintf("write lines %d to %d", in.From, in.Until), 10*time.Minute)
	o.HeartbeatTimeout = batchHeartbeat
	return o
}

// awaitOptions: it lasts as long as the quickest of the lines.
func awaitOptions(lines []int) workflow.ActivityOptions {
	o := stepOptions(fmt.Sprintf("wait for %d lines of an earlier execution", len(lines)), 30*24*time.Hour)
	o.HeartbeatTimeout = batchHeartbeat
	return o
}
