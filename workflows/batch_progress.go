package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"perdure/internal/batch"
)

// BatchProgressName is the query for the [BatchProgress] as it is now. It never changes.
const BatchProgressName = "progress"

// BatchSeen counts what lines said when they ended.
type BatchSeen struct {
	// Throttled is how many times a provider has refused a turn because there were too many.
	Throttled int `json:"throttled"`
	// Failed is how many lines have failed. The files may not have all of them yet.
	Failed int `json:"failed"`
}

// BatchProgress is how far a batch has come.
type BatchProgress struct {
	Status batch.Status `json:"status"`
	Paused bool         `json:"paused,omitempty"`
	Ending batch.Status `json:"ending,omitempty"` // what it will be, if it is about to end early
	// Progress counts what is in the files.
	Progress batch.Progress `json:"progress"`
	BatchSeen
	Begun   int `json:"begun"`
	Running int `json:"running"`
	// Window is how many lines may run now, of Concurrency that the batch wants and Share that it may have.
	Window      int `json:"window"`
	Concurrency int `json:"concurrency"`
	Share       int `json:"share"`
	// Rate is in lines per second, and Left how long the rest takes at this rate; 0 while it is not known.
	Rate float64       `json:"rate"`
	Left time.Duration `json:"left"`
	// Executions is how many of the workflow there were before this one.
	Executions int `json:"executions"`
}

func (b *batchRun) now() BatchProgress {
	return BatchProgress{
		Status: b.status, Paused: b.paused, Ending: b.ending, Progress: b.progress, BatchSeen: b.seen,
		Begun: b.next - 1, Running: len(b.running), Window: b.window.limit(), Concurrency: b.in.Concurrency, Share: b.window.share,
		Rate: b.pace.Rate, Left: b.pace.left(b.total - b.next + 1 + len(b.running)), Executions: b.executions,
	}
}

// announce answers the query [BatchProgressName] from now on.
func (b *batchRun) announce(ctx workflow.Context) error {
	return workflow.SetQueryHandler(ctx, BatchProgressName, func() (BatchProgress, error) { return b.now(), nil })
}

// tell shows an operator, in the Temporal Web UI, how far the batch is.
func (b *batchRun) tell(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, b.now().text())
}

func (p BatchProgress) text() string {
	doing := string(p.Status)
	switch {
	case p.Status.Ended():
	case p.Ending != "":
		doing = "ending: " + string(p.Ending)
	case p.Paused:
		doing = "paused"
	}
	text := fmt.Sprintf("**%s**\n\n%d of %d lines are in the files: %d completed, %d failed", doing, p.Progress.Done(), p.Progress.Total,
		p.Progress.Completed, p.Progress.Failed)
	text += fmt.Sprintf("\n\n%d lines run, at most %d (the batch wants %d, its organization has %d for it)", p.Running, p.Window, p.Concurrency, p.Share)
	if p.Throttled > 0 {
		text += fmt.Sprintf(" · providers have refused %d turns because there were too many", p.Throttled)
	}
	if p.Rate > 0 {
		text += fmt.Sprintf("\n\n%.1f lines per second", p.Rate)
		if p.Left > 0 {
			text += fmt.Sprintf(" · %v left", p.Left)
		}
	}
	if p.Executions > 0 {
		text += fmt.Sprintf("\n\nwent on from %d earlier executions, whose histories were full", p.Executions)
	}
	return text
}

// Summary says in a line what a batch is.
func (in *BatchInput) Summary() string { return "batch of " + in.User + " · " + in.Organization }

func lineSummary(batchID string, number int) string {
	return fmt.Sprintf("line %d of %s", number, batchID)
}

// publish shows how the batch ended.
func (b *batchRun) publish(ctx workflow.Context) {
	b.tell(ctx)
	if err := workflow.UpsertTypedSearchAttributes(ctx, Status.ValueSet(string(b.status))); err != nil {
		workflow.GetLogger(ctx).Error("search attributes could not be set", "error", err)
	}
}
