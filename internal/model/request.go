package model

import (
	"log/slog"

	openai "github.com/sashabaranov/go-openai"

	"perdure/internal/responses"
)

// request is go-openai's request with the members that it cannot express: a zero that is meant, and [message].
type request struct {
	openai.ChatCompletionRequest
	Messages         []message `json:"messages"`
	Temperature      *float64  `json:"temperature,omitempty"`
	TopP             *float64  `json:"top_p,omitempty"`
	PresencePenalty  *float64  `json:"presence_penalty,omitempty"`
	FrequencyPenalty *float64  `json:"frequency_penalty,omitempty"`
}

// message is one message of a conversation.
type message struct {
	Role string `json:"role"`
	// Content is a string, a list of parts or, where a message has tool calls only, null.
	Content    any        `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// toolCall is a tool call of an earlier turn.
type toolCall struct {
	openai.ToolCall
	ExtraContent *extraContent `json:"extra_content,omitempty"`
}

// extraContent is where Gemini's endpoint puts what belongs to a tool call and must come back with it.
type extraContent struct {
	Google struct {
		ThoughtSignature string `json:"thought_signature,omitempty"`
	} `json:"google"`
}

// newRequest renders a turn for the provider.
func newRequest(turn Turn, quirks Quirks, log *slog.Logger) request {
	if turn.Names == nil {
		turn.Names = namesOf(turn.Tools)
	}
	r := request{
		Temperature: turn.Temperature, TopP: turn.TopP,
		PresencePenalty: turn.PresencePenalty, FrequencyPenalty: turn.FrequencyPenalty,
	}
	r.Model = turn.Model.Model
	r.Stream = true
	r.ReasoningEffort = turn.Effort
	r.Verbosity = turn.Verbosity
	if !quirks.NoStreamUsage {
		r.StreamOptions = &openai.StreamOptions{IncludeUsage: true}
	}
	if n := turn.MaxOutputTokens; n != nil {
		if quirks.MaxTokensField == MaxTokens {
			r.MaxTokens = *n
		} else {
			r.MaxCompletionTokens = *n
		}
	}
	r.ResponseFormat = responseFormat(turn.Format, quirks)
	if quirks.NoJSONSchema && turn.Format.Type == responses.FormatJSONSchema {
		turn.Instructions = joinText(turn.Instructions,
			"Answer with a JSON object that matches this JSON Schema, and with nothing else:\n"+string(turn.Format.Schema))
	}
	r.offer(turn, quirks, log)
	r.Messages = newMessages(turn, quirks)
	return r
}

func namesOf(tools []Tool) *Names {
	var functions []string
	var refs []responses.ToolRef
	for _, t := range tools {
		if t.Ref.Server == "" {
			functions = append(functions, t.Ref.Name)
		} else {
			refs = append(refs, t.Ref)
		}
	}
	return NewNames(functions, refs)
}

// offer adds the tools and the choice among them. Providers refuse a choice where there is nothing to choose from.
func (r *request) offer(turn Turn, quirks Quirks, log *slog.Logger) {
	if len(turn.Tools) == 0 {
		return
	}
	for _, t := range turn.Tools {
		schema, note := Sanitize(t.Schema)
		if note != "" {
			log.Debug("adapted a tool's schema for the model", "server", t.Ref.Server, "tool", t.Ref.Name, "changes", note)
		}
		r.Tools = append(r.Tools, openai.Tool{Type: openai.ToolTypeFunction, Function: &openai.FunctionDefinition{
			Name: turn.Names.For(t.Ref), Description: t.Description, Parameters: schema, Strict: t.Strict && quirks.StrictSchemas,
		}})
	}
	if p := turn.ParallelToolCalls; p != nil && !quirks.NoParallelToolCalls {
		r.ParallelToolCalls = *p
	}
	switch turn.Choice.Mode {
	case responses.ToolChoiceNone:
		r.ToolChoice = responses.ToolChoiceNone
	case responses.ToolChoiceRequired:
		r.ToolChoice = responses.ToolChoiceRequired
		// Some servers know how to force one named tool, but not how to force any; here the two mean the same.
		if len(turn.Tools) == 1 {
			r.ToolChoice = openai.ToolChoice{
				Type: openai.ToolTypeFunction, Function: openai.ToolFunction{Name: turn.Names.For(turn.Tools[0].Ref)},
			}
		}
	}
}

func responseFormat(format responses.Format, quirks Quirks) *openai.ChatCompletionResponseFormat {
	switch {
	case format.Type == responses.FormatJSONObject, format.Type == responses.FormatJSONSchema && quirks.NoJSONSchema:
		return &openai.ChatCompletionResponseFormat{Type: openai.ChatCompletionResponseFormatTypeJSONObject}
	case format.Type == responses.FormatJSONSchema:
		return &openai.ChatCompletionResponseFormat{
			Type: openai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{
				Name: format.Name, Description: format.Description, Schema: format.Schema,
				Strict: format.Strict != nil && *format.Strict,
			},
		}
	default:
		return nil
	}
}

// joinText joins the texts that are not empty, each on a line of its own.
func joinText(texts ...string) string {
	var out string
	for _, text := range texts {
		if out != "" && text != "" {
			out += "\n"
		}
		out += text
	}
	return out
}
