package model

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"unicode"

	openai "github.com/sashabaranov/go-openai"
	"github.com/tiktoken-go/tokenizer/codec"
)

// What OpenAI has published of how its chat models count: so many tokens around each message and before the answer, and for an
// image, which is really counted by its size.
const (
	tokensPerMessage  = 3
	tokensBeforeReply = 3
	tokensPerImage    = 765
	tokensPerLowImage = 85
)

const (
	// encodeAtOnce is how many bytes of text are encoded before it is asked whether anybody still waits.
	encodeAtOnce = 16 << 10
	// spacesAtOnce is how many white characters in a row are encoded as one text.
	spacesAtOnce = 256
)

// o200k is the encoding of OpenAI's models since 2024. Its table of 200,000 tokens is built when it is first used.
var o200k = sync.OnceValue(codec.NewO200kBase)

// CountTokens returns how many input tokens the turn's request amounts to. The text of OpenAI's recent models is counted exactly; for
// other models, for what surrounds the text, and for tools and images, the number is an estimate. It takes time in proportion to the
// text, and its error is that of ctx or of a provider that is not in the catalog.
func (c *Catalog) CountTokens(ctx context.Context, turn Turn) (int, error) {
	p, ok := c.provider(turn.Model.Provider)
	if !ok {
		return 0, fmt.Errorf("model: no provider %q is configured", turn.Model.Provider)
	}
	r := newRequest(turn, p.Quirks, slog.New(slog.DiscardHandler))
	texts, total, err := r.counted()
	if err != nil {
		return 0, err
	}
	for _, text := range texts {
		n, err := countText(ctx, text)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// counted returns the texts of a request that a model reads, and how many tokens it reads besides.
func (r *request) counted() (texts []string, besides int, err error) {
	besides = tokensBeforeReply
	for _, m := range r.Messages {
		besides += tokensPerMessage
		texts = append(texts, m.Role)
		switch content := m.Content.(type) {
		case string:
			texts = append(texts, content)
		case []openai.ChatMessagePart:
			for _, part := range content {
				texts = append(texts, part.Text)
				besides += imageTokens(part.ImageURL)
			}
		}
		for _, c := range m.ToolCalls {
			texts = append(texts, c.Function.Name, c.Function.Arguments)
		}
	}
	var definitions []any
	for _, tool := range r.Tools {
		definitions = append(definitions, tool.Function)
	}
	if r.ResponseFormat != nil && r.ResponseFormat.JSONSchema != nil {
		definitions = append(definitions, r.ResponseFormat.JSONSchema)
	}
	for _, d := range definitions {
		rendered, err := json.Marshal(d)
		if err != nil {
			return nil, 0, err
		}
		texts = append(texts, string(rendered))
	}
	return texts, besides, nil
}

func imageTokens(image *openai.ChatMessageImageURL) int {
	switch {
	case image == nil:
		return 0
	case image.Detail == openai.ImageURLDetailLow:
		return tokensPerLowImage
	default:
		return tokensPerImage
	}
}

func countText(ctx context.Context, text string) (int, error) {
	total := 0
	for text != "" {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		end := tokenBoundary(text, encodeAtOnce)
		n, err := o200k().Count(text[:end])
		if err != nil {
			return 0, err
		}
		total += n
		text = text[end:]
	}
	return total, nil
}

// tokenBoundary returns a place at or before most where text can be cut without changing its tokens: no token of the encoding has a
// space after a letter. Text without such a place in the last half is cut at any character, and so is white space without an end, for
// which the encoder would take time in proportion to its square.
func tokenBoundary(text string, most int) int {
	spaces := 0
	for i, r := range text[:min(len(text), most)] {
		spaces++
		if !unicode.IsSpace(r) {
			spaces = 0
		}
		if spaces > spacesAtOnce {
			return i
		}
	}
	if len(text) <= most {
		return len(text)
	}
	for i := most - 1; i > most/2; i-- {
		if text[i] == ' ' && isLetter(text[i-1]) && isLetter(text[i+1]) {
			return i
		}
	}
	return runeStart(text, most)
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
