package responses

import "encoding/json"

// Tool is one entry of a request's tools: [*MCPTool] or [*FunctionTool].
type Tool interface{ tool() }

// MCPTool connects a remote MCP server to a run.
type MCPTool struct {
	ServerLabel string
	ServerURL   string
	// Authorization is the raw access token, and Headers are extra request headers. Both are secrets: they are never echoed,
	// logged or stored in the clear.
	Authorization string            `json:"-"`
	Headers       map[string]string `json:"-"`
	Allowed       ToolFilter
	Description   string
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
