package responses

import (
	"encoding/json"
	"fmt"
)

// ItemType is the discriminator of the [Item] union.
type ItemType string

// The types of item that a request may contain and a response may output.
const (
	TypeMessage            ItemType = "message"
	TypeFunctionCall       ItemType = "function_call"
	TypeFunctionCallOutput ItemType = "function_call_output"
	TypeReasoning          ItemType = "reasoning"
	TypeMCPListTools       ItemType = "mcp_list_tools"
	TypeMCPCall            ItemType = "mcp_call"

	TypeMCPApprovalRequest  ItemType = "mcp_approval_request"
	TypeMCPApprovalResponse ItemType = "mcp_approval_response"
	TypeItemReference       ItemType = "item_reference"
	TypeCompaction          ItemType = "compaction"
)

// Item is one entry of a request's input or of a response's output: [*Message], [*FunctionCall], [*FunctionCallOutput],
// [*Reasoning], [*MCPListTools], [*MCPCall], [*MCPApprovalRequest], [*MCPApprovalResponse], [*ItemReference] or [*Compaction].
type Item interface {
	Type() ItemType
	json.Marshaler
}

// Statuses of an item that has one.
const (
	StatusInProgress = "in_progress"
	StatusCompleted  = "completed"
	StatusIncomplete = "incomplete"
)

// Roles of a message.
const (
	RoleUser      = "user"
	RoleAssistant = "assistant"
	RoleSystem    = "system"
	RoleDeveloper = "developer"
)

// Message is text, and images, said by Role.
type Message struct {
	ID      string `json:"id,omitempty"`
	Role    string `json:"role"`
	Status  string `json:"status,omitempty"`
	Phase   string `json:"phase,omitempty"` // Open Responses: "commentary" or "final_answer"
	Content []Part `json:"content"`
}

// FunctionCall asks the client to call a function that the client offered.
type FunctionCall struct {
	ID     string `json:"id,omitempty"`
	CallID string `json:"call_id"`
	Name   string `json:"name"`
	// Arguments is what the model wrote: usually, but not certainly, a JSON object.
	Arguments string `json:"arguments"`
	Status    string `json:"status,omitempty"`
	// ThoughtSignature is opaque and must be replayed to the model that gave it.
	ThoughtSignature string `json:"thought_signature,omitempty"`
}

// FunctionCallOutput is the client's answer to a [FunctionCall] with the same CallID.
type FunctionCallOutput struct {
	ID     string `json:"id,omitempty"`
	CallID string `json:"call_id"`
	Output []Part `json:"output"`
	Status string `json:"status,omitempty"`
}

// Reasoning is what a model tells of its thoughts. It is kept and replayed to clients, not to models.
type Reasoning struct {
	ID               string `json:"id,omitempty"`
	Summary          []Part `json:"summary"`
	Content          []Part `json:"content,omitempty"`
	EncryptedContent string `json:"encrypted_content,omitempty"`
	Status           string `json:"status,omitempty"`
}

// MCPListTools lists the tools that were discovered on one MCP server.
type MCPListTools struct {
	ID          string        `json:"id,omitempty"`
	ServerLabel string        `json:"server_label"`
	Tools       []MCPToolInfo `json:"tools"`
	Error       *string       `json:"error"`
}

// MCPToolInfo is a tool as its server describes it.
type MCPToolInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// InputSchema is the server's JSON Schema, byte for byte.
	InputSchema Schema           `json:"input_schema"`
	Annotations *ToolAnnotations `json:"annotations,omitempty"`
}

// ToolAnnotations are the hints that a server gives about a tool. They come from a stranger: they may make us do less
// (retry a call that failed), never more.
type ToolAnnotations struct {
	ReadOnly   bool `json:"read_only"`
	Idempotent bool `json:"idempotent,omitempty"`
}

// MCPCall is a call of a tool on an MCP server, with its result.
type MCPCall struct {
	ID          string `json:"id,omitempty"`
	ServerLabel string `json:"server_label"`
	Name        string `json:"name"`
	Arguments   string `json:"arguments"`
	// Output is the tool's text; empty when the call failed.
	Output string `json:"output"`
	// Error says why the call failed; nil when it succeeded. The model sees the same text.
	Error *string `json:"error"`
	// ThoughtSignature is opaque and must be replayed to the model that gave it.
	ThoughtSignature string `json:"thought_signature,omitempty"`
	// ApprovalRequestID is the ID of the [MCPApprovalRequest] with which the call was approved, if it was.
	ApprovalRequestID string `json:"approval_request_id,omitempty"`
	// Status is empty in a call that has come to its end: Error says how. It is [StatusIncomplete] in one that was abandoned.
	Status string `json:"status,omitempty"`
}

// MCPApprovalRequest asks the client whether a tool may be called.
type MCPApprovalRequest struct {
	ID          string `json:"id,omitempty"`
	ServerLabel string `json:"server_label"`
	Name        string `json:"name"`
	Arguments   string `json:"arguments"`
	// ThoughtSignature is opaque and must be replayed to the model that gave it.
	ThoughtSignature string `json:"thought_signature,omitempty"`
}

