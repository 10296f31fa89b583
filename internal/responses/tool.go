package responses

import (
	"encoding/json"
	"slices"
)

// Tool is one entry of a request's tools: [*MCPTool] or [*FunctionTool].
type Tool interface{ tool() }

// MCPTool connects a remote MCP server to a run.
type MCPTool struct {
	ServerLabel string
	ServerURL   string
	// ConnectorID names a saved connector, which brings its own URL and credentials: ServerURL, Authorization and Headers are empty then.
	ConnectorID string
	// Authorization is the raw access token, and Headers are extra request headers. Both are secrets: they are never echoed,
	// logged or stored in the clear.
	Authorization string            `json:"-"`
	Headers       map[string]string `json:"-"`
	Allowed       ToolFilter
	Description   string
	// Approval says which calls need the client's approval. It is set, and counts, in [DialectOpenAI] only.
	Approval ApprovalPolicy
}

// ApprovalPolicy is require_approval: which of a server's tools may be called only after the client has approved. The zero value
// is OpenAI's default: all of them. In JSON it is the Mode, or OpenAI's object of the two filters.
type ApprovalPolicy struct {
	// Mode is "always", "never", or empty when the filters decide. A tool that neither filter names needs approval.
	Mode   string
	Always *ToolFilter
	Never  *ToolFilter
}

// Values of [ApprovalPolicy.Mode].
const (
	ApproveAlways = "always"
	ApproveNever  = "never"
)

// approvalFilters is the form of an [ApprovalPolicy] that has filters. In it, unlike elsewhere, a filter is always an object.
type approvalFilters struct {
	Always *filterObject `json:"always,omitempty"`
	Never  *filterObject `json:"never,omitempty"`
}

type filterObject ToolFilter

// MarshalJSON implements [json.Marshaler].
func (p ApprovalPolicy) MarshalJSON() ([]byte, error) {
	switch {
	case p.Mode != "":
		return json.Marshal(p.Mode)
	case p.Always == nil && p.Never == nil:
		return json.Marshal(ApproveAlways)
	default:
		return json.Marshal(approvalFilters{(*filterObject)(p.Always), (*filterObject)(p.Never)})
	}
}

// UnmarshalJSON reads what MarshalJSON rendered.
func (p *ApprovalPolicy) UnmarshalJSON(data []byte) error {
	*p = ApprovalPolicy{}
	if isString(data) {
		return json.Unmarshal(data, &p.Mode)
	}
	var in approvalFilters
	err := json.Unmarshal(data, &in)
	p.Always, p.Never = (*ToolFilter)(in.Always), (*ToolFilter)(in.Never)
	return err
}

// Requires reports whether a call of the named tool needs approval; readOnly is what its server says of it. Where both filters
// name a tool, approval is needed.
func (p ApprovalPolicy) Requires(tool string, readOnly bool) bool {
	switch {
	case p.Mode != "":
		return p.Mode == ApproveAlways
	case p.Always != nil && p.Always.names(tool, readOnly):
		return true
	default:
		return p.Never == nil || !p.Never.names(tool, readOnly)
	}
}

// names reports whether the filter, which must not be empty, names the tool.
func (f *ToolFilter) names(tool string, readOnly bool) bool {
	if f.ReadOnly && !readOnly {
		return false
	}
	return (f.ReadOnly || len(f.Names) > 0) && (len(f.Names) == 0 || slices.Contains(f.Names, tool))
}

// ToolFilter limits which of a server's tools are offered to the model. In JSON it is a list of names, or OpenAI's object when it
// asks for read-only tools.
type ToolFilter struct {
	// Names is the allowlist; empty allows every tool.
	Names []string `json:"tool_names,omitempty"`
	// ReadOnly allows only tools that their server annotates as read-only.
	ReadOnly bool `json:"read_only,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (f ToolFilter) MarshalJSON() ([]byte, error) {
	if f.ReadOnly {
		type plain ToolFilter
		return json.Marshal(plain(f))
	}
	return json.Marshal(append([]string{}, f.Names...))
}

// UnmarshalJSON reads either form.
func (f *ToolFilter) UnmarshalJSON(data []byte) error {
	if isArray(data) {
		*f = ToolFilter{}
		return json.Unmarshal(data, &f.Names)
	}
	type plain ToolFilter
	var in plain
	err := json.Unmarshal(data, &in)
	*f = ToolFilter(in)
	return err
}

// FunctionTool is a function that the client runs.
type FunctionTool struct {
	Name        string
	Description string
	// Parameters is a JSON Schema; nil when the client gave none.
	Parameters json.RawMessage
	Strict     *bool
}

func (*MCPTool) tool()      {}
func (*FunctionTool) tool() {}

// Modes of a [ToolChoice].
const (
	ToolChoiceNone     = "none"
	ToolChoiceAuto     = "auto"
	ToolChoiceRequired = "required"
)

// ToolChoice says whether the model may, must or must not call tools, and which. Every form of the wire maps to it: a choice
// of one function, say, is Mode "required" with that function alone in Only.
type ToolChoice struct {
	Mode string `json:"mode"`
	// Only limits the tools that are offered; nil means all. An empty list means none, so it must not be left out of the JSON.
	Only []ToolRef `json:"only"`
	// Raw is the choice as the client wrote it, for the echo; nil when it wrote none.
	Raw json.RawMessage `json:"-"`
}

// ToolRef names a function (Server is empty), one tool of an MCP server, or all of a server's tools (Name is empty).
type ToolRef struct {
	Server string `json:"server,omitempty"`
	Name   string `json:"name,omitempty"`
}

// Allows reports whether the choice lets the model call the named tool; server is empty for a function.
func (c ToolChoice) Allows(server, name string) bool {
	if c.Mode == ToolChoiceNone {
		return false
	}
	if c.Only == nil {
		return true
	}
	for _, ref := range c.Only {
		if ref.Server == server && (ref.Name == name || (ref.Name == "" && server != "")) {
			return true
		}
	}
	return false
}

// Kinds of [Format].
const (
	FormatText       = "text"
	FormatJSONObject = "json_object"
	FormatJSONSchema = "json_schema"
)

// Format is the form that the answer's text must have. The zero value is plain text.
type Format struct {
	Type        string          `json:"type,omitempty"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}
