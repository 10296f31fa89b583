package responses

import (
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
		taken[kind+" "+name] = path
	}
	r.list("tools", data, maxTools, func(path string, data json.RawMessage) {
		o := r.object(path, data)
		switch kind := o.needText("type"); kind {
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
	t := &MCPTool{ServerLabel: o.needText("server_label")}
	if o.err == nil && !labelPattern.MatchString(t.ServerLabel) {
		o.fail(Invalid(o.at("server_label"), "must match %s", labelPattern))
	}
	o.ignore("require_approval", "defer_loading")
	if id := o.string("connector_id", maxLabel); id != nil && strings.HasPrefix(*id, savedConnectorPrefix) {
		o.fail(notSupported(o.at("connector_id"), "a saved connector"))
	}
	o.unsupported("tunnel_id")
	for i, caller := range o.strings("allowed_callers", 8, maxLabel) {
		if caller != "direct" {
			o.fail(notSupported(o.at("allowed_callers")+"["+strconv.Itoa(i)+"]", "a caller other than \"direct\""))
		}
	}
	t.ServerURL = o.needLongText("server_url")
	t.Authorization = textOr(o.string("authorization", math.MaxInt), "")
	t.Headers = o.stringMap("headers", math.MaxInt, math.MaxInt, math.MaxInt)
	t.Description = textOr(o.string("server_description", math.MaxInt), "")
	if data, ok := o.take("allowed_tools"); ok {
		t.Allowed = decodeToolFilter(o, data)
	}
	return t
}

// decodeToolFilter reads a list of names or OpenAI's filter object.
func decodeToolFilter(o *object, data json.RawMessage) ToolFilter {
	if isArray(data) {
		return ToolFilter{Names: o.strings("allowed_tools", maxAllowedTools, maxToolName)}
	}
	in := o.object(o.at("allowed_tools"), data)
	filter := ToolFilter{Names: in.strings("tool_names", maxAllowedTools, maxToolName)}
	if b := in.bool("read_only"); b != nil {
		filter.ReadOnly = *b
	}
	in.done()
	return filter
}

func decodeFunctionTool(o *object) *FunctionTool {
	t := &FunctionTool{Name: o.needText("name"), Strict: o.bool("strict")}
	if o.err == nil && !labelPattern.MatchString(t.Name) {
		o.fail(Invalid(o.at("name"), "must match %s", labelPattern))
	}
	t.Description = textOr(o.string("description", math.MaxInt), "")
	if data, ok := o.take("parameters"); ok {
		if !isObject(data) {
			o.fail(Invalid(o.at("parameters"), "must be an object"))
		}
		t.Parameters = data
	}
	o.ignore("defer_loading")
	return t
}

func (o *object) needLongText(name string) string {
	data, ok := o.require(name)
	if !ok {
		return ""
	}
	return textOr(o.text(o.at(name), data, math.MaxInt), "")
}

// decodeToolChoice reads every form that the three APIs have, and checks that what it names is among the tools.
func decodeToolChoice(o *object, req *Request) ToolChoice {
	data, ok := o.take("tool_choice")
	if !ok {
		return ToolChoice{Mode: ToolChoiceAuto}
	}
	choice := ToolChoice{Mode: ToolChoiceAuto, Raw: data}
	if isString(data) {
		choice.Mode = o.word("tool_choice", ToolChoiceNone, ToolChoiceAuto, ToolChoiceRequired)
	} else {
		decodeToolChoiceObject(o.object("tool_choice", data), &choice, req)
	}
	if o.err == nil && choice.Mode == ToolChoiceRequired && len(req.Tools) == 0 {
		o.fail(Invalid("tool_choice", "requires a tool, but the request has none"))
	}
	return choice
}

func decodeToolChoiceObject(o *object, choice *ToolChoice, req *Request) {
	kind := textOr(o.string("type", maxLabel), "")
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
		choice.Only = []ToolRef{}
		if data, ok := o.require("tools"); ok {
			o.list(o.at("tools"), data, maxTools, func(path string, data json.RawMessage) {
				in := o.object(path, data)
				choice.Only = append(choice.Only, decodeToolRef(in, textOr(in.string("type", maxLabel), ""), req))
				in.done()
			})
		}
	default:
		o.fail(Invalid(o.at("type"), "unsupported tool choice %q", clip(kind)))
	}
	o.done()
}

func decodeToolRef(o *object, kind string, req *Request) ToolRef {
	switch kind {
	case "mcp":
		ref := ToolRef{Server: o.needText("server_label"), Name: textOr(o.string("name", maxToolName), "")}
		for _, t := range req.MCPTools() {
			if t.ServerLabel == ref.Server {
				return ref
			}
		}
		o.fail(Invalid(o.at("server_label"), "no MCP server of the request has the label %q", clip(ref.Server)))
	case "function", "":
		ref := ToolRef{Name: o.needText("name")}
		for _, t := range req.FunctionTools() {
			if t.Name == ref.Name {
				return ref
			}
		}
		o.fail(Invalid(o.at("name"), "no function of the request has the name %q", clip(ref.Name)))
	default:
		o.fail(Invalid(o.at("type"), "unsupported tool choice %q", clip(kind)))
	}
	return ToolRef{}
}
