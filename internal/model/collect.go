package model

import (
	"crypto/rand"
	"encoding/json"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

// Bounds of the tool calls of one turn.
const (
	maxCalls         = 128
	maxArgumentBytes = 1 << 20
	maxCallName      = 1 << 10 // what a model writes, which may be wrong, and not what it is offered
)

// finishError is what OpenRouter writes when the provider behind it failed.
const finishError openai.FinishReason = "error"

// collector puts an answer together and passes on what arrives.
type collector struct {
	onDelta func(Delta) error

	text, refusal, reasoning strings.Builder
	calls                    []*partialCall
	ids                      callIDs

	answer Answer
	chunks int
}

// partialCall is a tool call that is being received.
type partialCall struct {
	index     *int   // as the provider numbers it; nil when it does not
	given     string // the provider's ID
	id        string // the one we use; set when the call begins
	name      string
	arguments strings.Builder
	braces    braceCounter
	signature string
}

func (p *partialCall) begun() bool { return p.name != "" }

// add takes in one chunk.
func (c *collector) add(ch *chunk) error {
	c.chunks++
	if ch.Model != "" {
		c.answer.Model = clip(ch.Model, maxModelName)
	}
	if u, ok := readUsage(ch.Usage); ok {
		c.answer.Usage = u
	}
	for _, choice := range ch.Choices {
		if choice.Index != 0 {
			continue
		}
		f := choice.Delta
		if f == nil {
			f = choice.Message
		}
		if f != nil {
			if err := c.fragment(f); err != nil {
				return err
			}
		}
		if choice.FinishReason == finishError {
			return &Error{Kind: KindServer, Temporary: true, Message: "the provider broke the answer off"}
		}
		if reason := finish(choice.FinishReason); reason != "" {
			c.answer.Finish = reason
		}
	}
	return nil
}

func (c *collector) fragment(f *fragment) error {
	for _, piece := range []struct {
		kind DeltaKind
		text string
		all  *strings.Builder
	}{
		{DeltaReasoning, f.reasoning(), &c.reasoning},
		{DeltaText, f.Content.text, &c.text},
		{DeltaRefusal, f.Refusal, &c.refusal},
	} {
		if piece.text == "" {
			continue
		}
		piece.all.WriteString(piece.text)
		if err := c.emit(Delta{Kind: piece.kind, Text: piece.text}); err != nil {
			return err
		}
	}
	for i := range f.ToolCalls {
		if err := c.call(&f.ToolCalls[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) emit(d Delta) error {
	if c.onDelta == nil {
		return nil
	}
	return c.onDelta(d)
}

// call takes in a piece of a tool call.
func (c *collector) call(f *callFragment) error {
	i, ok := c.find(f)
	if !ok {
		if len(c.calls) == maxCalls {
			return &Error{Kind: KindTooLarge, Message: "the model asked for more than 128 tool calls at once"}
		}
		i = len(c.calls)
		c.calls = append(c.calls, &partialCall{index: f.Index, given: f.ID})
	}
	p := c.calls[i]
	if p.given == "" {
		p.given = f.ID
	}
	if f.ExtraContent != nil && f.ExtraContent.Google.ThoughtSignature != "" {
		p.signature = f.ExtraContent.Google.ThoughtSignature
	}
	if !p.begun() && f.Function.Name != "" {
		if len(f.Function.Name) > maxCallName {
			return &Error{Kind: KindTooLarge, Message: "the model asked for a tool whose name has more than 1024 bytes"}
		}
		p.name = f.Function.Name
		p.id = c.newID(p.given)
		if err := c.emit(Delta{Kind: DeltaCall, Index: i, ID: p.id, Name: p.name}); err != nil {
			return err
		}
		if early := p.arguments.String(); early != "" {
			if err := c.emit(Delta{Kind: DeltaArguments, Index: i, Text: early}); err != nil {
				return err
			}
		}
	}
	return c.argumentsOf(i, string(f.Function.Arguments))
}

func (c *collector) argumentsOf(i int, text string) error {
	p := c.calls[i]
	// Some providers end a call with all of its arguments once more.
	if text == "" || p.braces.closed {
		return nil
	}
	if p.arguments.Len()+len(text) > maxArgumentBytes {
		return &Error{Kind: KindTooLarge, Message: "the model wrote tool arguments of more than 1 MiB"}
	}
	p.arguments.WriteString(text)
	p.braces.add(text)
	if !p.begun() {
		return nil
	}
	return c.emit(Delta{Kind: DeltaArguments, Index: i, Text: text})
}

// find returns the call that a piece belongs to. OpenAI numbers the calls; others leave the number out or give each call the
// same one, and repeat or leave out the ID.
func (c *collector) find(f *callFragment) (int, bool) {
	for i := len(c.calls) - 1; i >= 0; i-- {
		p := c.calls[i]
		switch {
		case f.Index != nil && p.index != nil:
			if *f.Index != *p.index {
				continue
			}
		case f.ID != "":
			if f.ID != p.given {
				continue
			}
		case f.Function.Name != "":
			return i, f.Function.Name == p.name && p.arguments.Len() > 0 && !p.braces.closed
		}
		return i, !startsAnother(p, f)
	}
	return 0, false
}

// startsAnother reports whether a piece that has p's number or ID is nevertheless the beginning of another call.
func startsAnother(p *partialCall, f *callFragment) bool {
	if f.Function.Name == "" || !p.begun() {
		return false
	}
	if f.ID != "" && p.given != "" && f.ID != p.given {
		return true
	}
	arguments := string(f.Function.Arguments)
	return p.braces.closed && isObject(arguments) && arguments != p.arguments.String()
}

// braceCounter tells when an object that arrives in pieces is complete, without reading it again for each piece.
type braceCounter struct {
	depth             int
	inString, escaped bool
	closed            bool
}

func (b *braceCounter) add(text string) {
	for i := 0; i < len(text) && !b.closed; i++ {
		switch c := text[i]; {
		case b.escaped:
			b.escaped = false
		case b.inString:
			b.escaped = c == '\\'
			b.inString = c != '"'
		case c == '"':
			b.inString = true
		case c == '{':
			b.depth++
		case c == '}':
			b.depth--
			b.closed = b.depth == 0
		}
	}
}

func (c *collector) newID(given string) string {
	if c.ids == nil {
		c.ids = callIDs{}
	}
	if given == "" || c.ids[given] {
		given = "call_" + rand.Text()
	}
	return c.ids.unique(given)
}

// finished returns the answer, after the stream ended in the proper way.
func (c *collector) finished() (Answer, error) {
	a := c.answer
	a.Text, a.Refusal, a.Reasoning = c.text.String(), c.refusal.String(), c.reasoning.String()
	for i, p := range c.calls {
		arguments := p.arguments.String()
		if strings.TrimSpace(arguments) == "" {
			arguments = "{}"
		}
		if cutOff := a.Finish == FinishLength && i == len(c.calls)-1; cutOff && !(p.begun() && json.Valid([]byte(arguments))) {
			break
		}
		if !p.begun() {
			return Answer{}, &Error{Kind: KindMalformed, Temporary: true, Message: "the provider sent a tool call without a name"}
		}
		a.Calls = append(a.Calls, Call{ID: p.id, Name: p.name, Arguments: arguments, ThoughtSignature: p.signature})
	}
	switch {
	case len(a.Calls) > 0 && (a.Finish == "" || a.Finish == FinishStop):
		a.Finish = FinishToolCalls // a forced call ends with "stop" at OpenAI
	case len(a.Calls) == 0 && (a.Finish == "" || a.Finish == FinishToolCalls):
		a.Finish = FinishStop
	}
	if a.Finish == FinishStop && a.Text == "" && a.Refusal == "" {
		return Answer{}, &Error{Kind: KindEmpty, Temporary: true, Message: "the model gave an empty answer"}
	}
	return a, nil
}
