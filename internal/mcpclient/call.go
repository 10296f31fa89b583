package mcpclient

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Where a call's idempotency key stands on the wire: in the request's _meta and
// in a header, for servers and gateways that look at one of them.
const (
	IdempotencyMetaKey = "perdure.dev/idempotency-key"
	IdempotencyHeader  = "Idempotency-Key"
)

// maxServerMessage bounds [Error.ServerMessage].
const maxServerMessage = 2 << 10

// A Call is one use of a tool.
type Call struct {
	Name      string
	Arguments json.RawMessage // a JSON object, sent byte for byte; nil stands for {}
	// IdempotencyKey tells the server that two requests are the same call. It
	// must be the same on every attempt. Visible ASCII, at most 255 bytes.
	IdempotencyKey string
	// BeforeSend, if set, runs right before each HTTP request that carries the
	// call. If it fails, that request is not sent. It may run and the request
	// still not leave, for example because the server cannot be dialed.
	BeforeSend func(context.Context) error
}

// A Result is a tool's answer.
type Result struct {
	// Output is the answer as text for a model: text parts, one line for each
	// part that is not text, or the structured content if there is no text.
	Output string
	// IsError says that the tool failed, with Output as its explanation.
	IsError bool
}

// CallTool calls a tool. A tool that fails gives a [Result] with IsError set.
// The error is an [*Error]: the call was not made, was refused, or its outcome
// is not known, as its Sent tells.
func (c *Client) CallTool(ctx context.Context, runKey string, s Server, call Call) (Result, error) {
	secrets := newRedactor(s)
	result, err := c.callTool(ctx, runKey, s, call, &secrets)
	if err != nil {
		e := asError(err, s.Label)
		e.ServerMessage = secrets.clean(e.ServerMessage, maxServerMessage)
		return Result{}, e
	}
	result.Output = secrets.Text(result.Output)
	return result, nil
}

// callTool sets *secrets to those that the session has, an access token
// included.
func (c *Client) callTool(ctx context.Context, runKey string, s Server, call Call, secrets *redactor) (Result, error) {
	if err := checkCall(call); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.CallTimeout)
	defer cancel()
	var raw json.RawMessage
	err := c.operate(ctx, runKey, s, false, func(sess *session) error {
		*secrets = newRedactor(sess.server)
		var err error
		raw, err = c.call(ctx, sess, call)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	result, e := parseResult(raw, newRedactor(s))
	if e != nil {
		return Result{}, e
	}
	return result, nil
}

func (c *Client) call(ctx context.Context, sess *session, call Call) (json.RawMessage, error) {
	mirrors, err := c.mirrors(ctx, sess, call.Name)
	if err != nil {
		return nil, err
	}
	headers, err := paramHeaders(mirrors, call.Arguments)
	if err != nil {
		return nil, err
	}
	ex := &exchange{
		header:         headers,
		methods:        []string{methodCall},
		standIn:        `{"content":[]}`,
		maxBytes:       c.opts.MaxCallBytes,
		arguments:      call.Arguments,
		idempotencyKey: call.IdempotencyKey,
		beforeSend:     call.BeforeSend,
	}
	exCtx, finish, err := c.begin(ctx, ex)
	if err != nil {
		return nil, err
	}
	defer finish()
	params := &mcp.CallToolParams{Name: call.Name}
	if call.Arguments != nil {
		params.Arguments = call.Arguments
	}
	if call.IdempotencyKey != "" {
		params.Meta = mcp.Meta{IdempotencyMetaKey: call.IdempotencyKey}
	}
	_, err = sess.mcp.CallTool(exCtx, params)
	raw, e := ex.outcome(ctx, err)
	if e != nil {
		return nil, e
	}
	return raw, nil
}

func checkCall(call Call) error {
	if call.Arguments != nil &&
		(!bytes.HasPrefix(bytes.TrimLeft(call.Arguments, " \t\r\n"), []byte("{")) || !json.Valid(call.Arguments)) {
		return notSent(StageCall, "the arguments are not a JSON object")
	}
	if len(call.IdempotencyKey) > 255 || CheckHeader("Key", call.IdempotencyKey) != nil {
		return notSent(StageCall, "the idempotency key cannot be sent as a header")
	}
	return nil
}
