package stream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"perdure/internal/stream"
)

// client accumulates a stream as openai-node's .stream() does, and is as strict as its strictest version: events belong to the item
// that they name, items and parts are appended, and what is done is what its deltas said.
type client struct {
	// fresh: no output_index is used twice, and no ID.
	fresh  bool
	lossy  bool // the log lost something
	output []*seen
	ids    map[string]bool
	last   []byte // the response of the last event
	kind   string // its type
}

// seen is an item as a client has seen it.
type seen struct {
	id, kind string
	parts    []seenPart
	args     string
	argsDone bool
	done     json.RawMessage
}

type seenPart struct {
	kind, text     string
	textDone, done bool
}

type wireEvent struct {
	Type     string          `json:"type"`
	Sequence *int            `json:"sequence_number"`
	Error    json.RawMessage `json:"error"`
	Response json.RawMessage `json:"response"`
	ItemID   *string         `json:"item_id"`
	Output   *int            `json:"output_index"`
	Content  *int            `json:"content_index"`
	Summary  *int            `json:"summary_index"`
	Item     json.RawMessage `json:"item"`
	Part     *wirePart       `json:"part"`
	Delta    *string         `json:"delta"`
	Text     *string         `json:"text"`
	Refusal  *string         `json:"refusal"`
	Args     *string         `json:"arguments"`
}

type wirePart struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Refusal string `json:"refusal"`
}

type wireItem struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Content   []wirePart `json:"content"`
	Summary   []wirePart `json:"summary"`
	Arguments string     `json:"arguments"`
}

func (i wireItem) parts() []wirePart { return append(slices.Clone(i.Content), i.Summary...) }

func (c *client) accumulate(stream []stream.Event) error {
	c.ids = map[string]bool{}
	for n, e := range stream {
		if err := c.add(n, e); err != nil {
			return fmt.Errorf("event %d, %s: %w", n, e.Data, err)
		}
	}
	return c.end()
}

func (c *client) add(n int, e stream.Event) error {
	var w wireEvent
	if err := json.Unmarshal(e.Data, &w); err != nil {
		return err
	}
	switch {
	case w.Type != e.Type, w.Sequence == nil, *w.Sequence != n, e.Sequence != n:
		return fmt.Errorf("type %q or number %d is wrong", e.Type, e.Sequence)
	case w.Error != nil:
		return fmt.Errorf("has a top-level error")
	case bytes.ContainsAny(e.Data, "\n\r"):
		return fmt.Errorf("is not one line")
	case (n == 0) != (w.Type == "response.created"):
		return fmt.Errorf("response.created must be the first event, and only that")
	case c.kind == "response.completed", c.kind == "response.failed", c.kind == "response.incomplete":
		return fmt.Errorf("comes after the last event")
	}
	if c.kind = w.Type; w.Response != nil {
		c.last = w.Response
		return nil
	}
	if w.Type == "response.output_item.added" {
		return c.itemAdded(w)
	}
	if *w.Output >= len(c.output) {
		return fmt.Errorf("missing output")
	}
	it := c.output[*w.Output]
	if w.Type == "response.output_item.done" {
		return it.end(w, c.fresh)
	}
	if it.done != nil {
		return fmt.Errorf("is about an item that is done")
	}
	if w.ItemID == nil || *w.ItemID != it.id {
		return fmt.Errorf("item_id is not %q", it.id)
	}
	return it.add(w)
}

func (c *client) itemAdded(w wireEvent) error {
	var item wireItem
	if err := json.Unmarshal(w.Item, &item); err != nil {
		return err
	}
	it := &seen{id: item.ID, kind: item.Type}
	if item.ID == "" || len(item.parts()) > 0 || (item.Type != "mcp_approval_request" && item.Arguments != "") {
		return fmt.Errorf("an item begins with an ID and nothing else")
	}
	switch at := *w.Output; {
	case at == len(c.output):
		if c.ids[it.id] {
			return fmt.Errorf("duplicate item ID %q", it.id)
		}
		c.output = append(c.output, it)
	case at > len(c.output) || c.fresh:
		return fmt.Errorf("output_index is not the next one, %d", len(c.output))
	case c.output[at].done == nil:
		return fmt.Errorf("replaces an item that is not done")
	case c.ids[it.id] && c.output[at].id != it.id:
		return fmt.Errorf("duplicate item ID %q", it.id)
	case c.output[at].id == it.id && strings.HasPrefix(it.kind, "mcp_"):
		return fmt.Errorf("begins a second time")
	default:
		c.output[at] = it
	}
	c.ids[it.id] = true
	return nil
}

