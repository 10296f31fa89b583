package payload

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"perdure/internal/secret"
)

const text = "what nobody may read: canary-4be1"

func newSealer(t *testing.T) *secret.Sealer {
	t.Helper()
	data, err := secret.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := secret.ParseKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func ofWorkflow(c *Codec, id string) converter.DataConverter {
	return OfWorkflow(NewDataConverter(c), "default", id)
}

// encode is the text as a payload.
func encode(t *testing.T, dc converter.DataConverter) *commonpb.Payload {
	t.Helper()
	p, err := dc.ToPayload(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func checkHidden(t *testing.T, message proto.Message) {
	t.Helper()
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("canary")) {
		t.Errorf("the text is readable: %s", data)
	}
}

func checkDecodes(t *testing.T, dc converter.DataConverter, p *commonpb.Payload) {
	t.Helper()
	var got string
	if err := dc.FromPayload(p, &got); err != nil || got != text {
		t.Errorf("got %q, %v, want the text", got, err)
	}
}

func TestPayloadsAreEncrypted(t *testing.T) {
	t.Parallel()
	codec := NewCodec(newSealer(t), true)
	dc := ofWorkflow(codec, "resp_1")
	p := encode(t, dc)
	checkHidden(t, p)
	if got := string(p.GetMetadata()["encoding"]); got != "binary/encrypted" || !Encrypted(p) || WorkflowOf(p) != "resp_1" {
		t.Errorf("the metadata is %v", p.GetMetadata())
	}
	checkDecodes(t, dc, p)
	// The codec endpoint has the payload and nothing else.
	inner, err := codec.Decode([]*commonpb.Payload{p})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(inner[0].GetMetadata()["encoding"]); got != "json/plain" || string(inner[0].GetData()) != `"`+text+`"` {
		t.Errorf("the codec decodes to %v", inner[0])
	}
	both, err := dc.ToPayloads(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkHidden(t, both)
	var first, second *string
	if err := dc.FromPayloads(both, &first, &second); err != nil || *first != text || second != nil {
		t.Errorf("two values: %v, %v, %v", first, second, err)
	}
}

// A payload that somebody copies from the history of one workflow into another one must not open there, whoever then shows it.
func TestPayloadOfAnotherWorkflow(t *testing.T) {
	t.Parallel()
	codec := NewCodec(newSealer(t), true)
	p := encode(t, ofWorkflow(codec, "resp_1"))
	renamed, ok := proto.Clone(p).(*commonpb.Payload)
	if !ok {
		t.Fatal("not a payload")
	}
	renamed.Metadata[workflowKey] = []byte("resp_2")
	nameless, ok := proto.Clone(p).(*commonpb.Payload)
	if !ok {
		t.Fatal("not a payload")
	}
	delete(nameless.Metadata, workflowKey)
	for name, p := range map[string]*commonpb.Payload{"copied": p, "and renamed": renamed, "without its name": nameless} {
		var got string
		if err := ofWorkflow(codec, "resp_2").FromPayload(p, &got); err == nil || got != "" {
			t.Errorf("%s: got %q, %v, want an error", name, got, err)
		}
	}
	for _, p := range []*commonpb.Payload{renamed, nameless} {
		if _, err := codec.Decode([]*commonpb.Payload{p}); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("the codec alone: %v, want ErrOpen", err)
		}
	}
}

// The SDK encodes some payloads without saying whose they are.
func TestPayloadOfNoWorkflow(t *testing.T) {
	t.Parallel()
	codec := NewCodec(newSealer(t), true)
	p := encode(t, NewDataConverter(codec))
	checkHidden(t, p)
	checkDecodes(t, ofWorkflow(codec, "resp_1"), p)
	checkDecodes(t, NewDataConverter(codec), p)
}

// An activity's payloads are those of its workflow, and so are those of a heartbeat that we send ourselves.
func TestPayloadOfAnActivity(t *testing.T) {
	t.Parallel()
	codec := NewCodec(newSealer(t), true)
	activity := converter.WithDataConverterSerializationContext(NewDataConverter(codec), converter.ActivitySerializationContext{
		Namespace: "default", WorkflowID: "resp_1", ActivityType: "mcp_call",
	})
	checkDecodes(t, activity, encode(t, ofWorkflow(codec, "resp_1")))
	checkDecodes(t, ofWorkflow(codec, "resp_1"), encode(t, activity))
}

// The switch can be moved while there are runs.
func TestSwitch(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	on, off := ofWorkflow(NewCodec(sealer, true), "resp_1"), ofWorkflow(NewCodec(sealer, false), "resp_1")
	plain := encode(t, off)
	if Encrypted(plain) || !strings.Contains(string(plain.GetData()), text) {
		t.Errorf("switched off, it encrypts: %v", plain)
	}
	for _, p := range []*commonpb.Payload{plain, encode(t, on)} {
		checkDecodes(t, on, p)
		checkDecodes(t, off, p)
	}
}

// Without the key a workflow's code must not go on with an error: the SDK would fail the run, or lose a signal.
func TestMissingKey(t *testing.T) {
	t.Parallel()
	p := encode(t, ofWorkflow(NewCodec(newSealer(t), true), "resp_1"))
	without := NewCodec(newSealer(t), true)
	var missing *secret.UnknownKeyError
	var got string
	if err := ofWorkflow(without, "resp_1").FromPayload(p, &got); !errors.As(err, &missing) {
		t.Errorf("outside of a workflow: %v, want an UnknownKeyError", err)
	}
	aware, ok := NewDataConverter(without).(converter.ContextAware)
	if !ok {
		t.Fatal("the converter does not know workflows")
	}
	inside := OfWorkflow(aware.WithWorkflowContext(nil), "default", "resp_1")
	for name, decode := range map[string]func() error{
		"FromPayload":  func() error { return inside.FromPayload(p, &got) },
		"FromPayloads": func() error { return inside.FromPayloads(&commonpb.Payloads{Payloads: []*commonpb.Payload{p}}, &got) },
	} {
		if !panics(decode) {
			t.Errorf("%s does not panic in a workflow", name)
		}
	}
}

// What will never become right is an error in a workflow, too: it may fail the run.
func TestAlteredPayload(t *testing.T) {
	t.Parallel()
	codec := NewCodec(newSealer(t), true)
	p := encode(t, ofWorkflow(codec, "resp_1"))
	p.Data[len(p.Data)-1] ^= 1
	var got string
	inside := newDataConverter(codec, true).WithSerializationContext(converter.WorkflowSerializationContext{WorkflowID: "resp_1"})
	if err := inside.FromPayload(p, &got); !errors.Is(err, secret.ErrOpen) || got != "" {
		t.Errorf("got %q, %v, want ErrOpen", got, err)
	}
}

func panics(f func() error) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	_ = f()
	return false
}
