package mcpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type refusingTransport struct{ t *testing.T }

func (r refusingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	r.t.Error("the message was sent")
	return nil, errors.New("refused")
}

// The stream ends when a call waits for its answer already, but has not been sent yet. It can be made on another stream then.
func TestStreamEndsBeforeTheMessageIsSent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	s := &serverStream{ctx: ctx, cancel: cancel, body: http.NoBody, pending: make(map[string]waiter)}
	s.changed = sync.NewCond(&s.mu)
	g := &guard{base: refusingTransport{t}, sse: true, stream: s}
	ex := &exchange{methods: []string{methodCall}, beforeSend: func(context.Context) error {
		t.Error("the call was recorded as sent")
		return nil
	}}
	post, endPost := context.WithCancel(t.Context())
	defer endPost()
	id := json.RawMessage("7")
	if e := s.expect(id, waiter{ex, endPost}); e != nil {
		t.Fatal(e)
	}
	s.end(failure(StageConnect, "its event stream ended"))

	req, err := http.NewRequestWithContext(post, http.MethodPost, "http://127.0.0.1/messages", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := g.exchange(req, ex, message{id: id, method: methodCall}, []byte("{}")); err == nil {
		resp.Body.Close()
		t.Error("there is an answer")
	}
	if _, e := ex.outcome(t.Context(), nil); e == nil || !e.stale || e.Sent != NotSent || e.Stage != StageConnect {
		t.Errorf("the outcome is %+v", e)
	}
}

// The SDK itself sees that the stream ended, before or after it has begun to send.
func TestStreamEndsBeforeTheSDKSends(t *testing.T) {
	t.Parallel()
	for _, err := range []error{mcp.ErrConnectionClosed, io.EOF} {
		ex := &exchange{methods: []string{methodCall}}
		_, e := ex.outcome(t.Context(), fmt.Errorf("calling %q: %w", methodCall, err))
		if e == nil || !e.stale || !e.Temporary || e.Sent != NotSent {
			t.Errorf("%v: the outcome is %+v", err, e)
		}
		sent := newGate([]byte("{}"))
		if _, err := io.ReadAll(sent); err != nil {
			t.Fatal(err)
		}
		ex = &exchange{methods: []string{methodCall}, body: sent}
		if _, e := ex.outcome(t.Context(), err); e == nil || !e.stale || !e.Temporary || e.Sent != Unknown {
			t.Errorf("%v after the message was sent: the outcome is %+v", err, e)
		}
	}
}
