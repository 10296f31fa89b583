package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const (
	maxChatRequest = 32 << 20 // bytes
	maxTools       = 128
)

// chatRequest is what the script reads of a request for a chat completion. The rest of the API's fields make no difference to
// a script and are ignored.
type chatRequest struct {
	Model               string        `json:"model"`
	Messages            []chatMessage `json:"messages"`
	Tools               []chatTool    `json:"tools"`
	ToolChoice          toolChoice    `json:"tool_choice"`
	ParallelToolCalls   *bool         `json:"parallel_tool_calls"`
	ResponseFormat      chatFormat    `json:"response_format"`
	MaxTokens           int           `json:"max_tokens"`
	MaxCompletionTokens int           `json:"max_completion_tokens"`
	Stream              bool          `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type chatMessage struct {
	Role       string      `json:"role"`
	Content    chatContent `json:"content"`
	ToolCalls  []chatCall  `json:"tool_calls"`
	ToolCallID string      `json:"tool_call_id"`
}

type chatCall struct {
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatTool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Parameters  schema `json:"parameters"`
}

type chatFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Schema schema `json:"schema"`
	} `json:"json_schema"`
}

// chatContent is the text of a message, which arrives as a string, as a list of parts or as null.
type chatContent string

func (c *chatContent) UnmarshalJSON(data []byte) error {
	var text *string
	if json.Unmarshal(data, &text) == nil {
		if text != nil {
			*c = chatContent(*text)
		}
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return invalid("messages", "the content of a message must be a string, a list of parts or null")
	}
	var texts []string
	for _, p := range parts {
		if p.Type == "text" {
			texts = append(texts, p.Text)
		}
	}
	*c = chatContent(strings.Join(texts, "\n"))
	return nil
}

// toolChoice is "auto" (or empty), "none", "required", or one function.
type toolChoice struct {
	mode     string
	function string
}

func (c *toolChoice) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if json.Unmarshal(data, &c.mode) == nil {
		if !slices.Contains([]string{"auto", "none", "required"}, c.mode) {
			return badToolChoice()
		}
		return nil
	}
	var one struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(data, &one) != nil || one.Type != "function" || one.Function.Name == "" {
		return badToolChoice()
	}
	c.mode, c.function = "required", one.Function.Name
	return nil
}

func badToolChoice() error {
	return invalid("tool_choice", `tool_choice must be "auto", "none", "required" or {"type":"function","function":{"name":…}}`)
}

// requestError is the client's fault. It is told to the client as it is.
type requestError struct {
	status  int
	param   string
	message string
}

func (e *requestError) Error() string { return e.message }

func invalid(param, format string, args ...any) error {
	return &requestError{status: http.StatusBadRequest, param: param, message: fmt.Sprintf(format, args...)}
}

// decodeChat reads and checks a request.
func decodeChat(body []byte) (*chatRequest, error) {
	var r chatRequest
	if err := json.Unmarshal(body, &r); err != nil {
		var fault *requestError
		var wrongType *json.UnmarshalTypeError
		switch {
		case errors.As(err, &fault):
			return nil, fault
		case errors.As(err, &wrongType):
			return nil, invalid(wrongType.Field, "%s must not be a JSON %s", wrongType.Field, wrongType.Value)
		default:
			return nil, invalid("", "the body must be a chat completion request in JSON")
		}
	}
	switch {
	case r.Model == "":
		return nil, invalid("model", "model is required; %s is the model here, and any other name means it too", ModelID)
	case len(r.Messages) == 0:
		return nil, invalid("messages", "messages is required and must not be empty")
	case len(r.Tools) > maxTools:
		return nil, invalid("tools", "tools has %d entries; at most %d are allowed", len(r.Tools), maxTools)
	}
	for i, m := range r.Messages {
		if !slices.Contains([]string{"system", "developer", "user", "assistant", "tool"}, m.Role) {
			return nil, invalid(fmt.Sprintf("messages[%d].role", i), "role must be system, developer, user, assistant or tool")
		}
	}
	for i, t := range r.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return nil, invalid(fmt.Sprintf("tools[%d]", i), `a tool must have type "function" and a function with a name`)
		}
	}
	return &r, r.narrow()
}

// narrow leaves only the tools that the tool choice allows.
func (r *chatRequest) narrow() error {
	switch {
	case r.ToolChoice.mode == "none":
		r.Tools = nil
	case r.ToolChoice.function != "":
		r.Tools = slices.DeleteFunc(r.Tools, func(t chatTool) bool { return t.Function.Name != r.ToolChoice.function })
		if len(r.Tools) == 0 {
			return invalid("tool_choice", "tool_choice names a function that is not among the tools")
		}
	case r.ToolChoice.mode == "required" && len(r.Tools) == 0:
		return invalid("tool_choice", "tool_choice is required, but there are no tools")
	}
	return nil
}
