package payload

import (
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

func TestFailuresAreEncrypted(t *testing.T) {
	t.Parallel()
	codec := NewCodec(newSealer(t), true)
	activity := converter.ActivitySerializationContext{Namespace: "default", WorkflowID: "resp_1"}
	workflow := converter.WorkflowSerializationContext{Namespace: "default", WorkflowID: "resp_1"}
	failures := converter.WithFailureConverterSerializationContext(NewFailureConverter(codec), activity)
	cause := temporal.NewApplicationError("cause "+text, "inner", "detail "+text)
	failure := failures.ErrorToFailure(temporal.NewApplicationErrorWithOptions(text, "model", temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{text}, Cause: cause,
	}))
	checkHidden(t, failure)
	// Temporal and people go by the type.
	if info := failure.GetApplicationFailureInfo(); info.GetType() != "model" || !info.GetNonRetryable() ||
		failure.GetCause().GetApplicationFailureInfo().GetType() != "inner" {
		t.Errorf("the failure is %v", failure)
	}
	// It goes on as the failure of the run.
	err := converter.WithFailureConverterSerializationContext(NewFailureConverter(codec), workflow).FailureToError(failure)
	var app *temporal.ApplicationError
	var detail string
	if !errors.As(err, &app) || app.Type() != "model" || app.Message() != text || app.Details(&detail) != nil || detail != text {
		t.Errorf("got the error %v with the detail %q", err, detail)
	}
	if cause := errors.Unwrap(err); cause == nil || !strings.Contains(cause.Error(), "cause "+text) {
		t.Errorf("got the cause %v", cause)
	}
}

func TestFailureInTheClear(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	off, on := NewFailureConverter(NewCodec(sealer, false)), NewFailureConverter(NewCodec(sealer, true))
	for name, pair := range map[string][2]converter.FailureConverter{"switched on": {off, on}, "switched off": {on, off}} {
		err := pair[1].FailureToError(pair[0].ErrorToFailure(temporal.NewApplicationError(text, "model")))
		var app *temporal.ApplicationError
		if !errors.As(err, &app) || app.Message() != text {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The message of an activity's failure may be what the run's client reads. One that cannot be decrypted would be "Encoded failure".
func TestFailureWithoutItsKey(t *testing.T) {
	t.Parallel()
	activity := converter.ActivitySerializationContext{Namespace: "default", WorkflowID: "resp_1"}
	encrypted := converter.WithFailureConverterSerializationContext(NewFailureConverter(NewCodec(newSealer(t), true)), activity)
	outer := temporal.NewApplicationErrorWithOptions("x", "outer", temporal.ApplicationErrorOptions{Cause: errors.New(text)})
	without := NewFailureConverter(NewCodec(newSealer(t), true))
	inWorkflow := converter.WithFailureConverterSerializationContext(without, activity)
	if !panics(func() error { return inWorkflow.FailureToError(encrypted.ErrorToFailure(outer)) }) {
		t.Error("a workflow goes on without the message")
	}
	// A client that asks how a run ended is not to panic.
	if err := without.FailureToError(encrypted.ErrorToFailure(outer)); err == nil || strings.Contains(err.Error(), text) {
		t.Errorf("got %v", err)
	}
}
