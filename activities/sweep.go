package activities

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/blob"
)

// SweepLimits say when a value that nobody has deleted may go.
type SweepLimits struct {
	// Grace is how long nothing was written to a workflow that is gone. It must be longer than it takes to start a run, and than clocks
	// differ.
	Grace time.Duration
	// EventAge is how long the event log keeps events.
	EventAge time.Duration
}

// SweepResult is what a sweep has done. It is also its heartbeat.
type SweepResult struct {
	// Shards is how many parts of the store are done.
	Shards int `json:"shards"`
	// Removed is the number of values.
	Removed int `json:"removed"`
	// Expired is the number of files whose time was over.
	Expired int `json:"expired,omitempty"`
}

// Sweep removes the values of responses and conversations that Temporal no longer has: their retention is over, or they were never
// started, or what was deleted was still written to. It also lets go of the files of schedules that are gone, deletes files that have expired,
// and removes what belongs to no file, such as an upload that was cut off. It goes on where an earlier attempt was cut off. Its errors have the type
// [ErrTypeStorage].
func (a *Activities) Sweep(ctx context.Context) (SweepResult, error) {
	var done SweepResult
	if a.SweepLimits.Grace <= 0 || a.SweepLimits.EventAge <= 0 {
		return done, broken(errors.New("activities: this worker has no limits for sweeps"))
	}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &done); err != nil {
			done = SweepResult{} // from the start, then
		}
	}
	sweep := blob.Sweep{Gone: func(ctx context.Context, ids []string) ([]string, error) {
		activity.RecordHeartbeat(ctx, done)
		return goneOf(ctx, ids)
	}}
	if a.Files != nil {
		sweep.GoneFiles = func(ctx context.Context, ids []string) ([]string, error) {
			activity.RecordHeartbeat(ctx, done)
			return a.Files.Missing(ctx, ids)
		}
		if err := a.releaseSchedules(ctx, done); err != nil {
			return done, err
		}
		n, err := a.Files.Expire(ctx)
		if done.Expired += n; err != nil {
			return done, storageError(err)
		}
	}
	for done.Shards < blob.Shards {
		now := time.Now()
		sweep.Before = now.Add(-a.SweepLimits.Grace)
		sweep.EventsBefore = now.Add(-a.SweepLimits.EventAge - a.SweepLimits.Grace)
		n, err := a.Blobs.Sweep(ctx, done.Shards, sweep)
		done.Removed += n
		if err != nil {
			return done, storageError(err)
		}
		done.Shards++
		activity.RecordHeartbeat(ctx, done)
	}
	if done.Expired > 0 {
		a.Logger.InfoContext(ctx, "files whose time was over were deleted", "files", done.Expired)
	}
	if done.Removed > 0 {
		a.Logger.InfoContext(ctx, "values whose response, conversation or file is gone were removed", "values", done.Removed)
	}
	return done, nil
}

// ErrForeignStores means that the values are those of another namespace, which this one must not sweep.
var ErrForeignStores = blob.ErrForeign

// ClaimStores makes sure that the values are those of the namespace's workflows. Its error is [ErrForeignStores], or one that may pass.
func (a *Activities) ClaimStores(ctx context.Context, c client.Client, namespace string) error {
	d, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	return a.Blobs.Claim(ctx, d.GetNamespaceInfo().GetId())
}

// goneOf returns those of the workflows that Temporal does not have.
func goneOf(ctx context.Context, ids []string) ([]string, error) {
	seen, err := visible(ctx, ids)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, id := range ids {
		if seen[id] {
			continue
		}
		// Visibility may be behind, or have lost something; the history is what counts.
		_, err := activity.GetClient(ctx).DescribeWorkflowExecution(ctx, id, "")
		var missing *serviceerror.NotFound
		switch {
		case errors.As(err, &missing):
			gone = append(gone, id)
		case err != nil:
			return nil, err
		}
	}
	return gone, nil
}

// visible returns which of the workflows visibility knows, at the cost of one look. That it does not know one says nothing.
func visible(ctx context.Context, ids []string) (map[string]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = quoted(id)
	}
	page, err := activity.GetClient(ctx).WorkflowService().ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: activity.GetInfo(ctx).Namespace, PageSize: int32(2 * len(ids)), Query: "WorkflowId IN (" + strings.Join(names, ", ") + ")",
	})
	if err != nil {
		return nil, temporal.NewApplicationError("visibility could not be asked: "+err.Error(), ErrTypeStorage)
	}
	seen := map[string]bool{}
	for _, e := range page.GetExecutions() {
		seen[e.GetExecution().GetWorkflowId()] = true
	}
	return seen, nil
}

// quoted is a string in a query of visibility.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
