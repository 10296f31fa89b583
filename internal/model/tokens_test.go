package model

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"perdure/internal/responses"
)

func counting(t *testing.T, turn Turn) int {
	t.Helper()
	c, err := NewCatalog([]Provider{{Name: "p", BaseURL: "http://127.0.0.1:1/v1"}}, "p/m")
	if err != nil {
		t.Fatal(err)
	}
	turn.Model = Ref{Provider: "p", Model: "m"}
	n, err := c.CountTokens(t.Context(), turn)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTokensOfText has the numbers of OpenAI's cookbook, "How to count tokens with tiktoken".
func TestTokensOfText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "antidisestablishmentarianism": 6, "2 + 2 = 4": 7, "お誕生日おめでとう": 8,
	} {
		if got, err := countText(t.Context(), text); err != nil || got != want {
			t.Errorf("%q has %d tokens, want %d; %v", text, got, want, err)
		}
	}
}

// TestTokensOfMessages has the cookbook's example, for which the API counts 124. Four of its messages have a name, which is left out
// here, and with it its tokens and one more.
func TestTokensOfMessages(t *testing.T) {
	t.Parallel()
	turn := Turn{
		Instructions: "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
		Items: []responses.Item{
			say(responses.RoleSystem, "New synergies will help drive top-line growth."),
			say(responses.RoleSystem, "Things working well together will increase revenue."),
			say(responses.RoleSystem, "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
			say(responses.RoleSystem, "Let's talk later when we're less busy about how to do better."),
			say(responses.RoleUser, "This late pivot means we don't have time to boil the ocean for the client deliverable."),
		},
	}
	names := 4
	for _, name := range []string{"example_user", "example_assistant"} {
		n, err := countText(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		names += 2 * n
	}
	if got, want := counting(t, turn), 124-names; got != want {
		t.Errorf("%d tokens, want %d", got, want)
	}
}

// TestTokensOfWhatElseIsSent wants each part of a request to count.
func TestTokensOfWhatElseIsSent(t *testing.T) {
	t.Parallel()
	hi := say(responses.RoleUser, "hi")
	picture := func(detail string) responses.Item {
		return &responses.Message{Role: responses.RoleUser, Content: []responses.Part{
			responses.InputText("hi"), {Type: responses.PartInputImage, ImageURL: "data:image/png;base64," + strings.Repeat("A", 1000), Detail: detail},
		}}
	}
	bare := counting(t, Turn{Items: []responses.Item{hi}})
	tool := Tool{
		Ref: responses.ToolRef{Server: "gh", Name: "list"}, Description: "Lists all of it.", Schema: json.RawMessage(`{"type":"object"}`),
	}
	for name, test := range map[string]struct {
		turn        Turn
		least, most int // more than the bare one
	}{
		"image":        {Turn{Items: []responses.Item{picture("auto")}}, 765, 765},
		"small image":  {Turn{Items: []responses.Item{picture("low")}}, 85, 85},
		"instructions": {Turn{Items: []responses.Item{hi}, Instructions: "Be kind."}, 7, 7},
		"tool":         {Turn{Items: []responses.Item{hi}, Tools: []Tool{tool}}, 15, 30},
		"schema":       {Turn{Items: []responses.Item{hi}, Format: responses.Format{Type: "json_schema", Name: "n", Schema: json.RawMessage(`{"type":"object"}`)}}, 8, 20},
		"call":         {Turn{Items: []responses.Item{hi, &responses.MCPCall{ID: "call_1", ServerLabel: "gh", Name: "list", Arguments: "{}", Output: "one two three"}}}, 12, 20},
		"list alone":   {Turn{Items: []responses.Item{hi, &responses.MCPListTools{ServerLabel: "gh", Tools: []responses.MCPToolInfo{{Name: "list"}}}}}, 0, 0},
		"assistant":    {Turn{Items: []responses.Item{hi, say(responses.RoleAssistant, "one two three")}}, 7, 7},
	} {
		if got := counting(t, test.turn) - bare; got < test.least || got > test.most {
			t.Errorf("%s: %d tokens more, want %d to %d", name, got, test.least, test.most)
		}
	}
}

// TestTokensAcrossCuts wants the pieces in which a long text is encoded to have as many tokens as the text.
func TestTokensAcrossCuts(t *testing.T) {
	t.Parallel()
	sentence := "The quick brown fox jumps over 12345 lazy dogs, doesn't it?\n\n  And then: {\"a\": [1, 2]} — größer! "
	text := strings.Repeat(sentence, 5*encodeAtOnce/len(sentence))
	whole, err := o200k().Count(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := countText(t.Context(), text); err != nil || got != whole {
		t.Errorf("%d tokens in pieces, %d in one; %v", got, whole, err)
	}
}

// TestTokensTakeLinearTime gives the counter what would take a quadratic one hours.
func TestTokensTakeLinearTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const size = 1 << 18
	for _, unit := range []string{"a", "A", "Aa", " ", "\n", " \n", "!", "'", "7", "字", "\u0301", "👩‍💻", "\u3000\n", "\r\n/"} {
		for _, text := range []string{strings.Repeat(unit, size/len(unit)), strings.Repeat(unit, size/len(unit)) + "x"} {
			if n, err := countText(ctx, text); err != nil || n < 1000 {
				t.Errorf("%d tokens in %d bytes of %q: %v", n, size, unit, err)
			}
		}
	}
}

// TestTokensOfEndlessSpace wants white space cut short, for which the encoder's time would grow with its square.
func TestTokensOfEndlessSpace(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{" ", "\n", " \n", "\u3000"} {
		text := strings.Repeat(unit, 4*spacesAtOnce)
		if got := tokenBoundary("a"+text+"b", encodeAtOnce); got > 1+spacesAtOnce*len(unit) || got < spacesAtOnce {
			t.Errorf("%q is cut after %d bytes", unit, got)
		}
	}
}

func TestTokensAreNotCountedForNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := countText(ctx, "hi"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
