package starter

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"perdure/internal/batch"
	"perdure/workflows"
)

// BatchAwait waits for the ends of lines, and returns once the first of them has ended, with those that have.
func (k *Intake) BatchAwait(ctx context.Context, in workflows.BatchAwaitInput) (workflows.BatchAwaitResult, error) {
	if err := k.needDatabase(); err != nil {
		return workflows.BatchAwaitResult{}, err // for the other steps would fail, too
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ends := make(chan workflows.EndedLine, len(in.Lines))
	var watching sync.WaitGroup
	for _, line := range in.Lines {
		watching.Go(func() {
			if e, ok := k.awaitLine(waiting, in.BatchID, line); ok {
				ends <- e
			}
		})
	}
	defer watching.Wait()
	defer stop()
	defer beating(ctx)()
	select {
	case <-ctx.Done():
		return workflows.BatchAwaitResult{}, ctx.Err()
	case first := <-ends:
		return workflows.BatchAwaitResult{Ended: append([]workflows.EndedLine{first}, others(ends)...)}, nil
	}
}

// awaitOthers is how long the first line that ends waits for others, so that not each of them costs a step.
const awaitOthers = 500 * time.Millisecond

// batchBeat is how often a step of a batch says that it is at work.
const batchBeat = 4 * time.Second

// beating lets Temporal know that a step is at work, whatever it waits for, until the function that it returns is called.
func beating(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var over sync.WaitGroup
	over.Go(func() {
		beat := time.NewTicker(batchBeat)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				activity.RecordHeartbeat(ctx)
			}
		}
	})
	return func() { cancel(); over.Wait() }
}

func others(ends <-chan workflows.EndedLine) (more []workflows.EndedLine) {
	over := time.After(awaitOthers)
	for {
		select {
		case e := <-ends:
			more = append(more, e)
		case <-over:
			return more
		}
	}
}

// awaitLine waits for the end of a line. It is false if ctx ends before.
func (k *Intake) awaitLine(ctx context.Context, batchID string, line int) (workflows.EndedLine, bool) {
	for wait := firstRewait; ; wait = min(2*wait, lastRewait) {
		var out workflows.Outcome
		err := k.Temporal.GetWorkflow(ctx, batch.ResponseID(batchID, line), "").Get(ctx, &out)
		switch {
		case err == nil:
			return workflows.EndedLine{Line: line, Throttled: out.Throttled}, true
		case ctx.Err() != nil:
			return workflows.EndedLine{}, false
		case !temporalAway(err):
			e, err := ended(err)
			if err == nil {
				return workflows.EndedLine{Line: line, Throttled: e.outcome.Throttled, Failed: true}, true
			}
			k.Logger.WarnContext(ctx, "a line of a batch cannot be asked for its end", "batch", batchID, "line", line, "error", err)
		}
		select {
		case <-ctx.Done():
			return workflows.EndedLine{}, false
		case <-time.After(wait):
		}
	}
}
