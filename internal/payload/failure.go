package payload

import (
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// failureConverter encrypts the messages and the stack traces of failures, with their details. Their types stay readable.
type failureConverter struct {
	converter.FailureConverter
	codec *Codec
	// ofActivity is set for a failure of an activity, which nobody decodes but its workflow.
	ofActivity bool
}

var _ converter.FailureConverterWithSerializationContext = (*failureConverter)(nil)

// NewFailureConverter returns the failure converter that belongs to [NewDataConverter].
func NewFailureConverter(codec *Codec) converter.FailureConverter {
	return newFailureConverter(codec, false)
}

func newFailureConverter(codec *Codec, ofActivity bool) *failureConverter {
	return &failureConverter{
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
			DataConverter: newDataConverter(codec, false), EncodeCommonAttributes: codec.encrypt,
		}),
		codec: codec, ofActivity: ofActivity,
	}
}

// WithSerializationContext returns the converter for failures of one workflow, or of one of its activities.
func (f *failureConverter) WithSerializationContext(ctx converter.SerializationContext) converter.FailureConverter {
	_, ofActivity := ctx.(converter.ActivitySerializationContext)
	return newFailureConverter(f.codec.within(ctx), ofActivity)
}

// FailureToError makes an error of a failure. A message that cannot be decrypted would go to the run's client as it stands in history,
// so that a workflow panics instead when a key is missing, as its data converter does.
func (f *failureConverter) FailureToError(failure *failurepb.Failure) error {
	if f.ofActivity {
		for cause := failure; cause != nil; cause = cause.GetCause() {
			if encoded := cause.GetEncodedAttributes(); encoded != nil {
				_, err := f.codec.open(encoded)
				panicIfKeyMissing(err)
			}
		}
	}
	return f.FailureConverter.FailureToError(failure)
}