// end checks the item as it is done. A client that wants fresh indexes may get a better one later, and all may get a call or a list
// that came to something else.
func (it *seen) end(w wireEvent, again bool) error {
	again = again || strings.HasPrefix(it.kind, "mcp_")
	var item wireItem
	if err := json.Unmarshal(w.Item, &item); err != nil {
		return err
	}
	if item.ID != it.id || item.Type != it.kind {
		return fmt.Errorf("identity of %s %q changed", it.kind, it.id)
	}
	if it.done != nil {
		if !again || bytes.Equal(it.done, w.Item) {
			return fmt.Errorf("done twice")
		}
		it.done = w.Item
		return nil
	}
	it.done = w.Item
	if it.kind == "mcp_call" || it.kind == "function_call" {
		if !it.argsDone || it.args != item.Arguments {
			return fmt.Errorf("arguments were %q (done: %v)", it.args, it.argsDone)
		}
		return nil
	}
	if len(it.parts) != len(item.parts()) {
		return fmt.Errorf("%d parts were shown", len(it.parts))
	}
	for k, p := range it.parts {
		if whole := item.parts()[k]; !p.done || p.kind != whole.Type || p.text != whole.Text+whole.Refusal {
			return fmt.Errorf("part %d was %+v", k, p)
		}
	}
	return nil
}

// itemTypes are what an event's item must be, by the beginning of the event's type.
var itemTypes = map[string]string{
	"response.content_part.":            "message",
	"response.output_text.":             "message",
	"response.refusal.":                 "message",
	"response.reasoning_summary_":       "reasoning",
	"response.function_call_arguments.": "function_call",
	"response.mcp_call_arguments.":      "mcp_call",
	"response.mcp_call.":                "mcp_call",
	"response.mcp_list_tools.":          "mcp_list_tools",
}

func (it *seen) add(w wireEvent) error {
	handled := false
	for prefix, kind := range itemTypes {
		if !strings.HasPrefix(w.Type, prefix) {
			continue
		}
		if handled = true; kind != it.kind {
			return fmt.Errorf("the item is a %s", it.kind)
		}
	}
	if !handled {
		return fmt.Errorf("unhandled event")
	}
	switch w.Type {
	case "response.content_part.added", "response.reasoning_summary_part.added":
		if index(w) != len(it.parts) {
			return fmt.Errorf("missing part")
		}
		it.parts = append(it.parts, seenPart{kind: w.Part.Type})
		return nil
	case "response.function_call_arguments.delta", "response.mcp_call_arguments.delta":
		it.args += *w.Delta
		return nil
	case "response.function_call_arguments.done", "response.mcp_call_arguments.done":
		if it.argsDone || it.args != *w.Args {
			return fmt.Errorf("arguments were %q", it.args)
		}
		it.argsDone = true
		return nil
	}
	if strings.HasPrefix(w.Type, "response.mcp_") {
		return nil
	}
	if index(w) < 0 || index(w) >= len(it.parts) {
		return fmt.Errorf("missing part")
	}
	return it.parts[index(w)].add(w)
}

func index(w wireEvent) int {
	switch {
	case w.Content != nil:
		return *w.Content
	case w.Summary != nil:
		return *w.Summary
	default:
		return -1
	}
}

// partTypes are what an event's part must be.
var partTypes = map[string]string{
	"response.output_text.delta":            "output_text",
	"response.output_text.done":             "output_text",
	"response.refusal.delta":                "refusal",
	"response.refusal.done":                 "refusal",
	"response.reasoning_summary_text.delta": "summary_text",
	"response.reasoning_summary_text.done":  "summary_text",
}

func (p *seenPart) add(w wireEvent) error {
	if want, ok := partTypes[w.Type]; ok && want != p.kind {
		return fmt.Errorf("the part is a %s", p.kind)
	}
	switch {
	case w.Delta != nil:
		// A part may turn out not to have been the whole; it is then done again.
		p.text += *w.Delta
		p.textDone, p.done = false, false
	case w.Part != nil:
		if !p.textDone || p.done || w.Part.Text+w.Part.Refusal != p.text {
			return fmt.Errorf("the part was %+v", *p)
		}
		p.done = true
	default:
		var text string
		for _, s := range []*string{w.Text, w.Refusal} {
			if s != nil {
				text = *s
			}
		}
		if p.textDone || text != p.text {
			return fmt.Errorf("the part was %+v", *p)
		}
		p.textDone = true
	}
	return nil
}

// end compares what was shown with the response.
func (c *client) end() error {
	for at, it := range c.output {
		if it.done == nil {
			return fmt.Errorf("output %d, %q, was never done", at, it.id)
		}
	}
	var response struct {
		Output []json.RawMessage `json:"output"`
	}
	if err := json.Unmarshal(c.last, &response); err != nil {
		return err
	}
	shown := c.output
	if c.fresh {
		// What replaced something stands behind it.
		shown = nil
		for _, item := range response.Output {
			for _, it := range c.output {
				if bytes.Equal(item, it.done) {
					shown = append(shown, it)
				}
			}
		}
		inOrder := slices.IsSortedFunc(shown, func(a, b *seen) int { return slices.Index(c.output, a) - slices.Index(c.output, b) })
		if !inOrder && !c.lossy {
			return fmt.Errorf("the order of the output differs from the response's")
		}
	}
	if len(shown) < len(response.Output) || (c.fresh && len(shown) > len(response.Output)) {
		return fmt.Errorf("%d items were shown, the response has %d", len(shown), len(response.Output))
	}
	for at, item := range response.Output {
		if !bytes.Equal(shown[at].done, item) {
			return fmt.Errorf("output %d was shown as\n%s, the response has\n%s", at, shown[at].done, item)
		}
	}
	return nil
}
