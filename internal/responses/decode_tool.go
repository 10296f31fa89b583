package responses

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// savedConnectorPrefix begins the IDs of this server's own saved connectors. Any other connector_id belongs to another
// provider's catalogue and is ignored, as the Agent API does.
const savedConnectorPrefix = "conn_"

func decodeTools(r *reader, data json.RawMessage) []Tool {
	var tools []Tool
	taken := map[string]string{}
	claim := func(kind, name, path string) {
		if at, ok := taken[kind+" "+name]; ok {
			r.fail(Invalid(path, "%q is already the %s of %s", name, kind, at))
		}
		taken[kind+" "+name] = strings.TrimSuffix(path, "."+kind)
	}
	r.list("tools", data, maxTools, func(path string, data json.RawMessage) {
		o := r.object(path, data)
		switch kind := o.filled("type", maxLabel); kind {
		case "mcp":
			t := decodeMCPTool(o)
			claim("server_label", t.ServerLabel, o.at("server_label"))
			tools = append(tools, t)
		case "function":
			t := decodeFunctionTool(o)
			claim("name", t.Name, o.at("name"))
			tools = append(tools, t)
		default:
			o.fail(Invalid(o.at("type"), "unsupported tool type %q; this server runs tools of type \"mcp\" and \"function\"", clip(kind)))
		}
		o.done()
	})
	return tools
}

func decodeMCPTool(o *object) *MCPTool {
	t := &MCPTool{
		ServerLabel:   o.label("server_label"),
		Authorization: o.optional("authorization", math.MaxInt),
		Headers:       o.stringMap("headers", maxHeaders, math.MaxInt, math.MaxInt),
		Description:   o.optional("server_description", math.MaxInt),
	}
	o.ignore("defer_loading")
	if id := o.optional("connector_id", maxLabel); strings.HasPrefix(id, savedConnectorPrefix) {
		t.ConnectorID = id
	}
	o.unsupported("tunnel_id")
	o.directCallersOnly()
	if t.ConnectorID != "" {
		decodeSavedConnector(o, t)
	} else {
		t.ServerURL = o.filled("server_url", math.MaxInt)
	}
	if data, ok := o.take("allowed_tools"); ok {
		t.Allowed = decodeToolFilter(o, data)
	}
	if o.dialect != DialectOpenAI {
		o.ignore("require_approval") // no call is asked about, whatever it says
	} else if data, ok := o.take("require_approval"); ok {
		t.Approval = decodeApproval(o, data)
	}
	return t
}

// decodeSavedConnector refuses what would say twice where a saved connector's server is, or who we are there.
func decodeSavedConnector(o *object, t *MCPTool) {
	const brings = "cannot be given with the connector_id of a saved connector, which brings its own; leave one of them out"
	switch {
	case o.optional("server_url", math.MaxInt) != "":
		o.fail(Invalid(o.at("server_url"), brings))
	case t.Authorization != "":
		o.fail(Invalid(o.at("authorization"), brings))
	case len(t.Headers) > 0:
		o.fail(Invalid(o.at("headers"), brings))
	}
}

// decodeApproval reads a word or OpenAI's object of two filters.
func decodeApproval(o *object, data json.RawMessage) ApprovalPolicy {
	place := o.at("require_approval")
	switch {
	case isString(data):
		mode := o.text(place, data, math.MaxInt)
		if mode == nil || (*mode != ApproveAlways && *mode != ApproveNever) {
			o.fail(Invalid(place, "must be %q, %q or an object", ApproveAlways, ApproveNever))
			return ApprovalPolicy{}
		}
		return ApprovalPolicy{Mode: *mode}
	case isObject(data):
		in := o.object(place, data)
		policy := ApprovalPolicy{Always: decodeApprovalFilter(in, ApproveAlways), Never: decodeApprovalFilter(in, ApproveNever)}
		in.done()
		return policy
	default:
		o.fail(Invalid(place, "must be %q, %q or an object", ApproveAlways, ApproveNever))
		return ApprovalPolicy{}
	}
}

func decodeApprovalFilter(o *object, name string) *ToolFilter {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	filter := decodeFilterObject(o.object(o.at(name), data))
	return &filter
}

// label reads a required name that providers accept as part of a tool's name.
func (o *object) label(name string) string {
	s := o.filled(name, maxLabel)
	if o.err == nil && !labelPattern.MatchString(s) {
		o.fail(Invalid(o.at(name), "must match %s", labelPattern))
	}
	return s
}

// directCallersOnly refuses tools that OpenAI would let a program of the model's call.
func (o *object) directCallersOnly() {
	for i, caller := range o.strings("allowed_callers", 8, maxLabel) {
		if caller != "direct" {
			o.fail(notSupported(o.at("allowed_callers")+"["+strconv.Itoa(i)+"]", "a caller other than \"direct\""))
		}
	}
}

