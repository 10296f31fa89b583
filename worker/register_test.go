package worker

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/workflows"
)

// registry records what is registered.
type registry struct {
	sdkworker.WorkflowRegistry // anything else than the method below is a nil dereference
	behaviors                  map[string]workflow.VersioningBehavior
}

func (r *registry) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) {
	r.behaviors[o.Name] = o.VersioningBehavior
}

// TestDocumentedBehaviors: docs/deploying.md has every workflow, in the row of what becomes of it when a version is replaced.
func TestDocumentedBehaviors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/deploying.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Changing workflow code\n")
	documented := map[string]workflow.VersioningBehavior{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\| (stays|goes on) ").FindAllStringSubmatch(table, -1) {
		behavior := map[string]workflow.VersioningBehavior{"stays": pinned, "goes on": autoUpgrade}[row[2]]
		for name := range strings.SplitSeq(row[1], ", ") {
			documented[strings.Trim(name, "`")] = behavior
		}
	}
	r := &registry{behaviors: map[string]workflow.VersioningBehavior{}}
	registerWorkflows(r)
	if diff := cmp.Diff(r.behaviors, documented); diff != "" {
		t.Errorf("(-registered +documented):\n%s", diff)
	}
}

// TestVersioningBehaviors pins what every workflow does when a version is replaced. A run that is under way must not change its mind.
func TestVersioningBehaviors(t *testing.T) {
	t.Parallel()
	r := &registry{behaviors: map[string]workflow.VersioningBehavior{}}
	registerWorkflows(r)
	want := map[string]workflow.VersioningBehavior{
		workflows.ResponseName:     workflow.VersioningBehaviorPinned,
		workflows.ConversationName: workflow.VersioningBehaviorAutoUpgrade,
		workflows.ApprovalName:     workflow.VersioningBehaviorAutoUpgrade,
		workflows.WebhookName:      workflow.VersioningBehaviorAutoUpgrade,
		workflows.DeletionName:     workflow.VersioningBehaviorAutoUpgrade,
		workflows.BatchName:        workflow.VersioningBehaviorAutoUpgrade,
		workflows.ScheduledName:    workflow.VersioningBehaviorAutoUpgrade,
		workflows.SweepName:        workflow.VersioningBehaviorAutoUpgrade,
	}
	if diff := cmp.Diff(want, r.behaviors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
