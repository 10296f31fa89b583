package stream

import (
	"cmp"
	"hash/fnv"
	"strings"

	"perdure/internal/responses"
)

// place is an item of the output as the client has seen it.
type place struct {
	id    string
	kind  responses.ItemType
	index int    // its output_index
	turn  int    // the model turn that may still be tried again and begin something else here; 0 if there is none
	shown *shown // nil once the item is done
	sum   uint64 // of the item as it was when it was done
}

// shown is what a client has seen of an item that is not done.
type shown struct {
	// item is what it began as.
	item  responses.Item
	parts []part
	// gap is set when a delta did not fit, so that parts may lack something.
	gap bool
}

// partArguments is the kind of the one part that a function call has here.
const partArguments = "arguments"

// part is a part of a message or of a reasoning, or a function call's arguments.
type part struct {
	kind string
	text []byte
	done bool
}

// open begins an item at a place of the output that exists, instead of what is there, or at the next one.
func (r *Renderer) open(at int, item responses.Item) *place {
	if at > 0 {
		r.endReasoning(r.live[at-1])
	}
	p := &place{id: responses.IDOf(item), kind: item.Type(), shown: &shown{item: item}}
	switch {
	case r.o.FreshIndexes || at == len(r.live):
		p.index = r.unused(at)
	default:
		p.index = r.live[at].index
	}
	if at == len(r.live) {
		r.live = append(r.live, p)
	} else {
		r.live[at] = p
	}
	r.itemEvent("response.output_item.added", p, r.startedForm(item))
	switch item := item.(type) {
	case *responses.MCPListTools:
		r.progress("response.mcp_list_tools.in_progress", p)
	case *responses.MCPCall:
		r.progress("response.mcp_call.in_progress", p)
		r.callArguments(p, item.Arguments)
	}
	return p
}

// unused returns the output_index of an item that begins at the end of the output. Without fresh ones it is its place, even if an
// abandoned item had it.
func (r *Renderer) unused(at int) int {
	index := at
	if r.o.FreshIndexes {
		index = r.next
	}
	r.next = max(r.next, index+1)
	return index
}

// endReasoning closes a reasoning once the model has gone on to something else.
func (r *Renderer) endReasoning(p *place) {
	if p.kind != responses.TypeReasoning || p.shown == nil || p.shown.gap || len(p.shown.parts) == 0 {
		return
	}
	item := &responses.Reasoning{ID: p.id, Summary: p.shown.said()}
	r.complete(p, item, r.whole(item))
}

// bring makes the item at a place of the output the given one, whatever the client has seen of it.
func (r *Renderer) bring(at int, item responses.Item) {
	body := r.whole(item)
	if at < len(r.live) {
		p := r.live[at]
		if p.id == responses.IDOf(item) && p.kind == item.Type() {
			r.settle(at, item, body)
			return
		}
		r.abandon(p)
	}
	r.complete(r.open(at, item), item, body)
}

// settle brings an item that has begun to its end. What the client has seen is usually a part of it. If it is not, the item is begun
// again under its index; a client that throws when an index or an ID is used twice only gets the right item. So does everybody for a
// list or a call, of which nothing comes in pieces: it was told of by a worker that died before Temporal had heard of it, and has come
// to something else since.
func (r *Renderer) settle(at int, item responses.Item, body []byte) {
	p := r.live[at]
	switch {
	case p.shown == nil && p.sum == sumOf(body):
	case p.shown != nil && p.shown.leadsTo(item):
		r.complete(p, item, body)
	case r.o.FreshIndexes, p.kind == responses.TypeMCPCall, p.kind == responses.TypeMCPListTools:
		r.endParts(p)
		r.done(p, body)
	default:
		r.abandon(p)
		r.complete(r.open(at, item), item, body)
	}
}

// complete shows what is missing of an item and closes it.
func (r *Renderer) complete(p *place, item responses.Item, body []byte) {
	for k, final := range partsOf(item) {
		if k == len(p.shown.parts) {
			r.beginPart(p, final.Type)
		}
		shown := &p.shown.parts[k]
		missing := final.Text[len(shown.text):]
		if missing != "" {
			r.addText(p, k, missing)
		}
		if missing != "" || !shown.done {
			r.endPart(p, k, final)
		}
	}
	switch item := item.(type) {
	case *responses.MCPListTools:
		r.progress("response.mcp_list_tools."+outcome(item.Error), p)
	case *responses.MCPCall:
		r.progress("response.mcp_call."+outcome(item.Error), p)
	}
	r.done(p, body)
}

func outcome(failure *string) string {
	if failure != nil {
		return "failed"
	}
	return "completed"
}

// done closes an item. Of what it said, only a sum is kept.
func (r *Renderer) done(p *place, body []byte) {
	r.itemEvent("response.output_item.done", p, body)
	p.shown, p.sum = nil, sumOf(body)
}

// notListed is the error of a list that the run did not wait for, where the run itself has none.
const notListed = "the tools were not listed: the run ended before"

// abandon closes an item that will not be finished, if it is open.
func (r *Renderer) abandon(p *place) {
	if p.shown == nil {
		return
	}
	r.endParts(p)
	switch item := p.shown.item.(type) {
	case *responses.Message:
		r.done(p, r.whole(&responses.Message{
			ID: p.id, Role: item.Role, Status: responses.StatusIncomplete, Content: p.shown.said(),
		}))
	case *responses.Reasoning:
		r.done(p, r.whole(&responses.Reasoning{ID: p.id, Status: responses.StatusIncomplete, Summary: p.shown.said()}))
	case *responses.MCPListTools:
		failure := cmp.Or(r.failure, notListed)
		r.progress("response.mcp_list_tools.failed", p)
		r.done(p, r.whole(&responses.MCPListTools{ID: p.id, ServerLabel: item.ServerLabel, Error: &failure}))
	case *responses.MCPCall:
		r.done(p, r.incompleteCall(item))
	}
}

// abandonFrom closes what is open from a place of the output on, and makes room for other items there.
func (r *Renderer) abandonFrom(at int) {
	for _, p := range r.live[at:] {
		r.abandon(p)
	}
	clear(r.live[at:])
	r.live = r.live[:at]
}

// said are the parts of a message or of a reasoning as far as they were shown.
func (s *shown) said() []responses.Part {
	parts := make([]responses.Part, len(s.parts))
	for k := range s.parts {
		parts[k] = responses.Part{Type: s.parts[k].kind, Text: string(s.parts[k].text)}
	}
	return parts
}

// leadsTo reports whether an item can come of what was shown by adding to it.
func (s *shown) leadsTo(item responses.Item) bool {
	whole := partsOf(item)
	if len(s.parts) > len(whole) {
		return false
	}
	for k, p := range s.parts {
		if p.kind != whole[k].Type || !strings.HasPrefix(whole[k].Text, string(p.text)) {
			return false
		}
	}
	return true
}

// partsOf returns what of an item comes in pieces.
func partsOf(item responses.Item) []responses.Part {
	switch item := item.(type) {
	case *responses.Message:
		return item.Content
	case *responses.Reasoning:
		return item.Summary
	case *responses.FunctionCall:
		return []responses.Part{{Type: partArguments, Text: item.Arguments}}
	default:
		return nil
	}
}

// sumOf tells items apart that were closed before they were whole. It need not resist anyone: both are ours.
func sumOf(body []byte) uint64 {
	h := fnv.New64a()
	h.Write(body)
	return h.Sum64()
}
