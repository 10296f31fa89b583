package workflows

import (
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"
)

func TestDeadline(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 26, 21, 0, 0, 0, time.UTC)
	carried := began.Add(time.Hour)
	for name, test := range map[string]struct {
		change  func(*workflow.Info)
		carried *Carried
		want    time.Time
	}{
		"a day":                       {func(*workflow.Info) {}, nil, began.Add(24*time.Hour - 5*time.Minute)},
		"a minute":                    {func(i *workflow.Info) { i.WorkflowExecutionTimeout = time.Minute }, nil, began.Add(54 * time.Second)},
		"no limit":                    {func(i *workflow.Info) { i.WorkflowExecutionTimeout = 0 }, nil, time.Time{}},
		"gone on as new":              {func(*workflow.Info) {}, &Carried{Deadline: carried}, carried},
		"begun by an earlier release": {func(*workflow.Info) {}, &Carried{}, time.Time{}},
		"reset":                       {func(i *workflow.Info) { i.OriginalRunID = "another" }, nil, time.Time{}},
	} {
		info := &workflow.Info{
			WorkflowExecution: workflow.Execution{RunID: "this"}, OriginalRunID: "this",
			WorkflowStartTime: began, WorkflowExecutionTimeout: 24 * time.Hour,
		}
		test.change(info)
		if got := deadline(info, test.carried); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
