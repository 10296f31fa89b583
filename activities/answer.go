package activities

import (
	"strings"

	"perdure/internal/events"
	"perdure/internal/model"
	"perdure/internal/responses"
)

// draft is what a model has said so far in a turn. It makes items of it, in the order in which the model began them, and tells the
// event log of each piece as it comes.
//
// Whoever watches can only be shown what will hold: an item's number, and text that only grows at its end. What cannot be known yet
// is therefore not told before the turn is done: the second part of a message, since the first one ends where it begins, and calls.
// A client acts on a function call as soon as it has it, so it must not see one of a turn that may be given up.
type draft struct {
	in        ModelTurnInput
	try       int
	publisher publisher

	items    []*saying // reasoning, and at most one message
	message  *saying
	thinking *saying // the reasoning that goes on; nil once something else has begun
}

// saying is a reasoning item or a message that grows.
type saying struct {
	kind  responses.ItemType
	index int
	id    string
	parts []*part
}

// part is a piece of an item, of one of the kinds that [events.Delta] knows.
type part struct {
	kind string
	text strings.Builder
}

func newDraft(in ModelTurnInput, try int, p publisher) *draft {
	return &draft{in: in, try: try, publisher: p}
}

// begun reports whether the log was told anything.
func (d *draft) begun() bool { return len(d.items) > 0 }

// add takes in a piece of the answer. Its error is always nil; it has one because [model.Client.Stream] asks for it.
func (d *draft) add(delta model.Delta) error {
	switch delta.Kind {
	case model.DeltaReasoning:
		if d.thinking == nil {
			d.thinking = d.open(responses.TypeReasoning)
		}
		d.append(d.thinking, events.PartReasoning, delta.Text)
	case model.DeltaText:
		d.say(events.PartText, delta.Text)
	case model.DeltaRefusal:
		d.say(events.PartRefusal, delta.Text)
	case model.DeltaCall, model.DeltaArguments:
		d.thinking = nil
	}
	return nil
}

// say adds to the turn's message.
func (d *draft) say(kind, text string) {
	d.thinking = nil
	if d.message == nil {
		d.message = d.open(responses.TypeMessage)
	}
	d.append(d.message, kind, text)
}

func (d *draft) open(kind responses.ItemType) *saying {
	s := &saying{kind: kind, index: d.in.NextItem + len(d.items)}
	s.id = responses.RetriedItemID(kind, d.in.ResponseID, s.index, d.try)
	d.items = append(d.items, s)
	return s
}

func (d *draft) append(s *saying, kind, text string) {
	var p *part
	for _, known := range s.parts {
		if known.kind == kind {
			p = known
		}
	}
	if p == nil {
		p = &part{kind: kind}
		s.parts = append(s.parts, p)
	}
	if p == s.parts[0] {
		d.publisher.step.Publish(events.Event{
			Kind: events.DeltaAdded, Turn: d.in.Turn, Try: d.try, Index: s.index, ItemID: s.id,
			Delta: &events.Delta{Part: kind, At: p.text.Len(), Text: text},
		})
	}
	p.text.WriteString(text)
}

// finished returns the items, now that the model has stopped for the given reason.
func (d *draft) finished(reason model.Finish) []responses.Item {
	items := make([]responses.Item, len(d.items))
	for i, s := range d.items {
		if s.kind == responses.TypeReasoning {
			items[i] = &responses.Reasoning{
				ID: s.id, Summary: []responses.Part{{Type: responses.PartSummaryText, Text: s.parts[0].text.String()}},
			}
			continue
		}
		m := &responses.Message{ID: s.id, Role: responses.RoleAssistant, Status: responses.StatusCompleted}
		for _, p := range s.parts {
			text := responses.OutputText(p.text.String())
			if p.kind == events.PartRefusal {
				text.Type = responses.PartRefusal
			}
			m.Content = append(m.Content, text)
		}
		if reason == model.FinishLength || reason == model.FinishContentFilter {
			m.Status = responses.StatusIncomplete
		}
		items[i] = m
	}
	return items
}
