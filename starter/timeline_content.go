package starter

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// Parts of a step that a [Content] may be of.
const (
	PartArguments = "arguments"
	PartOutput    = "output"
	PartText      = "text"
	PartReasoning = "reasoning"
)

const (
	// shownBytes is how much of a content a timeline has, and prettyBytes the longest JSON that is laid out for reading.
	shownBytes  = 16 << 10
	prettyBytes = 256 << 10
	// wholeBytes bounds what is handed out of a content at once.
	wholeBytes = 16 << 20
)

// Content is text that a model, a tool or a client wrote: whatever shows it must take it for what a stranger wrote.
type Content struct {
	// Part names it in its step, for [Starter.StepContent]; it is empty for one that is to be had there alone.
	Part string
	Text string
	JSON bool // it is JSON, laid out for reading
	Size int  // of the whole, in bytes as it was written; of one that was not read, of its JSON
	Cut  bool // Text is not all of it
}

// newContent returns a text as a timeline shows it.
func newContent(part, text string) *Content {
	c := &Content{Part: part, Text: text, Size: len(text)}
	if len(text) <= prettyBytes {
		c.Text, c.JSON = laidOut(text)
	}
	if len(c.Text) > shownBytes {
		c.Text, c.Cut = clipTo(c.Text, shownBytes), true
	}
	return c
}

// tooLong stands for a value that is not read for a timeline.
func tooLong(part string, v blob.Value) *Content {
	return &Content{Part: part, Size: v.Size, Cut: true}
}

// laidOut returns JSON objects and arrays laid out for reading, and true; other text is returned as it is.
func laidOut(text string) (string, bool) {
	trimmed := strings.TrimSpace(text)
	if !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "[") {
		return text, false
	}
	if !json.Valid([]byte(trimmed)) {
		return text, false
	}
	var out bytes.Buffer
	if nestedDeeper(trimmed, prettyDepth) || json.Indent(&out, []byte(trimmed), "", "  ") != nil {
		return text, true
	}
	return out.String(), true
}

// prettyDepth is how deep JSON may be nested that is laid out: indentation makes much of little.
const prettyDepth = 40

// nestedDeeper reports whether valid JSON is nested deeper than so many levels.
func nestedDeeper(text string, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}

// clipTo cuts a text to a number of bytes, between characters.
func clipTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

func partsText(parts []responses.Part) string {
	texts := make([]string, 0, len(parts))
	for _, p := range parts {
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, "\n")
}

// affords reports whether a value is short enough to be read for this page.
func (f *filler) affords(v blob.Value) bool {
	if v.Ref == "" {
		return true
	}
	if v.Size > f.left {
		return false
	}
	f.left -= v.Size
	return true
}

func (f *filler) item(ctx context.Context, v blob.Value) (responses.Item, error) {
	data, err := f.store.Bytes(ctx, v)
	if err != nil {
		return nil, err
	}
	return responses.UnmarshalItem(data)
}

func (f *filler) text(ctx context.Context, part string, v blob.Value) (*Content, error) {
	if !f.affords(v) {
		return tooLong(part, v), nil
	}
	var text string
	if err := f.store.Unpack(ctx, v, &text); err != nil {
		return nil, err
	}
	return newContent(part, text), nil
}

// StepContent returns the whole of a content as it was written, up to 16 MiB of it; cut says that there is more. The step is named by its
// execution and event, the content by its part. Its error is a 404 where there is none.
func (s *Starter) StepContent(ctx context.Context, who identity.Principal, id, execution string, event int64, part string) (text string, cut bool, err error) {
	if _, err := s.locate(ctx, who, id); err != nil {
		return "", false, err
	}
	fold := newFold(0)
	fold.only = event
	if _, err := s.readHistory(ctx, id, execution, fold.add); err != nil {
		return "", false, s.timelineError(id, err)
	}
	for i := range fold.steps {
		if fold.steps[i].Event != event {
			continue
		}
		text, found, err := s.filler(id).whole(ctx, &fold.steps[i], part)
		if err != nil {
			return "", false, err
		}
		if found {
			whole := clipTo(text, wholeBytes)
			return whole, len(whole) < len(text), nil
		}
	}
	return "", false, responseNotFound(id)
}

// whole reads a content as it was written.
func (f *filler) whole(ctx context.Context, s *Step, part string) (text string, found bool, err error) {
	var values []blob.Value
	switch {
	case s.Kind == StepCall && part == PartArguments:
		var in activities.MCPCallInput
		if err := f.decode(ctx, s.raw.input, &in); err != nil {
			return "", false, err
		}
		err := f.store.Unpack(ctx, in.Arguments, &text)
		return text, true, err
	case s.Kind == StepCall && part == PartOutput && s.State == StepDone:
		var out activities.MCPCallResult
		err = f.decode(ctx, s.raw.result, &out)
		values = []blob.Value{out.Item}
	case s.Kind == StepTurn && s.State == StepDone && (part == PartText || part == PartReasoning):
		var out activities.ModelTurnResult
		err = f.decode(ctx, s.raw.result, &out)
		values = out.Items
	}
	if err != nil {
		return "", false, err
	}
	for _, v := range values {
		item, err := f.item(ctx, v)
		if err != nil {
			return "", false, err
		}
		switch item := item.(type) {
		case *responses.MCPCall:
			if item.Error != nil {
				return *item.Error, true, nil
			}
			return item.Output, true, nil
		case *responses.Message:
			if part == PartText {
				return partsText(item.Content), true, nil
			}
		case *responses.Reasoning:
			if part == PartReasoning {
				return partsText(item.Summary), true, nil
			}
		}
	}
	return "", false, nil
}
