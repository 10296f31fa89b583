package payload

import (
	"context"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"perdure/internal/secret"
)

// dataConverter is the default one with a Codec.
//
// In a workflow it panics when a key is missing, where others return an error. The SDK would make a failed run of the error, or drop
// the signal in question; a panic fails only the attempt at the workflow task, which Temporal repeats until the keyset is right.
type dataConverter struct {
	converter.DataConverter // with the codec
	codec                   *Codec
	inWorkflow              bool
}

var (
	_ converter.ContextAware                          = (*dataConverter)(nil)
	_ converter.DataConverterWithSerializationContext = (*dataConverter)(nil)
)

// NewDataConverter returns a data converter for a client, its workers and all who read or write payloads themselves. The latter tell it
// whose payloads these are: see [OfWorkflow].
func NewDataConverter(codec *Codec) converter.DataConverter { return newDataConverter(codec, false) }

func newDataConverter(codec *Codec, inWorkflow bool) *dataConverter {
	return &dataConverter{
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec), codec: codec, inWorkflow: inWorkflow,
	}
}

// OfWorkflow returns the converter for the payloads of a workflow and of its activities.
func OfWorkflow(dc converter.DataConverter, namespace, workflowID string) converter.DataConverter {
	return converter.WithDataConverterSerializationContext(dc, converter.WorkflowSerializationContext{
		Namespace: namespace, WorkflowID: workflowID,
	})
}

// WithSerializationContext returns the converter for the payloads of one workflow.
func (d *dataConverter) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	return newDataConverter(d.codec.within(ctx), d.inWorkflow)
}

// WithWorkflowContext returns the converter for use in a workflow's code.
func (d *dataConverter) WithWorkflowContext(converter.WorkflowContext) converter.DataConverter {
	return newDataConverter(d.codec, true)
}

// WithContext returns the converter as it is.
func (d *dataConverter) WithContext(context.Context) converter.DataConverter { return d }

// FromPayload decodes one value.
func (d *dataConverter) FromPayload(p *commonpb.Payload, value any) error {
	return d.checked(d.DataConverter.FromPayload(p, value))
}

// FromPayloads decodes several values.
func (d *dataConverter) FromPayloads(p *commonpb.Payloads, values ...any) error {
	return d.checked(d.DataConverter.FromPayloads(p, values...))
}

func (d *dataConverter) checked(err error) error {
	if d.inWorkflow {
		panicIfKeyMissing(err)
	}
	return err
}

func panicIfKeyMissing(err error) {
	var missing *secret.UnknownKeyError
	if errors.As(err, &missing) {
		panic(missing.Error())
	}
}
