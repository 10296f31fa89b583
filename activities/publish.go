package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"perdure/internal/events"
)

// publisher tells the event log what a step does. It never fails a step: who reads the log makes up for what is missing.
type publisher struct {
	step *events.Step
}

// tell returns the publisher of this attempt at a step. The kind and the number name the step within its response.
func (a *Activities) tell(ctx context.Context, responseID, kind string, number int) publisher {
	return publisher{a.Events.Step(responseID, fmt.Sprintf("%s-%d-%d", kind, number, activity.GetInfo(ctx).Attempt))}
}

// last publishes what ends the step and waits, for a short time, until it is stored, so that it stands before all that follows from
// it. It works for a step that was cancelled, too.
func (p publisher) last(ctx context.Context, e events.Event) {
	p.step.Publish(e)
	p.step.Flush(context.WithoutCancel(ctx)) // which has a bound of its own
}

// try numbers the attempts at the turns of a run, from 1 and upwards. The activity's own attempts begin again with each turn and each
// model that is asked; a thousand of them leave room for more than any policy allows.
func try(ctx context.Context, in ModelTurnInput) int {
	return in.Tries + in.Fallback*1000 + int(activity.GetInfo(ctx).Attempt)
}

// tellTurn is tell for a model turn. Its key has the try in place of the attempt.
func (a *Activities) tellTurn(in ModelTurnInput, try int) publisher {
	return publisher{a.Events.Step(in.ResponseID, fmt.Sprintf("turn-%d-%d", in.Turn, try))}
}
