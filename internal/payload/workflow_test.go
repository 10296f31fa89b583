package payload

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

// A signal that cannot be decoded is one that the SDK drops. While a key is missing, it must not come to that.
func TestSignalWithoutItsKey(t *testing.T) {
	t.Parallel()
	const id = "default-test-workflow-id" // as the environment calls it
	foreign := encode(t, ofWorkflow(NewCodec(newSealer(t), true), id))
	own := newSealer(t)
	for name, test := range map[string]struct {
		signal any
		want   string // of the workflow's error
	}{
		"its key is there":     {text, ""},
		"its key is not there": {converter.NewRawValue(foreign), "is not in the keyset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
			env.SetTestTimeout(time.Minute)
			env.SetDataConverter(NewDataConverter(NewCodec(own, false)))
			env.SetFailureConverter(NewFailureConverter(NewCodec(own, false)))
			env.RegisterDelayedCallback(func() { env.SignalWorkflow("s", test.signal) }, 0)
			env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
				var got string
				if more, _ := workflow.GetSignalChannel(ctx, "s").ReceiveWithTimeout(ctx, time.Hour, &got); !more {
					return "", temporal.NewApplicationError("the signal was lost", "lost")
				}
				return got, nil
			})
			var got string
			err := env.GetWorkflowError()
			switch {
			case test.want == "" && (err != nil || env.GetWorkflowResult(&got) != nil || got != text):
				t.Errorf("got %q, %v", got, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want a panic that says %q", err, test.want)
			}
		})
	}
}
