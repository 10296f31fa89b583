package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"perdure/internal/responses"
)

// Response is what this program reads of a response object. It is read leniently: servers may say more.
type Response struct {
	ID                string `json:"id"`
	Status            string `json:"status"`
	Model             string `json:"model"`
	Background        bool   `json:"background"`
	CreatedAt         int64  `json:"created_at"`   // Unix seconds
	CompletedAt       *int64 `json:"completed_at"` // Unix seconds
	Error             *responses.RunError
	IncompleteDetails *responses.IncompleteDetails `json:"incomplete_details"`
	Output            []Item                       `json:"output"`
	Usage             *responses.Usage             `json:"usage"`
	// Raw is the whole object as the server wrote it.
	Raw json.RawMessage `json:"-"`
}

// Item is what this program reads of an item, whatever its type.
type Item struct {
	Type        string     `json:"type"`
	ID          string     `json:"id"`
	Role        string     `json:"role"`
	Status      string     `json:"status"`
	Content     []ItemPart `json:"content"`
	Summary     []ItemPart `json:"summary"`
	ServerLabel string     `json:"server_label"`
	Name        string     `json:"name"`
	CallID      string     `json:"call_id"`
	Arguments   string     `json:"arguments"`
	Output      *string    `json:"-"`
	Error       *string    `json:"error"`
	Tools       []ToolInfo `json:"tools"`
}

// ItemPart is a part of a message or of reasoning.
type ItemPart struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Refusal string `json:"refusal"`
}

// ToolInfo is a tool of an MCP server.
type ToolInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// UnmarshalJSON reads an item. An output is a string in some types of item and a list of parts in others, and only the former is read.
func (i *Item) UnmarshalJSON(data []byte) error {
	type plain Item
	in := struct {
		*plain
		Output json.RawMessage `json:"output"`
	}{plain: (*plain)(i)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	var text string
	if len(in.Output) > 0 && in.Output[0] == '"' && json.Unmarshal(in.Output, &text) == nil {
		i.Output = &text
	}
	return nil
}

// Text is what a message says, refusals included.
func (i Item) Text() string {
	var text string
	for _, p := range i.Content {
		text += p.Text + p.Refusal
	}
	return text
}

// Ended reports whether the run is over.
func (r Response) Ended() bool {
	return r.Status != responses.ResponseQueued && r.Status != responses.ResponseInProgress
}

// Approvals are the calls that wait for the client's consent.
func (r Response) Approvals() []Item {
	var asked []Item
	for _, item := range r.Output {
		if item.Type == string(responses.TypeMCPApprovalRequest) {
			asked = append(asked, item)
		}
	}
	return asked
}

// ReadResponse reads a response object.
func ReadResponse(data json.RawMessage) (Response, error) {
	r := Response{Raw: data}
	err := json.Unmarshal(data, &r)
	return r, err
}

func responsePath(id string) string { return "/v1/responses/" + url.PathEscape(id) }

func (c *Client) response(ctx context.Context, r Request) (Response, error) {
	out := Response{}
	err := c.Call(ctx, r, &raw{&out.Raw})
	if err != nil {
		return out, err
	}
	return ReadResponse(out.Raw)
}

// raw keeps JSON as it is, and refuses what is none.
type raw struct{ into *json.RawMessage }

// UnmarshalJSON implements [json.Unmarshaler].
func (r *raw) UnmarshalJSON(data []byte) error {
	*r.into = append((*r.into)[:0:0], data...)
	return nil
}

// Start starts a run that goes on by itself, and returns it as it is then. The body must ask for a background run.
func (c *Client) Start(ctx context.Context, body any, key string) (Response, error) {
	return c.response(ctx, Request{Method: http.MethodPost, Path: "/v1/responses", Body: body, Key: key})
}

// Response returns a response as it is now.
func (c *Client) Response(ctx context.Context, id string) (Response, error) {
	return c.response(ctx, Request{Method: http.MethodGet, Path: responsePath(id)})
}

// CancelResponse ends a run, and returns what it has come to.
func (c *Client) CancelResponse(ctx context.Context, id string) (Response, error) {
	return c.response(ctx, Request{Method: http.MethodPost, Path: responsePath(id) + "/cancel", Repeatable: true})
}

// pollEvery is how often a run is asked whose events are not kept any more.
const pollEvery = 2 * time.Second

// Await polls until a run is over.
func (c *Client) Await(ctx context.Context, id string) (Response, error) {
	for {
		r, err := c.Response(ctx, id)
		if err != nil || r.Ended() {
			return r, err
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return r, err
		}
	}
}
