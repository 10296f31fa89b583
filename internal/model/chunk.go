package model

import (
	"encoding/json"
	"strings"

	openai "github.com/sashabaranov/go-openai"

	"perdure/internal/responses"
)

// chunk is a piece of a streamed answer or, with Message in place of Delta, a whole answer. It reads more than go-openai's
// type does: what OpenRouter, Mistral, Gemini and others add or write differently.
type chunk struct {
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	// Usage and Error are read when they count, so that an odd form of one does not spoil the rest.
	Usage json.RawMessage `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type choice struct {
	Index        int                 `json:"index"`
	Delta        *fragment           `json:"delta"`
	Message      *fragment           `json:"message"`
	FinishReason openai.FinishReason `json:"finish_reason"`
}

// fragment is what a chunk adds.
type fragment struct {
	Content   content        `json:"content"`
	Refusal   string         `json:"refusal"`
	ToolCalls []callFragment `json:"tool_calls"`
	// Two names for the same: DeepSeek's and vLLM's, and OpenRouter's.
	ReasoningContent loose `json:"reasoning_content"`
	Reasoning        loose `json:"reasoning"`
}

func (f *fragment) reasoning() string {
	for _, text := range []string{string(f.ReasoningContent), string(f.Reasoning), f.Content.thinking} {
		if text != "" {
			return text
		}
	}
	return ""
}

// callFragment is a piece of a tool call.
type callFragment struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments loose  `json:"arguments"`
	} `json:"function"`
	ExtraContent *extraContent `json:"extra_content"`
}

// loose is text that some providers write as a JSON value instead of a string that holds it.
type loose string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *loose) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		*l = ""
	case data[0] == '"':
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*l = loose(text)
	default:
		*l = loose(data)
	}
	return nil
}

// content is a message's text: a string or, from Mistral's reasoning models, a list of parts.
type content struct{ text, thinking string }

type contentPart struct {
	Type     string  `json:"type"`
	Text     string  `json:"text"`
	Thinking content `json:"thinking"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *content) UnmarshalJSON(data []byte) error {
	*c = content{}
	if data[0] != '[' {
		var text *string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		if text != nil {
			c.text = *text
		}
		return nil
	}
	var parts []contentPart
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	var text, thinking strings.Builder
	for _, p := range parts {
		text.WriteString(p.Text)
		thinking.WriteString(p.Thinking.text)
	}
	c.text, c.thinking = text.String(), thinking.String()
	return nil
}

// usage is go-openai's, with the tokens that were written to a cache.
type usage struct {
	openai.Usage
	PromptTokensDetails struct {
		openai.PromptTokensDetails
		CacheWriteTokens int `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
}

// readUsage returns false for what is not usage; a chunk without it has null.
func readUsage(data json.RawMessage) (responses.Usage, bool) {
	var in *usage
	if len(data) == 0 || json.Unmarshal(data, &in) != nil || in == nil {
		return responses.Usage{}, false
	}
	out := responses.Usage{
		InputTokens: max(in.PromptTokens, 0), OutputTokens: max(in.CompletionTokens, 0), TotalTokens: max(in.TotalTokens, 0),
		InputTokensDetails: responses.InputTokensDetails{
			CachedTokens:     max(in.PromptTokensDetails.CachedTokens, 0),
			CacheWriteTokens: max(in.PromptTokensDetails.CacheWriteTokens, 0),
		},
	}
	if d := in.CompletionTokensDetails; d != nil {
		out.OutputDetails.ReasoningTokens = max(d.ReasoningTokens, 0)
	}
	if out.TotalTokens == 0 {
		out.TotalTokens = out.InputTokens + out.OutputTokens
	}
	return out, true
}

// finish maps what providers write to the four reasons that OpenAI knows; "" is none yet.
func finish(reason openai.FinishReason) Finish {
	switch reason {
	case "", openai.FinishReasonNull:
		return ""
	case openai.FinishReasonToolCalls, openai.FinishReasonFunctionCall, "tool_use":
		return FinishToolCalls
	case openai.FinishReasonLength, "max_tokens", "model_length":
		return FinishLength
	case openai.FinishReasonContentFilter, "safety", "SAFETY":
		return FinishContentFilter
	default:
		return FinishStop
	}
}
