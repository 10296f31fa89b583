package modeltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
)

// Request is a request as the provider sees it.
type Request struct {
	// N counts the server's requests from 0.
	N          int
	Header     http.Header
	Body       []byte
	Model      string
	Messages   []Message
	Tools      []Tool
	ToolChoice json.RawMessage // nil when there is none
	Stream     bool

	includeUsage bool
}

// Message is one message of the conversation.
type Message struct {
	Role string
	// Content is the message's text; parts that are not text are in Images, by their URLs.
	Content    string
	Images     []string
	ToolCalls  []Call
	ToolCallID string
}

// Tool is a tool that the request offers.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage
	Strict      bool
}

// ToolNames returns the names of the offered tools, in order.
func (r Request) ToolNames() []string {
	names := make([]string, len(r.Tools))
	for i, t := range r.Tools {
		names[i] = t.Name
	}
	return names
}

// Last returns the last message.
func (r Request) Last() Message {
	if len(r.Messages) == 0 {
		return Message{}
	}
	return r.Messages[len(r.Messages)-1]
}

// Turn counts the turns that the model has had since the user last spoke: 0 in the first request of a run.
func (r Request) Turn() int {
	turns := 0
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			break
		}
		if m.Role == "assistant" {
			turns++
		}
	}
	return turns
}

var (
	toolName   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	notAtTop   = []string{"oneOf", "anyOf", "allOf", "enum", "const", "not", "$ref"}
	roles      = []string{"system", "developer", "user", "assistant", "tool"}
	errNotJSON = errors.New("the body is not a chat completion request")
)

type wireRequest struct {
	Model             string          `json:"model"`
	Messages          []wireMessage   `json:"messages"`
	Tools             []wireTool      `json:"tools"`
	ToolChoice        json.RawMessage `json:"tool_choice"`
	ParallelToolCalls *bool           `json:"parallel_tool_calls"`
	Stream            bool            `json:"stream"`
	StreamOptions     *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type wireMessage struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	ToolCalls  []wireCall      `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
}

type wireTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      bool            `json:"strict"`
	} `json:"function"`
}

// readRequest returns what it could read, and the fault for which OpenAI would refuse the request.
func readRequest(header http.Header, body []byte) (Request, error) {
	r := Request{Header: header.Clone(), Body: body}
	var in wireRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return r, errNotJSON
	}
	r.Model, r.Stream, r.ToolChoice = in.Model, in.Stream, in.ToolChoice
	r.includeUsage = in.StreamOptions != nil && in.StreamOptions.IncludeUsage
	var faults []error
	for i, m := range in.Messages {
		message, err := m.read()
		if err != nil {
			faults = append(faults, fmt.Errorf("messages[%d]: %w", i, err))
		}
		r.Messages = append(r.Messages, message)
	}
	for _, t := range in.Tools {
		r.Tools = append(r.Tools, Tool{
			Name: t.Function.Name, Description: t.Function.Description, Parameters: t.Function.Parameters, Strict: t.Function.Strict,
		})
		if t.Type != "function" {
			faults = append(faults, fmt.Errorf("a tool has the type %q", t.Type))
		}
	}
	switch {
	case in.Model == "":
		faults = append(faults, errors.New("model is missing"))
	case len(in.Messages) == 0:
		faults = append(faults, errors.New("messages is empty"))
	case len(in.Tools) == 0 && (in.ToolChoice != nil || in.ParallelToolCalls != nil):
		faults = append(faults, errors.New("tool_choice and parallel_tool_calls are only allowed when tools are specified"))
	case in.StreamOptions != nil && !in.Stream:
		faults = append(faults, errors.New("stream_options is only allowed when stream is enabled"))
	}
	faults = append(faults, checkTools(r.Tools), checkOrder(r.Messages))
	return r, errors.Join(faults...)
}

func (m wireMessage) read() (Message, error) {
	out := Message{Role: m.Role, ToolCallID: m.ToolCallID}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, c.call())
	}
	if !slices.Contains(roles, m.Role) {
		return out, fmt.Errorf("unknown role %q", m.Role)
	}
	if len(m.Content) == 0 || string(m.Content) == "null" {
		if m.Role == "assistant" && len(m.ToolCalls) > 0 {
			return out, nil
		}
		return out, errors.New("content is missing")
	}
	if json.Unmarshal(m.Content, &out.Content) == nil {
		return out, nil
	}
	var parts []struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		ImageURL struct {
			URL string `json:"url"`
		} `json:"image_url"`
	}
	if err := json.Unmarshal(m.Content, &parts); err != nil || len(parts) == 0 {
		return out, errors.New("content is neither text nor a list of parts")
	}
	for _, p := range parts {
		switch {
		case p.Type == "text":
			out.Content += p.Text
		case p.Type == "image_url" && m.Role == "user":
			out.Images = append(out.Images, p.ImageURL.URL)
		default:
			return out, fmt.Errorf("a part of type %q is not allowed with role %q", p.Type, m.Role)
		}
	}
	return out, nil
}

func checkTools(tools []Tool) error {
	seen := map[string]bool{}
	for _, t := range tools {
		switch {
		case !toolName.MatchString(t.Name):
			return fmt.Errorf("the tool name %q does not match %s", t.Name, toolName)
		case seen[t.Name]:
			return fmt.Errorf("two tools have the name %q", t.Name)
		}
		seen[t.Name] = true
		var schema map[string]json.RawMessage
		if err := json.Unmarshal(t.Parameters, &schema); err != nil {
			return fmt.Errorf("the schema of %q is not an object", t.Name)
		}
		if string(schema["type"]) != `"object"` || len(schema["properties"]) == 0 {
			return fmt.Errorf("invalid schema for function %q: it must be an object with properties", t.Name)
		}
		for _, key := range notAtTop {
			if _, ok := schema[key]; ok {
				return fmt.Errorf("invalid schema for function %q: %s at the top level", t.Name, key)
			}
		}
	}
	return nil
}

// checkOrder refuses what providers refuse: calls and answers must match, and stand next to each other.
func checkOrder(messages []Message) error {
	used := map[string]bool{}
	var waiting []string
	for i, m := range messages {
		if m.Role == "tool" {
			at := slices.Index(waiting, m.ToolCallID)
			if at < 0 {
				return fmt.Errorf("messages[%d]: a tool message must answer a call of the preceding message", i)
			}
			waiting = slices.Delete(waiting, at, at+1)
			continue
		}
		if len(waiting) > 0 {
			return fmt.Errorf("messages[%d]: the calls before it are not all answered", i)
		}
		if m.Role != "assistant" && len(m.ToolCalls) > 0 {
			return fmt.Errorf("messages[%d]: only the assistant calls tools", i)
		}
		for _, c := range m.ToolCalls {
			switch {
			case c.ID == "" || len(c.ID) > 40:
				return fmt.Errorf("messages[%d]: a tool call's id must have 1 to 40 characters", i)
			case used[c.ID]:
				return fmt.Errorf("messages[%d]: the tool call id %q is used twice", i, c.ID)
			case !toolName.MatchString(c.Name):
				return fmt.Errorf("messages[%d]: the tool name %q does not match %s", i, c.Name, toolName)
			case !json.Valid([]byte(c.Arguments)):
				return fmt.Errorf("messages[%d]: the arguments of %q are not JSON", i, c.Name)
			}
			used[c.ID] = true
			waiting = append(waiting, c.ID)
		}
	}
	if len(waiting) > 0 {
		return errors.New("the last calls are not all answered")
	}
	return nil
}
