package model

import (
	"strings"

	openai "github.com/sashabaranov/go-openai"

	"perdure/internal/responses"
)

// Texts that stand where providers want text and there is none.
const (
	noOutput   = "(no output)"
	noAnswer   = "(this call was not answered)"
	failedCall = "The tool call failed: "
)

// newMessages translates a turn's conversation.
//
// Providers refuse a conversation whose tool calls are not each answered, right after the message that makes them and under a
// unique ID. Items know no such order: the output of a call may come later than a message of the user, and an mcp_call is
// call and output in one. So a model's text and the calls it made with it are gathered into one message ([round]), and their
// outputs follow it, wherever they stood.
func newMessages(turn Turn, quirks Quirks) []message {
	t := &translation{
		names: turn.Names, steps: turn.Steps, ids: callIDs{},
		outputs: pairOutputs(turn.Items), approvals: pairApprovals(turn.Items),
		systemRole: quirks.SystemRole, maxOutput: turn.MaxToolOutput,
	}
	if t.systemRole == "" {
		t.systemRole = RoleSystem
	}
	if t.maxOutput <= 0 {
		t.maxOutput = DefaultMaxToolOutput
	}
	if turn.Instructions != "" {
		t.add(message{Role: t.systemRole, Content: turn.Instructions})
	}
	for i, item := range turn.Items {
		t.item(i, item)
	}
	t.close()
	return t.messages
}

type translation struct {
	names      *Names
	steps      []int
	outputs    outputs
	approvals  approvals
	ids        callIDs
	systemRole string
	maxOutput  int

	messages []message
	open     *round
}

// round is a message of the model that may still get calls.
type round struct {
	step     int // see translation.step
	text     string
	calls    []call
	answered int // the index of the last item that answers one of the calls
}

// call is a tool call with its answer.
type call struct {
	toolCall
	output string
	images []responses.Part
}

func (t *translation) add(m message) { t.messages = append(t.messages, m) }

func (t *translation) item(i int, item responses.Item) {
	switch it := item.(type) {
	case *responses.Message:
		t.close()
		if it.Role == responses.RoleAssistant {
			t.open = &round{step: t.step(i), text: textOf(it.Content)}
			return
		}
		t.add(message{Role: t.role(it.Role), Content: contentOf(it.Content)})
	case *responses.FunctionCall:
		output, at := t.outputs.of(i)
		c := call{output: noAnswer}
		if output != nil {
			c.output, c.images = t.shown(textOf(output.Output)), images(output.Output)
		}
		c.toolCall = t.toolCall(it.CallID, responses.ToolRef{Name: it.Name}, it.Arguments, it.ThoughtSignature)
		t.call(i, at, c)
	case *responses.MCPCall:
		ref := responses.ToolRef{Server: it.ServerLabel, Name: it.Name}
		c := call{toolCall: t.toolCall(it.ID, ref, it.Arguments, it.ThoughtSignature), output: t.shown(it.Output)}
		if it.Error != nil {
			c.output = t.shown(failedCall + *it.Error)
		}
		t.call(i, i, c)
	case *responses.FunctionCallOutput:
		if t.outputs.orphan(i) {
			t.close()
			t.add(message{Role: responses.RoleUser, Content: "Output of an earlier tool call: " + t.shown(textOf(it.Output))})
		}
	case *responses.MCPApprovalRequest:
		// The client's answer adds nothing of its own, and a call that was made stands where it was made.
		if text, at, ok := t.approvals.of(it); ok {
			ref := responses.ToolRef{Server: it.ServerLabel, Name: it.Name}
			t.call(i, at, call{toolCall: t.toolCall(it.ID, ref, it.Arguments, it.ThoughtSignature), output: t.shown(text)})
		}
	case *responses.Reasoning, *responses.MCPListTools:
		// Chat Completions takes neither: thoughts are not replayed, and tools are offered as such.
	}
}

func (t *translation) role(role string) string {
	if role == responses.RoleUser {
		return role
	}
	return t.systemRole
}

// step returns which of the model's turns the item belongs to, or -1 when that is not known.
func (t *translation) step(i int) int {
	step := -1
	for n, start := range t.steps {
		if i >= start {
			step = n
		}
	}
	return step
}

// call adds a call at index i, answered by the item at index at, to the open round if the model made them together. That is
// known within a step, and evident when the call stands before the answer to an earlier one.
func (t *translation) call(i, at int, c call) {
	step := t.step(i)
	r := t.open
	together := r != nil && r.step == step && (len(r.calls) == 0 || step >= 0 || r.answered > i)
	if !together {
		t.close()
		t.open = &round{step: step}
	}
	t.open.calls = append(t.open.calls, c)
	t.open.answered = max(t.open.answered, at)
}

// close writes the open round.
func (t *translation) close() {
	r := t.open
	t.open = nil
	if r == nil || r.text == "" && len(r.calls) == 0 {
		return
	}
	m := message{Role: responses.RoleAssistant}
	if r.text != "" {
		m.Content = r.text
	}
	for _, c := range r.calls {
		m.ToolCalls = append(m.ToolCalls, c.toolCall)
	}
	t.add(m)
	var pictures []responses.Part
	for _, c := range r.calls {
		t.add(message{Role: openai.ChatMessageRoleTool, ToolCallID: c.ID, Content: c.output})
		pictures = append(pictures, c.images...)
	}
	// A tool's message holds text only, so the pictures follow as if the user had attached them.
	if len(pictures) > 0 {
		t.add(message{
			Role:    responses.RoleUser,
			Content: contentOf(append([]responses.Part{responses.InputText("Images that the tools returned:")}, pictures...)),
		})
	}
}

func (t *translation) toolCall(id string, ref responses.ToolRef, arguments, signature string) toolCall {
	c := toolCall{ToolCall: openai.ToolCall{
		ID: t.ids.unique(id), Type: openai.ToolTypeFunction,
		Function: openai.FunctionCall{Name: t.names.For(ref), Arguments: objectText(arguments)},
	}}
	if signature != "" {
		c.ExtraContent = &extraContent{}
		c.ExtraContent.Google.ThoughtSignature = signature
	}
	return c
}

func (t *translation) shown(output string) string {
	if strings.TrimSpace(output) == "" {
		return noOutput
	}
	return cut(output, t.maxOutput)
}

func textOf(parts []responses.Part) string {
	var texts []string
	for _, p := range parts {
		if p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

func images(parts []responses.Part) []responses.Part {
	var out []responses.Part
	for _, p := range parts {
		if p.Type == responses.PartInputImage {
			out = append(out, p)
		}
	}
	return out
}

// contentOf renders a message's content: as a plain string where it is only text, since simple servers take nothing else.
func contentOf(parts []responses.Part) any {
	if len(images(parts)) == 0 {
		return textOf(parts)
	}
	var out []openai.ChatMessagePart
	for _, p := range parts {
		switch {
		case p.Type == responses.PartInputImage:
			out = append(out, openai.ChatMessagePart{
				Type:     openai.ChatMessagePartTypeImageURL,
				ImageURL: &openai.ChatMessageImageURL{URL: p.ImageURL, Detail: imageDetail(p.Detail)},
			})
		case p.Text != "":
			out = append(out, openai.ChatMessagePart{Type: openai.ChatMessagePartTypeText, Text: p.Text})
		}
	}
	return out
}

// imageDetail maps to what Chat Completions knows; "original" is the Responses API's word for as much detail as there is.
func imageDetail(detail string) openai.ImageURLDetail {
	if detail == "original" {
		return openai.ImageURLDetailHigh
	}
	return openai.ImageURLDetail(detail)
}
