package worker

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/workflows"
)

// A pinned workflow ends on the version of the code on which it began, so that a new version may do everything differently. One that
// upgrades itself goes on with the version that is current, at any point, so that its code may change only in ways that a replay of
// older histories does not notice. Workers without versioning know only the second kind. docs/deploying.md says more.
const (
	pinned      = workflow.VersioningBehaviorPinned
	autoUpgrade = workflow.VersioningBehaviorAutoUpgrade
)

// registerWorkflows makes w run every workflow.
func registerWorkflows(w worker.WorkflowRegistry) {
	for _, r := range []struct {
		name     string
		workflow any
		behavior workflow.VersioningBehavior
	}{
		// It has the logic that changes most, and ends within limits.run_timeout, so that an old version is not needed for long. A run
		// that continues as new stays where it is, which is Temporal's default for pinned ones: what it hands over to itself is then
		// read by the code that wrote it, also after a rollback.
		{workflows.ResponseName, workflows.Response, pinned},
		// It lives until its client deletes it, so that no version would ever be without one.
		{workflows.ConversationName, workflows.Conversation, autoUpgrade},
		// It does nothing, in any version.
		{workflows.ApprovalName, workflows.Approval, autoUpgrade},
		// One step, tried for up to a day: pinned, each endpoint that is down would keep an old version needed for nothing.
		{workflows.WebhookName, workflows.Webhook, autoUpgrade},
		// The same.
		{workflows.DeletionName, workflows.Deletion, autoUpgrade},
		// It goes on for as long as a month, and as a new execution every few minutes.
		{workflows.BatchName, workflows.Batch, autoUpgrade},
		// It does nothing but wait for its child, which is pinned itself.
		{workflows.ScheduledName, workflows.Scheduled, autoUpgrade},
		{workflows.SweepName, workflows.Sweep, autoUpgrade},
	} {
		w.RegisterWorkflowWithOptions(r.workflow, workflow.RegisterOptions{Name: r.name, VersioningBehavior: r.behavior})
	}
}
