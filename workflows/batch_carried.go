package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"perdure/internal/batch"
)

const batchCarriedVersion = 1

// BatchCarried is what a batch hands over to itself when its history has grown enough. It goes on as a new execution with the same
// workflow ID.
//
// The lines under way then are not children of the new execution, and Temporal tells it nothing of them. They run on, since nothing that
// becomes of a parent concerns them; the new execution has their ends waited for by an activity, by their IDs (see [batchRun.awaitStrays]).
// Waiting for all of them before would leave a whole window idle for as long as the slowest line takes; so only those are waited for that
// end within [drainPatience], which with quick lines is all of them.
type BatchCarried struct {
	// Version is that of this struct, as in [Carried].
	Version int          `json:"version"`
	Status  batch.Status `json:"status"`
	File    string       `json:"file"`
	Total   int          `json:"total"`
	// Next is the first line that was not begun, Collected the last that is in the files, and Running the lines under way. All others
	// between have ended.
	Next      int            `json:"next"`
	Collected int            `json:"collected"`
	Running   []int          `json:"running,omitempty"`
	Progress  batch.Progress `json:"progress"`
	Seen      BatchSeen      `json:"seen"`
	Paused    bool           `json:"paused,omitempty"`
	Ending    batch.Status   `json:"ending,omitempty"`
	Share     int            `json:"share"`
	Width     float64        `json:"width"`
	Pace      pace           `json:"pace"`
	// Executions is how many there were before.
	Executions int `json:"executions"`
}

// full reports whether this execution is to stop, which it does not take back. There must be room for what the lines under way still bring.
func (b *batchRun) full(ctx workflow.Context) bool {
	info, l := workflow.GetInfo(ctx), b.in.Limits
	b.leaving = b.leaving || info.GetCurrentHistoryLength()+eventsOfLine*len(b.running) >= l.HistoryEvents ||
		info.GetCurrentHistorySize() >= l.HistoryBytes
	return b.leaving
}

// carryOn ends this execution in favour of the next one.
func (b *batchRun) carryOn(ctx workflow.Context) error {
	controls := workflow.GetSignalChannel(ctx, BatchControlName)
	for {
		var c BatchControl
		if !controls.ReceiveAsync(&c) {
			break
		}
		b.obey(ctx, c)
	}
	for number := b.ended + 1; number < b.next; number++ {
		if l := b.running[number]; l != nil && !l.stray {
			l.stray = true
			b.strayed++
		}
	}
	in := b.in
	in.Carried = &BatchCarried{
		Version: batchCarriedVersion, Status: b.status, File: b.file, Total: b.total, Next: b.next, Collected: b.collected, Running: b.strays(),
		Progress: b.progress, Seen: b.seen, Paused: b.paused, Ending: b.ending, Share: b.window.share, Width: b.window.width, Pace: b.pace,
		Executions: b.executions + 1,
	}
	return workflow.NewContinueAsNewError(ctx, BatchName, in)
}

// resume takes over what the execution before has handed over.
func (b *batchRun) resume(c *BatchCarried) {
	if c.Version != batchCarriedVersion {
		panic(fmt.Sprintf("workflows: the batch was carried on by a later release (version %d, known is %d): start a worker of that release",
			c.Version, batchCarriedVersion))
	}
	b.status, b.file, b.total, b.next, b.collected, b.ended = c.Status, c.File, c.Total, c.Next, c.Collected, c.Collected
	b.progress, b.seen, b.paused, b.ending, b.pace, b.executions = c.Progress, c.Seen, c.Paused, c.Ending, c.Pace, c.Executions
	b.window.share, b.window.width = c.Share, c.Width
	for _, number := range c.Running {
		// What an earlier epoch has to say about the window was said, or is lost.
		b.running[number] = &line{epoch: -1, stray: true}
		b.strayed++
	}
	for b.ended+1 < b.next && b.running[b.ended+1] == nil {
		b.ended++
	}
}
