package payload

import (
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"perdure/internal/secret"
)

// The form of an encrypted payload. It is stored: it never changes.
const (
	// encoding is the value of the metadata's "encoding" by custom.
	encoding = "binary/encrypted"
	// workflowKey is the metadata's key for the ID of the workflow. It is absent where the SDK does not know the workflow.
	workflowKey = "perdure-workflow"
	purpose     = "temporal payload"
)

// errElsewhere is for a payload that was copied from another workflow.
var errElsewhere = errors.New("payload: the payload belongs to another workflow")

// Codec encrypts and decrypts payloads. It implements [converter.PayloadCodec].
type Codec struct {
	sealer   *secret.Sealer
	encrypt  bool
	workflow string // the one whose payloads these are; empty if it is not known
}

// NewCodec returns a codec. It decrypts whether or not it encrypts, so that the switch can be moved while there are runs.
func NewCodec(sealer *secret.Sealer, encrypt bool) *Codec {
	return &Codec{sealer: sealer, encrypt: encrypt}
}

// WithSerializationContext returns the codec for the payloads of one workflow. It implements
// [converter.PayloadCodecWithSerializationContext].
func (c *Codec) WithSerializationContext(ctx converter.SerializationContext) converter.PayloadCodec {
	return c.within(ctx)
}

func (c *Codec) within(ctx converter.SerializationContext) *Codec {
	bound := *c
	switch ctx := ctx.(type) {
	case converter.WorkflowSerializationContext:
		bound.workflow = ctx.WorkflowID
	case converter.ActivitySerializationContext:
		bound.workflow = ctx.WorkflowID
	}
	return &bound
}

// Encode encrypts payloads.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if !c.encrypt {
		return payloads, nil
	}
	encoded := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		var err error
		if encoded[i], err = c.seal(p); err != nil {
			return nil, err
		}
	}
	return encoded, nil
}

func (c *Codec) seal(p *commonpb.Payload) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("payload: encode: %w", err)
	}
	sealed, err := c.sealer.Seal(plain, binding(c.workflow))
	if err != nil {
		return nil, err
	}
	metadata := map[string][]byte{converter.MetadataEncoding: []byte(encoding)}
	if c.workflow != "" {
		metadata[workflowKey] = []byte(c.workflow)
	}
	return &commonpb.Payload{Metadata: metadata, Data: sealed}, nil
}

// Decode decrypts those of the payloads that are encrypted. Its error is a [secret.ErrOpen] if one cannot be, or says that it belongs to
// another workflow.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		var err error
		if decoded[i], err = c.open(p); err != nil {
			return nil, err
		}
	}
	return decoded, nil
}

func (c *Codec) open(p *commonpb.Payload) (*commonpb.Payload, error) {
	if !Encrypted(p) {
		return p, nil
	}
	workflow := WorkflowOf(p)
	if workflow != "" && c.workflow != "" && workflow != c.workflow {
		return nil, errElsewhere
	}
	plain, err := c.sealer.Open(p.GetData(), binding(workflow))
	if err != nil {
		return nil, err
	}
	var inner commonpb.Payload
	if err := proto.Unmarshal(plain, &inner); err != nil {
		return nil, fmt.Errorf("payload: decode: %w", err)
	}
	return &inner, nil
}

func binding(workflow string) secret.Binding {
	return secret.Binding{Purpose: purpose, WorkflowID: workflow}
}

// Encrypted reports whether a payload is encrypted.
func Encrypted(p *commonpb.Payload) bool {
	return string(p.GetMetadata()[converter.MetadataEncoding]) == encoding
}

// WorkflowOf returns the ID of the workflow that an encrypted payload names as its own, or "". It is authenticated only once the payload
// was decrypted.
func WorkflowOf(p *commonpb.Payload) string { return string(p.GetMetadata()[workflowKey]) }
