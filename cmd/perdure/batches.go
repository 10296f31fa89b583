package main

import (
	"perdure/config"
	"perdure/starter"
	"perdure/workflows"
)

// Of batches, what an operator has no reason to change.
const (
	// batchSegment lines are written to the files at once: some hundred KB, and one step for as many runs.
	batchSegment = 200
	// batchAhead is how many lines wait for one that is slow before the batch does. All of them are in Temporal until then.
	batchAhead = 5_000
	// batchHistoryBytes keeps the history of a batch's execution below the size at which Temporal warns.
	batchHistoryBytes = 8 << 20
)

func batchLimits(c config.Config) starter.BatchLimits {
	return starter.BatchLimits{
		Concurrency: c.Batches.Concurrency, Places: c.Batches.TenantConcurrency, UnderWay: c.Batches.UnderWay,
		Run: workflows.BatchLimits{
			Segment: batchSegment, Ahead: batchAhead, HistoryEvents: c.Batches.HistoryEvents, HistoryBytes: batchHistoryBytes,
		},
	}
}
