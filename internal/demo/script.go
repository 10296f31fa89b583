package demo

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// notice ends every answer of the model.
const notice = "(This answer was written by Perdure's scripted demo model; configure a model to get real ones.)"

const (
	maxQuote       = 600 // bytes of a tool's output in an answer
	maxPromptQuote = 200 // bytes of the message in an answer
)

// toolFailure matches how the outputs of failed calls usually begin: the API has no field for a failure.
var toolFailure = regexp.MustCompile(`(?i)^\W*((the|mcp|tool|call) )*(error|failed|failure)\s*[:(]`)

// reply is what the script says: calls, or else text.
type reply struct {
	calls []plannedCall
	text  string
}

// pastCall is a call that was made since the last user message.
type pastCall struct {
	id, function string
	output       string
	answered     bool
}

// respond is the script. See [ModelHandler] for what it does.
func respond(r *chatRequest) (reply, error) {
	text, past := sinceUser(r.Messages)
	p := readPrompt(text)
	tools := make([]function, len(r.Tools))
	for i, t := range r.Tools {
		tools[i] = t.Function
	}
	if calls := nextCalls(r, plan(p, tools, r.ToolChoice.mode == "required"), len(past)); len(calls) > 0 {
		return reply{calls: calls}, nil
	}
	answer := answerText(p, past, len(tools))
	switch r.ResponseFormat.Type {
	case "json_schema":
		s := r.ResponseFormat.JSONSchema.Schema
		f := filler{root: s, prompt: p, text: answer, rest: notice}
		if len(p.repos) > 0 {
			f.repo = p.repos[0]
		}
		return jsonReply(f.value(s, nil, "", 0))
	case "json_object":
		return jsonReply(map[string]string{"answer": answer})
	default:
		return reply{text: answer}, nil
	}
}

func jsonReply(v any) (reply, error) {
	data, err := marshal(v)
	return reply{text: string(data)}, err
}

// sinceUser returns the last user message and the calls made since, with their outputs.
func sinceUser(messages []chatMessage) (text string, past []pastCall) {
	for _, m := range messages {
		switch m.Role {
		case "user":
			text, past = string(m.Content), nil
		case "assistant":
			for _, c := range m.ToolCalls {
				past = append(past, pastCall{id: c.ID, function: c.Function.Name})
			}
		case "tool":
			for i := range past {
				if past[i].id == m.ToolCallID {
					past[i].output, past[i].answered = string(m.Content), true
				}
			}
		}
	}
	return text, past
}

// nextCalls returns what is left of the plan. Where a call is required but none is left, the plan begins anew: whoever requires
// a call on every turn gets one.
func nextCalls(r *chatRequest, planned []plannedCall, made int) []plannedCall {
	left := planned[min(made, len(planned)):]
	if len(left) == 0 && r.ToolChoice.mode == "required" {
		left = planned
	}
	if r.ParallelToolCalls != nil && !*r.ParallelToolCalls && len(left) > 1 {
		left = left[:1]
	}
	return left
}

func answerText(p prompt, past []pastCall, offered int) string {
	var parts []string
	for _, c := range past {
		parts = append(parts, c.report())
	}
	if len(past) == 0 {
		parts = append(parts, plainAnswer(p, offered))
	}
	return strings.Join(append(parts, notice), "\n\n")
}

// plainAnswer is what the script says without a tool's help.
func plainAnswer(p prompt, offered int) string {
	if strings.TrimSpace(p.text) == "" {
		return "There is no user message with text, so there is nothing to answer."
	}
	quote := clip(p.text, maxPromptQuote)
	if quote != p.text {
		quote += "…"
	}
	why := "no tool was offered that I could ask"
	if offered > 0 {
		why = fmt.Sprintf("none of the %d offered tools seems to fit it", offered)
	}
	return fmt.Sprintf("Your message was: %s\n\nI am a script that knows nothing by itself, and %s.", quote, why)
}

// report says in a sentence and a quotation what came of a call.
func (c pastCall) report() string {
	_, name := splitName(c.function)
	text := strings.TrimSpace(c.output)
	switch {
	case !c.answered:
		return fmt.Sprintf("I called the tool `%s` but have not seen its output.", name)
	case text == "":
		return fmt.Sprintf("The tool `%s` returned no text.", name)
	case failed(text):
		return fmt.Sprintf("The tool `%s` failed, so I cannot answer from it. It said:\n\n%s", name, blockquote(text))
	default:
		return fmt.Sprintf("I asked the tool `%s`. It answered:\n\n%s", name, blockquote(text))
	}
}

// failed guesses whether a tool's output tells of a failure.
func failed(output string) bool {
	var object struct {
		Error   json.RawMessage `json:"error"`
		IsError bool            `json:"isError"`
	}
	if strings.HasPrefix(output, "{") && json.Unmarshal([]byte(output), &object) == nil {
		switch string(object.Error) {
		case "", "null", "false", `""`:
			return object.IsError
		default:
			return true
		}
	}
	return toolFailure.MatchString(output)
}

func blockquote(text string) string {
	if cut := clip(text, maxQuote); cut != text {
		text = strings.TrimRight(cut, " \n") + " …"
	}
	return "> " + strings.ReplaceAll(text, "\n", "\n> ")
}
