package starter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"

	"perdure/internal/responses"
	"perdure/internal/stream"
)

// socketSink sends the events of one run over a WebSocket.
type socketSink struct {
	k    *socket
	last string // the type of the last event
}

func (o *socketSink) send(e stream.Event) error {
	o.last = e.Type
	return o.k.write(e.Data)
}

// ping does nothing: the socket has pings of its own, between runs as well.
func (o *socketSink) ping() error { return nil }

// write sends one message. A client that does not take it in time loses the connection.
func (k *socket) write(message []byte) error {
	return k.within("client too slow: it took no data for", func(ctx context.Context) error {
		return k.conn.Write(ctx, websocket.MessageText, message)
	})
}

// within does one thing with the connection, for as long as a slow client may take. If that is not enough, the socket ends and the
// reason says so, which must be settled before the connection is cut: whoever reads then sees only that it has ended.
func (k *socket) within(reason string, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(k.open)
	defer cancel()
	timer := time.AfterFunc(k.s.slowClient, func() {
		k.end(&closing{websocket.StatusPolicyViolation, fmt.Sprintf("%s %v", reason, k.s.slowClient)})
		cancel()
	})
	defer timer.Stop()
	err := do(ctx)
	if err != nil {
		k.end(&closing{websocket.StatusNormalClosure, "the client left"})
	}
	return err
}

// sendError tells the client of an error, in the form that OpenAI gives it on a WebSocket. If that fails, the socket ends.
func (k *socket) sendError(err error) {
	shown := k.s.shown(k.w, k.r, err)
	body, err := shown.MarshalWire(responses.DialectOpenAI)
	if err != nil {
		k.s.Logger.ErrorContext(k.open, "error could not be rendered", "request", requestID(k.w), "error", err)
		return
	}
	_ = k.write(append(fmt.Appendf(nil, `{"type":"error","status":%d,`, shown.Status), body[1:]...)) // it ends the socket itself
}

// maxLiveResponses is how many responses a WebSocket remembers.
const maxLiveResponses = 64

// liveResponses are the last responses of a WebSocket. On it they can be continued even if they are not stored.
type liveResponses struct{ order []string }

func (l *liveResponses) add(id string) {
	l.order = append(l.order, id)
	if len(l.order) > maxLiveResponses {
		l.order = slices.Delete(l.order, 0, 1)
	}
}

func (l *liveResponses) remove(id string) {
	l.order = slices.DeleteFunc(l.order, func(other string) bool { return other == id })
}

// ids is never nil, which tells a WebSocket's requests from others.
func (l *liveResponses) ids() map[string]bool {
	ids := make(map[string]bool, len(l.order))
	for _, id := range l.order {
		ids[id] = true
	}
	return ids
}
