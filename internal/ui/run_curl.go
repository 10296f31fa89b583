package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"perdure/internal/responses"
	"perdure/internal/snippet"
	"perdure/starter"
)

// curlOf returns a command that asks for the same as a run, and what a person has to know about it. What the run keeps no secret is in the
// command; the addresses and tokens of MCP servers are for the environment.
func curlOf(origin string, run *starter.RunShown) (command string, notes []string) {
	r, taken := run.Request, map[snippet.Env]bool{}
	body := snippet.Object{{Name: "model", Value: r.Model}, {Name: "input", Value: inputOf(run.Input)}}
	add := func(name string, value any) { body = append(body, snippet.Member{Name: name, Value: value}) }
	if len(run.Input) < run.InputLen {
		notes = append(notes, fmt.Sprintf("The first %d items of the input are not in it.", run.InputLen-len(run.Input)))
	}
	if r.Instructions != nil {
		add("instructions", *r.Instructions)
	}
	if r.PreviousResponseID != nil {
		add("previous_response_id", *r.PreviousResponseID)
	}
	if r.Conversation != nil {
		add("conversation", r.Conversation.ID)
	}
	if tools, more := toolsOf(r.Tools, taken); len(tools) > 0 {
		add("tools", tools)
		notes = append(notes, more...)
	}
	if choice := jsonValue(r.ToolChoice); choice != nil && choice != "auto" {
		add("tool_choice", choice)
	}
	if !r.ParallelToolCalls {
		add("parallel_tool_calls", false)
	}
	if r.MaxSteps != nil {
		add("max_steps", *r.MaxSteps)
	}
	if r.MaxOutputTokens != nil {
		add("max_output_tokens", *r.MaxOutputTokens)
	}
	if r.MaxToolCalls != nil {
		add("max_tool_calls", *r.MaxToolCalls)
	}
	if r.Reasoning.Effort != nil {
		add("reasoning", snippet.Object{{Name: "effort", Value: *r.Reasoning.Effort}})
	}
	if format, err := json.Marshal(r.Text); err == nil && r.Text.Format.Type != "" && r.Text.Format.Type != "text" {
		add("text", jsonValue(format))
	}
	if r.Background {
		add("background", true)
	}
	if command = snippet.Curl(snippet.Request{Origin: origin, Body: body}); len(command) > maxCommand {
		body[1].Value = snippet.Env("INPUT")
		command = snippet.Curl(snippet.Request{Origin: origin, Body: body})
		notes = append(notes, "The input is too long for a command: INPUT stands for it.")
	}
	return command, notes
}

// maxCommand is the longest command that is shown with its input, in bytes.
const maxCommand = 64 << 10

// inputOf is a text where that says it all.
func inputOf(items []responses.Item) any {
	if len(items) == 1 {
		m, ok := items[0].(*responses.Message)
		if ok && m.Role == responses.RoleUser && len(m.Content) == 1 && m.Content[0].Type == responses.PartInputText {
			return m.Content[0].Text
		}
	}
	list := snippet.List{}
	for _, item := range items {
		data, err := responses.MarshalItem(item, responses.DialectOpenAI)
		if err != nil {
			continue // it could not have been read either
		}
		list = append(list, jsonValue(data))
	}
	return list
}

func toolsOf(echoes []responses.ToolEcho, taken map[snippet.Env]bool) (tools snippet.List, notes []string) {
	for _, echo := range echoes {
		switch t := echo.(type) {
		case responses.MCPToolEcho:
			tool := snippet.Object{{Name: "type", Value: "mcp"}, {Name: "server_label", Value: t.ServerLabel}}
			if t.ConnectorID != "" {
				tool = append(tool, snippet.Member{Name: "connector_id", Value: t.ConnectorID})
			} else {
				url, token := snippet.EnvName(t.ServerLabel, "URL", taken), snippet.EnvName(t.ServerLabel, "TOKEN", taken)
				tool = append(tool, snippet.Member{Name: "server_url", Value: url}, snippet.Member{Name: "authorization", Value: token})
				notes = append(notes, fmt.Sprintf("%s is the whole address of the server at %s, %s its token: these are kept sealed. Without a "+
					"token, leave out that line.", url, t.ServerURL, token))
			}
			if data, err := json.Marshal(t.AllowedTools); err == nil && t.AllowedTools != nil {
				tool = append(tool, snippet.Member{Name: "allowed_tools", Value: jsonValue(data)})
			}
			tools = append(tools, tool)
		case responses.FunctionToolEcho:
			if data, err := json.Marshal(t); err == nil {
				tools = append(tools, jsonValue(data))
			}
		}
	}
	return tools, notes
}

// jsonValue is JSON as a snippet has it, with its members in their order; nil for null, and for what is no JSON.
func jsonValue(data json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	value, err := nextValue(d)
	if err != nil {
		return nil
	}
	return value
}

func nextValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return nextObject(d)
		}
		if t == '[' {
			return nextList(d)
		}
		return nil, io.ErrUnexpectedEOF
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return int(n), nil
		}
		return t.Float64()
	default:
		return t, nil
	}
}

func nextObject(d *json.Decoder) (any, error) {
	object := snippet.Object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := nextValue(d)
		if err != nil {
			return nil, err
		}
		if text, ok := name.(string); ok && value != nil { // what is null is as good as not there
			object = append(object, snippet.Member{Name: text, Value: value})
		}
	}
	_, err := d.Token()
	return object, err
}

func nextList(d *json.Decoder) (any, error) {
	list := snippet.List{}
	for d.More() {
		value, err := nextValue(d)
		if err != nil {
			return nil, err
		}
		if value == nil {
			value = "" // an enumeration may have null, which snippets cannot say
		}
		list = append(list, value)
	}
	_, err := d.Token()
	return list, err
}
