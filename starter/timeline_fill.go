package starter

import (
	"context"
	"errors"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/workflows"
)

// filler reads what steps carry, within bounds.
type filler struct {
	blobs *blob.Stores
	store *blob.Store
	dc    converter.DataConverter
	// left is how many bytes of large values may still be read for this page.
	left int
}

// pageBytes bounds how much of a run is read for one page. What is beyond it can be had step by step.
const pageBytes = 16 << 20

func (s *Starter) filler(id string) *filler {
	return &filler{blobs: s.Blobs, store: s.Blobs.For(id), dc: s.payloadsOf(id), left: pageBytes}
}

// fill adds to steps what they carry. A step that cannot be read says so and keeps the rest.
func (s *Starter) fill(ctx context.Context, id string, steps []Step) {
	f := s.filler(id)
	for i := range steps {
		if err := f.fill(ctx, &steps[i]); err != nil {
			steps[i].Unreadable = unreadable(err)
			s.Logger.DebugContext(ctx, "a step cannot be read", "response", id, "event", steps[i].Event, "error", err)
		}
		steps[i].raw = raw{child: steps[i].raw.child}
	}
}

// unreadable says in words for clients why something cannot be read.
func unreadable(err error) string {
	switch {
	case errors.Is(err, secret.ErrOpen):
		return "it is encrypted with a key that this server does not have"
	case errors.Is(err, blob.ErrNotFound):
		return "it is not stored any more"
	case errors.Is(err, blob.ErrCorrupt):
		return "what is stored of it was damaged"
	case errors.Is(err, blob.ErrUnavailable):
		return "the storage of large values cannot be reached"
	default:
		return "it cannot be read; this server's log has the reason"
	}
}

func (f *filler) fill(ctx context.Context, s *Step) error {
	s.LastFailure, s.Asked = f.failure(s.raw.earlier)
	if s.raw.failure != nil {
		text, asked := f.failure(s.raw.failure)
		if s.Kind != StepEnd {
			s.Error, s.Asked = text, asked
		}
	}
	switch s.Kind {
	case StepDiscovery:
		return f.discovery(ctx, s)
	case StepTurn:
		return f.turn(ctx, s)
	case StepCall:
		return f.call(ctx, s)
	case StepApproval:
		in := workflows.ApprovalInput{}
		s.ApprovalRequest = s.raw.child[strings.LastIndexByte(s.raw.child, '/')+1:]
		err := f.decode(ctx, s.raw.input, &in)
		s.Approved = in.Approve
		return err
	case StepWebhook:
		in := activities.DeliverWebhookInput{}
		s.Endpoint = endpointOf(s.raw.child)
		err := f.decode(ctx, s.raw.input, &in)
		s.Tells = in.Type
		return err
	case StepEnd:
		return f.end(ctx, s)
	default:
		return nil
	}
}

// decode reads one value. Payloads that Temporal's limits kept out of the history are fetched.
func (f *filler) decode(ctx context.Context, payloads *commonpb.Payloads, into any) error {
	if len(payloads.GetPayloads()) == 0 {
		return nil
	}
	fetched, err := payload.Fetch(ctx, f.blobs, payloads)
	if err != nil {
		return err
	}
	return f.dc.FromPayloads(fetched, into)
}

func (s *Step) at(server activities.Server) {
	s.Server, s.Origin = server.Label, server.Origin
	if server.Connector != nil {
		s.Connector = server.Connector.ID
	}
}

func (f *filler) discovery(ctx context.Context, s *Step) error {
	var in activities.DiscoverInput
	var out activities.DiscoverResult
	if err := errors.Join(f.decode(ctx, s.raw.input, &in), f.decode(ctx, s.raw.result, &out)); err != nil {
		return err
	}
	s.at(in.Server)
	s.ItemID, s.ToolCount = in.ItemID, out.Tools
	for _, d := range out.Dropped[:min(len(out.Dropped), maxToolsShown)] {
		s.Dropped = append(s.Dropped, ToolShown{clipTo(d.Name, maxToolName), clipTo(d.Reason, maxToolText)})
	}
	if s.State != StepDone || !f.affords(out.Item) {
		return nil
	}
	item, err := f.item(ctx, out.Item)
	if list, ok := item.(*responses.MCPListTools); ok {
		for _, tool := range list.Tools[:min(len(list.Tools), maxToolsShown)] {
			s.Tools = append(s.Tools, ToolShown{clipTo(tool.Name, maxToolName), clipTo(tool.Description, maxToolText)})
		}
	}
	return err
}

// What is shown of tools, in bytes but for the first.
const (
	maxToolsShown = 128
	maxToolName   = 128
	maxToolText   = 300
)

