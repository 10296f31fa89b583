package responses

import (
	"encoding/json"
	"math"
	"slices"
)

// foreignItems are the types of item that one of the three APIs defines and this server lacks.
var foreignItems = []ItemType{
	// OpenAI
	"compaction_trigger", "web_search_call", "file_search_call", "computer_call", "computer_call_output", "image_generation_call",
	"code_interpreter_call", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call",
	"apply_patch_call_output", "custom_tool_call", "custom_tool_call_output", "tool_search_call", "tool_search_output",
	"additional_tools", "configuration_update", "program", "program_output",
	// Agent API
	"search_results", "fetch_url_results", "skill_loaded", "advisor_result", "sandbox_results", "sandbox_write_file",
	"sandbox_read_file", "sandbox_edit_file", "sandbox_grep", "sandbox_glob", "sandbox_apply_patch", "share_file",
}

// decodeInput reads input: a string, which is one user message, or a list of items. It may be missing or empty only where the
// request goes on with something.
func decodeInput(o *object, req *Request) {
	data, ok := o.take("input")
	switch {
	case !ok:
		if !req.continues() {
			o.fail(Invalid("input", "is required"))
		}
		return
	case isString(data):
		if s := o.text("input", data, math.MaxInt); s != nil && *s != "" {
			req.Input = []Item{&Message{Role: RoleUser, Content: []Part{InputText(*s)}}}
		}
	case isArray(data):
		o.list("input", data, maxInputItems, func(path string, data json.RawMessage) {
			if item := decodeItem(o.object(path, data)); item != nil {
				req.Input = append(req.Input, item)
			}
		})
	default:
		o.fail(Invalid("input", "must be a string or an array of items"))
	}
	if len(req.Input) == 0 && !req.continues() {
		o.fail(Invalid("input", "must not be empty"))
	}
	if o.err == nil {
		checkAnswers(o.reader, req)
	}
}

// decodeItem reads one item; it returns nil when there is none of a known type.
func decodeItem(o *object) Item {
	t := TypeMessage
	kind := o.string("type", maxLabel)
	switch {
	case kind != nil:
		t = ItemType(*kind)
	case o.has("id") && len(o.unread) == 1:
		t = TypeItemReference
	case !o.has("role"):
		o.fail(Invalid(o.at("type"), "is required"))
	}
	item := decodeItemOf(t, o)
	switch {
	case item != nil:
		o.done()
	case slices.Contains(foreignItems, t):
		o.fail(notSupported(o.at("type"), "an item of type "+string(t)))
	default:
		o.fail(Invalid(o.at("type"), "unknown item type %q", clip(string(t))))
	}
	return item
}

func decodeItemOf(t ItemType, o *object) Item {
	switch t {
	case TypeMessage:
		return decodeMessage(o)
	case TypeFunctionCall:
		return decodeFunctionCall(o)
	case TypeFunctionCallOutput:
		return decodeFunctionCallOutput(o)
	case TypeReasoning:
		return &Reasoning{
			ID: o.itemID(), Status: o.itemStatus(), EncryptedContent: o.optional("encrypted_content", math.MaxInt),
			Summary: o.reasoningParts("summary", PartSummaryText), Content: o.reasoningParts("content", PartReasoningText),
		}
	case TypeMCPListTools:
		return decodeMCPListTools(o)
	case TypeMCPCall:
		return decodeMCPCall(o)
	case TypeMCPApprovalRequest:
		return &MCPApprovalRequest{
			ID: o.approvalID("id"), ServerLabel: o.filled("server_label", maxLabel), Name: o.filled("name", math.MaxInt),
			Arguments: o.arguments(), ThoughtSignature: o.optional("thought_signature", math.MaxInt),
		}
	case TypeMCPApprovalResponse:
		return &MCPApprovalResponse{
			ID: o.itemID(), ApprovalRequestID: o.approvalID("approval_request_id"), Approve: o.requiredBool("approve"),
			Reason: o.optional("reason", math.MaxInt),
		}
	case TypeItemReference:
		return &ItemReference{ID: o.filled("id", maxLabel)}
	case TypeCompaction:
		o.ignore("created_by")
		return &Compaction{ID: o.itemID(), EncryptedContent: o.filled("encrypted_content", maxCompaction)}
	default:
		return nil
	}
}

