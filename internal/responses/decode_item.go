package responses

import (
	"encoding/json"
	"math"
	"strings"
)

// decodeInput reads input: a string, which is one user message, or a list of items.
func decodeInput(r *reader, data json.RawMessage) []Item {
	if isString(data) {
		s := r.text("input", data, math.MaxInt)
		if s == nil || *s == "" {
			r.fail(Invalid("input", "must not be empty"))
			return nil
		}
		return []Item{&Message{Role: RoleUser, Content: []Part{InputText(*s)}}}
	}
	if !isArray(data) {
		r.fail(Invalid("input", "must be a string or an array of items"))
		return nil
	}
	var items []Item
	r.list("input", data, maxInputItems, func(path string, data json.RawMessage) {
		if item := decodeItem(r.object(path, data)); item != nil {
			items = append(items, item)
		}
	})
	if r.err == nil && len(items) == 0 {
		r.fail(Invalid("input", "must not be empty"))
	}
	if r.err == nil {
		checkCallIDs(r, items)
	}
	return items
}

func decodeItem(o *object) Item {
	kind := o.string("type", maxLabel)
	t := TypeMessage
	if kind != nil {
		t = ItemType(*kind)
	} else if _, ok := o.members["role"]; !ok {
		o.fail(Invalid(o.at("type"), "is required"))
	}
	item, ok := decodeItemOf(t, o)
	if !ok {
		switch t {
		case "item_reference", "compaction", "mcp_approval_request", "mcp_approval_response", "web_search_call",
			"file_search_call", "computer_call", "computer_call_output", "image_generation_call", "code_interpreter_call",
			"local_shell_call", "local_shell_call_output", "custom_tool_call", "custom_tool_call_output":
			o.fail(notSupported(o.at("type"), "an item of type "+string(t)))
		default:
			o.fail(Invalid(o.at("type"), "unknown item type %q", clip(string(t))))
		}
		return nil
	}
	o.done()
	return item
}

func decodeItemOf(t ItemType, o *object) (Item, bool) {
	id := textOr(o.string("id", maxLabel), "")
	status := textOr(o.string("status", maxLabel), "")
	switch t {
	case TypeMessage:
		m := &Message{ID: id, Status: status, Role: o.word("role", RoleUser, RoleAssistant, RoleSystem, RoleDeveloper)}
		if m.Role == "" {
			o.fail(Invalid(o.at("role"), "is required"))
		}
		m.Phase = o.word("phase", "commentary", "final_answer")
		if data, ok := o.require("content"); ok {
			m.Content = decodeParts(o.reader, o.at("content"), data, m.Role)
		}
		return m, true
	case TypeFunctionCall:
		return &FunctionCall{
			ID: id, Status: status, CallID: o.needText("call_id"), Name: o.needText("name"), Arguments: o.arguments(),
			ThoughtSignature: textOr(o.string("thought_signature", math.MaxInt), ""),
		}, true
	case TypeFunctionCallOutput:
		out := &FunctionCallOutput{ID: id, Status: status, CallID: o.needText("call_id")}
		if data, ok := o.require("output"); ok {
			out.Output = decodeParts(o.reader, o.at("output"), data, RoleUser)
		}
		return out, true
	case TypeReasoning:
		return &Reasoning{
			ID: id, Status: status, Summary: o.reasoningParts("summary"), Content: o.reasoningParts("content"),
			EncryptedContent: textOr(o.string("encrypted_content", math.MaxInt), ""),
		}, true
	case TypeMCPListTools:
		l := &MCPListTools{ID: id, ServerLabel: o.needText("server_label"), Tools: []MCPToolInfo{}, Error: o.failure()}
		if data, ok := o.require("tools"); ok {
			o.list(o.at("tools"), data, maxAllowedTools, func(path string, data json.RawMessage) {
				l.Tools = append(l.Tools, decodeToolInfo(o.object(path, data)))
			})
		}
		return l, true
	case TypeMCPCall:
		o.ignore("approval_request_id")
		return &MCPCall{
			ID: id, ServerLabel: textOr(o.string("server_label", maxLabel), ""), Name: o.needText("name"), Arguments: o.arguments(),
			Output: textOr(o.string("output", math.MaxInt), ""), Error: o.failure(),
			ThoughtSignature: textOr(o.string("thought_signature", math.MaxInt), ""),
		}, true
	default:
		return nil, false
	}
}

func decodeToolInfo(o *object) MCPToolInfo {
	info := MCPToolInfo{Name: o.needText("name"), Description: textOr(o.string("description", math.MaxInt), "")}
	if data, ok := o.take("input_schema"); ok {
		info.InputSchema = Schema(data)
	}
	if data, ok := o.take("annotations"); ok {
		var a ToolAnnotations
		if err := json.Unmarshal(data, &a); err == nil {
			info.Annotations = &a
		}
	}
	o.done()
	return info
}