// MCPApprovalResponse is the client's answer to an [MCPApprovalRequest].
type MCPApprovalResponse struct {
	ID                string `json:"id,omitempty"`
	ApprovalRequestID string `json:"approval_request_id"`
	Approve           bool   `json:"approve"`
	Reason            string `json:"reason,omitempty"`
}

// ItemReference stands for an item of an earlier response. It occurs in requests only: the item itself takes its place.
type ItemReference struct {
	ID string `json:"id"`
}

// Compaction is a conversation in short, which only this server can read.
type Compaction struct {
	ID string `json:"id,omitempty"`
	// EncryptedContent is opaque to clients: the sealed text in base64.
	EncryptedContent string `json:"encrypted_content"`
}

// Type implements [Item].
func (*MCPApprovalRequest) Type() ItemType { return TypeMCPApprovalRequest }

// Type implements [Item].
func (*MCPApprovalResponse) Type() ItemType { return TypeMCPApprovalResponse }

// Type implements [Item].
func (*ItemReference) Type() ItemType { return TypeItemReference }

// Type implements [Item].
func (*Compaction) Type() ItemType { return TypeCompaction }

// Type implements [Item].
func (*Message) Type() ItemType { return TypeMessage }

// Type implements [Item].
func (*FunctionCall) Type() ItemType { return TypeFunctionCall }

// Type implements [Item].
func (*FunctionCallOutput) Type() ItemType { return TypeFunctionCallOutput }

// Type implements [Item].
func (*Reasoning) Type() ItemType { return TypeReasoning }

// Type implements [Item].
func (*MCPListTools) Type() ItemType { return TypeMCPListTools }

// Type implements [Item].
func (*MCPCall) Type() ItemType { return TypeMCPCall }

// An item is rendered with its type in front of its own members; "plain" sheds the methods, which would call themselves.

// MarshalJSON implements [json.Marshaler].
func (m *Message) MarshalJSON() ([]byte, error) {
	type plain Message
	p := plain(*m)
	p.Content = notNil(p.Content)
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeMessage, &p})
}

// MarshalJSON implements [json.Marshaler].
func (c *FunctionCall) MarshalJSON() ([]byte, error) {
	type plain FunctionCall
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeFunctionCall, (*plain)(c)})
}

// MarshalJSON implements [json.Marshaler].
func (o *FunctionCallOutput) MarshalJSON() ([]byte, error) {
	type plain FunctionCallOutput
	p := plain(*o)
	p.Output = notNil(p.Output)
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeFunctionCallOutput, &p})
}

// MarshalJSON implements [json.Marshaler].
func (r *Reasoning) MarshalJSON() ([]byte, error) {
	type plain Reasoning
	p := plain(*r)
	p.Summary = notNil(p.Summary)
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeReasoning, &p})
}

// MarshalJSON implements [json.Marshaler].
func (l *MCPListTools) MarshalJSON() ([]byte, error) {
	type plain MCPListTools
	p := plain(*l)
	p.Tools = notNil(p.Tools)
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeMCPListTools, &p})
}

// MarshalJSON implements [json.Marshaler].
func (c *MCPCall) MarshalJSON() ([]byte, error) {
	type plain MCPCall
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeMCPCall, (*plain)(c)})
}

// MarshalJSON implements [json.Marshaler].
func (r *MCPApprovalRequest) MarshalJSON() ([]byte, error) {
	type plain MCPApprovalRequest
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeMCPApprovalRequest, (*plain)(r)})
}

// MarshalJSON implements [json.Marshaler].
func (r *MCPApprovalResponse) MarshalJSON() ([]byte, error) {
	type plain MCPApprovalResponse
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeMCPApprovalResponse, (*plain)(r)})
}

// MarshalJSON implements [json.Marshaler].
func (r *ItemReference) MarshalJSON() ([]byte, error) {
	type plain ItemReference
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeItemReference, (*plain)(r)})
}

// MarshalJSON implements [json.Marshaler].
func (c *Compaction) MarshalJSON() ([]byte, error) {
	type plain Compaction
	return encode(struct {
		Type ItemType `json:"type"`
		*plain
	}{TypeCompaction, (*plain)(c)})
}

// UnmarshalItem reads an item that this package rendered. What a client sends goes through [DecodeRequest], which is strict.
func UnmarshalItem(data []byte) (Item, error) {
	var head struct {
		Type ItemType `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	item, ok := newItem(head.Type)
	if !ok {
		return nil, fmt.Errorf("responses: unknown item type %q", head.Type)
	}
	if err := json.Unmarshal(data, item); err != nil {
		return nil, err
	}
	return item, nil
}

func newItem(t ItemType) (Item, bool) {
	switch t {
	case TypeMessage:
		return &Message{}, true
	case TypeFunctionCall:
		return &FunctionCall{}, true
	case TypeFunctionCallOutput:
		return &FunctionCallOutput{}, true
	case TypeReasoning:
		return &Reasoning{}, true
	case TypeMCPListTools:
		return &MCPListTools{}, true
	case TypeMCPCall:
		return &MCPCall{}, true
	case TypeMCPApprovalRequest:
		return &MCPApprovalRequest{}, true
	case TypeMCPApprovalResponse:
		return &MCPApprovalResponse{}, true
	case TypeItemReference:
		return &ItemReference{}, true
	case TypeCompaction:
		return &Compaction{}, true
	default:
		return nil, false
	}
}
