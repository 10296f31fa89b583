package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ModelID is the model's name. A request may use any other name for it as well.
const ModelID = "scripted-demo"

// ModelHandler serves a model that is a script, under /v1 as OpenAI-compatible providers do.
//
// The script compares the words of the last user message with the names and descriptions of the offered tools, calls the tool
// that shares the most, and then quotes what it returned. It calls a tool once for each repository in the message, or two tools
// if the message says "both" or names two servers, four calls at most. Arguments are taken from the message by the tool's
// schema. Without a tool that fits, it says so. Where the request wants JSON, it gives the smallest that the schema allows.
// It obeys tool_choice and parallel_tool_calls. Token counts are bytes divided by four.
func ModelHandler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"object": "list",
			"data":   []any{map[string]any{"id": ModelID, "object": "model", "created": 0, "owned_by": "perdure"}},
		})
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		if err := complete(w, r, o.ChunkDelay); err != nil {
			writeError(w, err)
		}
	})
	return mux
}

// complete answers a request. It returns an error only before it has written anything.
func complete(w http.ResponseWriter, r *http.Request, chunkDelay time.Duration) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxChatRequest))
	if err != nil {
		return err
	}
	request, err := decodeChat(body)
	if err != nil {
		return err
	}
	reply, err := respond(request)
	if err != nil {
		return err
	}
	c := newCompletion(request, reply, body)
	if request.Stream {
		c.stream(r.Context(), w, chunkDelay, request.StreamOptions.IncludeUsage)
		return nil
	}
	writeJSON(w, http.StatusOK, c.whole())
	return nil
}

// completion is an answer before it takes one of its two forms on the wire.
type completion struct {
	id, model string
	text      string
	calls     []wireCall
	finish    string
	usage     wireUsage
}

type wireUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

type wireCall struct {
	Index    *int         `json:"index,omitempty"` // in streams only
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function wireFunction `json:"function"`
}

type wireFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type wireMessage struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content"`
	ToolCalls []wireCall `json:"tool_calls,omitempty"`
}

type wireChoice struct {
	Index        int         `json:"index"`
	Message      wireMessage `json:"message"`
	FinishReason string      `json:"finish_reason"`
}

type wireCompletion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []wireChoice `json:"choices"`
	Usage   wireUsage    `json:"usage"`
}

// newCompletion derives every ID from the body, so that a repeated request gets the same answer.
func newCompletion(r *chatRequest, reply reply, body []byte) *completion {
	c := &completion{id: "chatcmpl-" + deriveID(body, "completion"), model: r.Model, finish: "stop", text: reply.text}
	limit := r.MaxCompletionTokens
	if limit <= 0 {
		limit = r.MaxTokens
	}
	if cut := clip(c.text, limit*4); limit > 0 && cut != c.text {
		c.text, c.finish = cut, "length"
	}
	written := len(c.text)
	for i, call := range reply.calls {
		c.calls = append(c.calls, wireCall{
			ID:       "call_" + deriveID(body, strconv.Itoa(i)),
			Type:     "function",
			Function: wireFunction{Name: call.function, Arguments: call.arguments},
		})
		c.finish = "tool_calls"
		written += len(call.function) + len(call.arguments)
	}
	c.usage = wireUsage{PromptTokens: tokens(len(body)), CompletionTokens: tokens(written)}
	c.usage.TotalTokens = c.usage.PromptTokens + c.usage.CompletionTokens
	return c
}

func deriveID(body []byte, purpose string) string {
	h := sha256.New()
	h.Write(body)
	h.Write([]byte(purpose))
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func tokens(bytes int) int { return (bytes + 3) / 4 }

func (c *completion) whole() wireCompletion {
	message := wireMessage{Role: "assistant", ToolCalls: c.calls}
	if len(c.calls) == 0 {
		message.Content = &c.text
	}
	return wireCompletion{
		ID:      c.id,
		Object:  "chat.completion",
		Created: time.Now().Unix(),
		Model:   c.model,
		Choices: []wireChoice{{Message: message, FinishReason: c.finish}},
		Usage:   c.usage,
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := marshal(v)
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that is gone needs no answer
}

func writeError(w http.ResponseWriter, err error) {
	fault := &requestError{status: http.StatusInternalServerError, message: "the demo model failed"}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		fault = &requestError{status: http.StatusRequestEntityTooLarge, message: "the body is larger than 32 MiB"}
	case errors.As(err, &fault): // the client's fault replaces ours
	}
	kind := "invalid_request_error"
	if fault.status >= http.StatusInternalServerError {
		kind = "server_error"
	}
	var param *string
	if fault.param != "" {
		param = &fault.param
	}
	writeJSON(w, fault.status, map[string]any{
		"error": map[string]any{"message": fault.message, "type": kind, "param": param, "code": nil},
	})
}