func (o *object) needText(name string) string {
	data, ok := o.require(name)
	if !ok {
		return ""
	}
	s := textOr(o.text(o.at(name), data, maxLabel), "")
	if s == "" {
		o.fail(Invalid(o.at(name), "must not be empty"))
	}
	return s
}

func (o *object) arguments() string {
	s := o.string("arguments", math.MaxInt)
	return textOr(s, "{}")
}

// failure reads the error of an MCP item: a string, or the object that newer OpenAI clients replay.
func (o *object) failure() *string {
	data, ok := o.take("error")
	if !ok {
		return nil
	}
	if isString(data) {
		return o.text(o.at("error"), data, math.MaxInt)
	}
	if !isObject(data) {
		o.fail(Invalid(o.at("error"), "must be a string, an object or null"))
		return nil
	}
	var detail struct {
		Message string `json:"message"`
	}
	s := string(data)
	if json.Unmarshal(data, &detail) == nil && detail.Message != "" {
		s = detail.Message
	}
	return &s
}

func decodeParts(r *reader, path string, data json.RawMessage, role string) []Part {
	if isString(data) {
		s := r.text(path, data, math.MaxInt)
		if s == nil {
			return nil
		}
		if role == RoleAssistant {
			return []Part{OutputText(*s)}
		}
		return []Part{InputText(*s)}
	}
	if !isArray(data) {
		r.fail(Invalid(path, "must be a string or an array of content parts"))
		return nil
	}
	parts := []Part{}
	r.list(path, data, maxInputItems, func(path string, data json.RawMessage) {
		parts = append(parts, decodePart(r.object(path, data)))
	})
	return parts
}

func decodePart(o *object) Part {
	p := Part{Type: o.needText("type")}
	switch p.Type {
	case PartInputText, PartSummaryText, PartReasoningText:
		p.Text = o.partText("text")
	case PartRefusal:
		p.Text = o.partText("refusal")
	case PartOutputText:
		p.Text = o.partText("text")
		if data, ok := o.take("annotations"); ok {
			o.list(o.at("annotations"), data, maxInputItems, func(_ string, data json.RawMessage) {
				p.Annotations = append(p.Annotations, data)
			})
		}
		o.ignore("logprobs")
	case PartInputImage:
		p.Detail = o.word("detail", "auto", "low", "high", "original")
		o.unsupported("file_id")
		p.ImageURL = o.imageURL()
	case "input_file", "input_audio", "input_video":
		o.fail(notSupported(o.at("type"), "content of type "+p.Type))
	default:
		o.fail(Invalid(o.at("type"), "unknown content type %q", clip(p.Type)))
	}
	// Clients that cache prompts mark parts; the mark asks nothing of this server.
	o.ignore("prompt_cache_breakpoint")
	o.done()
	return p
}

func (o *object) partText(name string) string {
	data, ok := o.require(name)
	if !ok {
		return ""
	}
	return textOr(o.text(o.at(name), data, math.MaxInt), "")
}

// imageURL reads an https or data URL. The model's provider fetches it, not this server.
func (o *object) imageURL() string {
	data, ok := o.require("image_url")
	if !ok {
		return ""
	}
	url := textOr(o.text(o.at("image_url"), data, math.MaxInt), "")
	if o.err == nil && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "data:image/") {
		o.fail(Invalid(o.at("image_url"), "must be an https URL or a data URL of an image"))
	}
	return url
}

func (o *object) reasoningParts(name string) []Part {
	parts := []Part{}
	if data, ok := o.take(name); ok {
		o.list(o.at(name), data, maxInputItems, func(path string, data json.RawMessage) {
			parts = append(parts, decodePart(o.object(path, data)))
		})
	}
	return parts
}

// checkCallIDs refuses an output without its call and two outputs for one call: a model's provider would refuse them with an
// error that names no place.
func checkCallIDs(r *reader, items []Item) {
	calls := map[string]bool{}
	answered := map[string]bool{}
	for i, item := range items {
		switch it := item.(type) {
		case *FunctionCall:
			if calls[it.CallID] {
				r.fail(Invalid(inputPlace(i, "call_id"), "two function calls have the call_id %q", clip(it.CallID)))
			}
			calls[it.CallID] = true
		case *FunctionCallOutput:
			if !calls[it.CallID] {
				r.fail(Invalid(inputPlace(i, "call_id"), "no earlier function_call has the call_id %q", clip(it.CallID)))
			}
			if answered[it.CallID] {
				r.fail(Invalid(inputPlace(i, "call_id"), "the call %q is answered twice", clip(it.CallID)))
			}
			answered[it.CallID] = true
		}
	}
	for i, item := range items {
		if call, ok := item.(*FunctionCall); ok && !answered[call.CallID] {
			r.fail(Invalid(inputPlace(i, "call_id"), "no function_call_output answers the call %q", clip(call.CallID)))
		}
	}
}

func textOr(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}