// decodeToolFilter reads a list of names or OpenAI's filter object.
func decodeToolFilter(o *object, data json.RawMessage) ToolFilter {
	if isArray(data) {
		return ToolFilter{Names: o.texts("allowed_tools", data, maxAllowedTools, maxToolName)}
	}
	if !isObject(data) {
		o.fail(Invalid(o.at("allowed_tools"), "must be an array of tool names or an object"))
		return ToolFilter{}
	}
	return decodeFilterObject(o.object(o.at("allowed_tools"), data))
}

func decodeFilterObject(o *object) ToolFilter {
	filter := ToolFilter{Names: o.strings("tool_names", maxAllowedTools, maxToolName), ReadOnly: isTrue(o.bool("read_only"))}
	o.done()
	return filter
}

func decodeFunctionTool(o *object) *FunctionTool {
	t := &FunctionTool{
		Name:        o.label("name"),
		Description: o.optional("description", math.MaxInt),
		Parameters:  o.schema("parameters"),
		Strict:      o.bool("strict"),
	}
	o.ignore("defer_loading", "output_schema")
	o.directCallersOnly()
	o.falseOnly("async")
	return t
}

// decodeToolChoice reads every form that the three APIs have, and checks that what it names is among the tools.
func decodeToolChoice(o *object, req *Request) ToolChoice {
	choice := ToolChoice{Mode: ToolChoiceAuto}
	if data := o.unread["tool_choice"]; isString(data) {
		choice.Raw = bytes.Clone(data)
		choice.Mode = o.word("tool_choice", ToolChoiceNone, ToolChoiceAuto, ToolChoiceRequired)
	} else if data, ok := o.take("tool_choice"); ok {
		if !isObject(data) {
			o.fail(Invalid("tool_choice", "must be a string or an object"))
		}
		choice.Raw = bytes.Clone(data)
		decodeToolChoiceObject(o.object("tool_choice", data), &choice, req)
	}
	if o.err == nil && choice.Mode == ToolChoiceRequired && len(req.Tools) == 0 {
		o.fail(Invalid("tool_choice", "requires a tool, but the request has none"))
	}
	return choice
}

func decodeToolChoiceObject(o *object, choice *ToolChoice, req *Request) {
	kind := o.optional("type", maxLabel)
	switch kind {
	case ToolChoiceNone, ToolChoiceAuto, ToolChoiceRequired:
		choice.Mode = kind
	case "mcp", "function", "":
		choice.Mode = ToolChoiceRequired
		choice.Only = []ToolRef{decodeToolRef(o, kind, req)}
	case "allowed_tools":
		choice.Mode = o.word("mode", ToolChoiceAuto, ToolChoiceRequired)
		if choice.Mode == "" {
			choice.Mode = ToolChoiceAuto
		}
		choice.Only = decodeToolRefs(o, req)
	default:
		o.fail(unknownChoice(o, kind))
	}
	o.done()
}

func decodeToolRefs(o *object, req *Request) []ToolRef {
	data, ok := o.require("tools")
	if !ok {
		return nil
	}
	refs := []ToolRef{}
	o.list(o.at("tools"), data, maxTools, func(path string, data json.RawMessage) {
		in := o.object(path, data)
		refs = append(refs, decodeToolRef(in, in.optional("type", maxLabel), req))
		in.done()
	})
	if len(refs) == 0 {
		o.fail(Invalid(o.at("tools"), "must name at least one tool; to allow none, set tool_choice to \"none\""))
	}
	return refs
}

func decodeToolRef(o *object, kind string, req *Request) ToolRef {
	switch kind {
	case "mcp":
		ref := ToolRef{Server: o.filled("server_label", maxLabel), Name: o.optional("name", maxToolName)}
		for _, t := range req.MCPTools() {
			if t.ServerLabel == ref.Server {
				return ref
			}
		}
		o.fail(Invalid(o.at("server_label"), "no MCP server of the request has the label %q", clip(ref.Server)))
	case "function", "":
		ref := ToolRef{Name: o.filled("name", maxLabel)}
		for _, t := range req.FunctionTools() {
			if t.Name == ref.Name {
				return ref
			}
		}
		o.fail(Invalid(o.at("name"), "no function of the request has the name %q", clip(ref.Name)))
	default:
		o.fail(unknownChoice(o, kind))
	}
	return ToolRef{}
}

func unknownChoice(o *object, kind string) *Error {
	return Invalid(o.at("type"), "unsupported tool choice %q; this server runs tools of type \"mcp\" and \"function\"", clip(kind))
}