func (f *filler) turn(ctx context.Context, s *Step) error {
	var in struct { // of activities.ModelTurnInput, which has the conversation, too
		Turn     int    `json:"turn"`
		Model    string `json:"model"`
		Fallback int    `json:"fallback"`
	}
	var out activities.ModelTurnResult
	if err := errors.Join(f.decode(ctx, s.raw.input, &in), f.decode(ctx, s.raw.result, &out)); err != nil {
		return err
	}
	s.Model, s.Turn, s.Fallback = in.Model, in.Turn, in.Fallback
	if s.State != StepDone {
		return nil
	}
	s.Usage, s.Finish = &out.Usage, string(out.Finish)
	var failed error
	for _, v := range out.Items {
		failed = errors.Join(failed, f.said(ctx, s, v))
	}
	for _, call := range out.Calls {
		switch {
		case call.Refused != nil:
			failed = errors.Join(failed, f.ask(ctx, s, *call.Refused))
		case call.Approval != nil:
			failed = errors.Join(failed, f.ask(ctx, s, *call.Approval))
		default:
			s.Calls++
		}
	}
	for _, v := range out.Functions {
		failed = errors.Join(failed, f.ask(ctx, s, v))
	}
	return failed
}

// said adds what the model said in an item.
func (f *filler) said(ctx context.Context, s *Step, v blob.Value) error {
	if !f.affords(v) {
		s.Text = tooLong(PartText, v)
		return nil
	}
	item, err := f.item(ctx, v)
	switch item := item.(type) {
	case *responses.Message:
		s.Text = newContent(PartText, partsText(item.Content))
	case *responses.Reasoning:
		s.Reasoning = newContent(PartReasoning, partsText(item.Summary))
	}
	return err
}

// ask adds what the model asked for in an item.
func (f *filler) ask(ctx context.Context, s *Step, v blob.Value) error {
	if !f.affords(v) {
		s.Asks = append(s.Asks, Ask{Arguments: tooLong("", v)})
		return nil
	}
	item, err := f.item(ctx, v)
	switch item := item.(type) {
	case *responses.MCPCall:
		a := Ask{Kind: string(item.Type()), ItemID: item.ID, Server: item.ServerLabel, Tool: item.Name, Arguments: newContent("", item.Arguments)}
		if item.Error != nil {
			a.Error = clipTo(*item.Error, maxFailure)
		}
		s.Asks = append(s.Asks, a)
	case *responses.MCPApprovalRequest:
		s.Asks = append(s.Asks, Ask{
			Kind: string(item.Type()), ItemID: item.ID, Server: item.ServerLabel, Tool: item.Name, Arguments: newContent("", item.Arguments),
		})
	case *responses.FunctionCall:
		s.Asks = append(s.Asks, Ask{Kind: string(item.Type()), ItemID: item.CallID, Tool: item.Name, Arguments: newContent("", item.Arguments)})
	}
	return err
}

func (f *filler) call(ctx context.Context, s *Step) error {
	var in activities.MCPCallInput
	var out activities.MCPCallResult
	if err := errors.Join(f.decode(ctx, s.raw.input, &in), f.decode(ctx, s.raw.result, &out)); err != nil {
		return err
	}
	s.at(in.Server)
	s.ItemID, s.Tool, s.Abandoned, s.ApprovalRequest = in.ItemID, in.Tool, in.Abandoned, in.ApprovalRequestID
	var err error
	if s.Arguments, err = f.text(ctx, PartArguments, in.Arguments); err != nil {
		return err
	}
	if s.State != StepDone {
		return nil
	}
	if out.Failed {
		s.State = StepFailed
	}
	if !f.affords(out.Item) {
		s.Output = tooLong(PartOutput, out.Item)
		return nil
	}
	item, err := f.item(ctx, out.Item)
	if call, ok := item.(*responses.MCPCall); ok {
		if call.Error != nil {
			s.Output, s.OutcomeUnknown = newContent(PartOutput, *call.Error), activities.OutcomeUnknown(*call.Error)
		} else {
			s.Output = newContent(PartOutput, call.Output)
		}
	}
	return err
}

func (f *filler) end(ctx context.Context, s *Step) error {
	var out workflows.Outcome
	details := s.raw.failure.GetApplicationFailureInfo().GetDetails()
	if err := errors.Join(f.decode(ctx, s.raw.result, &out), f.decode(ctx, details, &out)); err != nil {
		return err
	}
	if out.Status != "" {
		s.Status = out.Status
	}
	if s.Finish = out.Reason; out.Error != nil {
		s.Error = clipTo(out.Error.Message, maxFailure)
	} else if s.raw.failure != nil {
		s.Error = unexplained
	}
	return nil
}
