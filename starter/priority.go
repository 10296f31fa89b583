package starter

import (
	"go.temporal.io/sdk/temporal"

	"perdure/internal/identity"
)

// Priorities of runs whose steps wait for the same workers: the lower, the sooner. Temporal knows 1 to 5.
const (
	priorityInteractive = 2 // somebody waits for it
	priorityBackground  = 4
)

// priority is the place of a run, and of its steps, among those that wait for a worker. Within a priority, organizations take turns: one
// that starts many runs does not hold up another that starts one.
func priority(who identity.Principal, background bool) temporal.Priority {
	p := temporal.Priority{PriorityKey: priorityInteractive, FairnessKey: who.Organization} // which has 64 bytes at most, as has the key
	if background {
		p.PriorityKey = priorityBackground
	}
	return p
}