func decodeMessage(o *object) *Message {
	m := &Message{
		ID:     o.itemID(),
		Status: o.itemStatus(),
		Role:   o.wordRequired("role", RoleUser, RoleAssistant, RoleSystem, RoleDeveloper),
		Phase:  o.word("phase", "commentary", "final_answer"),
	}
	if data, ok := o.require("content"); ok {
		m.Content = decodeContent(o.reader, o.at("content"), data, m.Role)
	}
	return m
}

func decodeFunctionCall(o *object) *FunctionCall {
	c := &FunctionCall{
		ID: o.itemID(), Status: o.itemStatus(), CallID: o.filled("call_id", maxID), Name: o.filled("name", maxLabel),
		Arguments: o.arguments(), ThoughtSignature: o.optional("thought_signature", math.MaxInt),
	}
	o.falseOnly("async")
	o.ordinaryCall()
	return c
}

func decodeFunctionCallOutput(o *object) *FunctionCallOutput {
	out := &FunctionCallOutput{ID: o.itemID(), Status: o.itemStatus(), CallID: o.filled("call_id", maxID)}
	if data, ok := o.require("output"); ok {
		out.Output = decodeContent(o.reader, o.at("output"), data, RoleUser)
	}
	// The call has both of these as well.
	o.ignore("name", "thought_signature")
	o.ordinaryCall()
	return out
}

// ordinaryCall refuses a call by another caller than the model, or of a function in one of OpenAI's namespaces.
func (o *object) ordinaryCall() {
	o.unsupported("namespace")
	if data, ok := o.take("caller"); ok {
		caller := o.object(o.at("caller"), data)
		caller.only("type", "direct")
		caller.done()
	}
}

func decodeMCPListTools(o *object) *MCPListTools {
	l := &MCPListTools{ID: o.itemID(), ServerLabel: o.filled("server_label", maxLabel), Tools: []MCPToolInfo{}, Error: o.failure()}
	if data, ok := o.require("tools"); ok {
		o.list(o.at("tools"), data, maxListedTools, func(path string, data json.RawMessage) {
			l.Tools = append(l.Tools, decodeToolInfo(o.object(path, data)))
		})
	}
	o.ignore("status", "connector_id")
	return l
}

func decodeToolInfo(o *object) MCPToolInfo {
	info := MCPToolInfo{
		Name:        o.filled("name", math.MaxInt),
		Description: o.optional("description", math.MaxInt),
		InputSchema: Schema(o.schema("input_schema")),
	}
	if data, ok := o.take("annotations"); ok {
		var a ToolAnnotations
		if json.Unmarshal(data, &a) == nil {
			info.Annotations = &a
		}
	}
	o.done()
	return info
}

// decodeMCPCall accepts whatever a model may have written: the name of a tool that nobody offered has no server, say.
func decodeMCPCall(o *object) *MCPCall {
	c := &MCPCall{
		ID: o.itemID(), ServerLabel: o.optional("server_label", maxLabel), Name: o.required("name"), Arguments: o.arguments(),
		Output: o.optional("output", math.MaxInt), Error: o.failure(), ApprovalRequestID: o.optional("approval_request_id", maxID),
		ThoughtSignature: o.optional("thought_signature", math.MaxInt),
	}
	o.ignore("status", "connector_id")
	return c
}

func (o *object) itemID() string { return o.optional("id", maxID) }

// approvalID reads the ID of an approval request.
func (o *object) approvalID(name string) string {
	id := o.filled(name, maxApprovalID)
	if len(id) > maxApprovalID {
		o.fail(Invalid(o.at(name), "is longer than %d bytes", maxApprovalID))
	}
	return id
}

func (o *object) itemStatus() string { return o.optional("status", maxLabel) }

// arguments reads a call's arguments. Models write "" for none, which providers refuse when they get it back.
func (o *object) arguments() string {
	if s := o.optional("arguments", math.MaxInt); s != "" {
		return s
	}
	return "{}"
}

// failure reads the error of an MCP item: a string, or the object that newer OpenAI clients replay.
func (o *object) failure() *string {
	data, ok := o.take("error")
	if !ok {
		return nil
	}
	switch {
	case isString(data):
		return o.text(o.at("error"), data, math.MaxInt)
	case isObject(data):
		message := o.object(o.at("error"), data).optional("message", math.MaxInt)
		if message == "" {
			message = string(data)
		}
		return &message
	default:
		o.fail(Invalid(o.at("error"), "must be a string, an object or null"))
		return nil
	}
}
