package starter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

// maxWaitingTurns is how many requests may wait on one WebSocket while a run is under way. All of them together may be as large as one
// request.
const maxWaitingTurns = 16

// listOrConnect lists responses, or opens a WebSocket for those who ask for one.
func (s *Starter) listOrConnect(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return s.listResponses(w, r, who)
	}
	// From here on the HTTP server may lose sight of it.
	s.sockets.Add(1)
	defer s.sockets.Done()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.Logger.InfoContext(r.Context(), "WebSocket refused", "request", requestID(w), "error", err)
		return nil // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }() // it is closed already, unless something panicked
	conn.SetReadLimit(s.Limits.Body)
	k := &socket{s: s, w: w, r: r, who: who, conn: conn, waiting: make(chan message, maxWaitingTurns)}
	k.serve(r.Context())
	return nil
}

// awaitSockets waits until all WebSockets are closed, or for ctx.
func (s *Starter) awaitSockets(ctx context.Context) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.sockets.Wait()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// socket is a client's WebSocket. Its requests are runs, one after the other.
type socket struct {
	s    *Starter
	w    http.ResponseWriter // for its headers only
	r    *http.Request
	who  identity.Principal // at the handshake; see [socket.caller]
	conn *websocket.Conn

	waiting chan message
	size    atomic.Int64 // of what is waiting, in bytes
	live    liveResponses

	// open ends when the connection is cut, which the library does with every context that ends while it reads or writes.
	open context.Context
	// end is called by whoever finds that the socket must close.
	end context.CancelCauseFunc
}

// message is what a client has sent. Its memory counts until it is done.
type message struct {
	data   []byte
	memory *metered
}

// closing is why a socket closes, in the words of the protocol. The reason has 125 bytes at most.
type closing struct {
	code   websocket.StatusCode
	reason string
}

func (c *closing) Error() string { return c.reason }

// serve runs what the client asks for until either side ends the connection.
func (k *socket) serve(ctx context.Context) {
	var cut context.CancelFunc
	k.open, cut = context.WithCancel(ctx)
	ctx, k.end = context.WithCancelCause(k.open)
	var helpers sync.WaitGroup
	defer func() { // also when a turn panics
		cut()
		helpers.Wait()
		close(k.waiting)
		for m := range k.waiting {
			m.memory.done()
		}
	}()
	helpers.Go(func() { k.read(ctx) })
	helpers.Go(func() { k.beat(ctx) })
	k.end(k.turns(ctx))
	k.close(ctx, cut)
}

// turns makes the runs. Its error is a [*closing].
func (k *socket) turns(ctx context.Context) error {
	idle := time.NewTimer(k.s.socketIdle)
	defer idle.Stop()
	for {
		if k.s.stopping.Err() != nil {
			return &closing{websocket.StatusGoingAway, "this server is stopping"}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-k.s.stopping.Done():
		case <-idle.C:
			return &closing{websocket.StatusGoingAway, fmt.Sprintf("no request for %v", k.s.socketIdle)}
		case m := <-k.waiting:
			k.size.Add(-int64(len(m.data)))
			if err := k.turn(ctx, m); err != nil {
				return err
			}
			idle.Reset(k.s.socketIdle)
		}
	}
}

// turn makes a run of a message, or says why it cannot. Its error is a [*closing].
func (k *socket) turn(ctx context.Context, m message) error {
	defer m.memory.done()
	who, err := k.caller(ctx)
	if shown := (*responses.Error)(nil); errors.As(err, &shown) {
		k.sendError(err)
		return &closing{websocket.StatusPolicyViolation, "the API key is not good for this any more: it was revoked, or has expired"}
	}
	var req *responses.Request
	if err == nil {
		req, err = k.decode(who, m.data)
	}
	if err == nil {
		previous := req.PreviousResponseID
		var id string
		if id, err = k.run(ctx, who, req, m.memory); err != nil || id == "" {
			// What could not be continued may be broken.
			k.live.remove(previous)
		} else {
			k.live.add(id)
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errStopping):
		return &closing{websocket.StatusGoingAway, "this server is stopping; the run goes on"}
	case err != nil:
		k.sendError(err)
	}
	return nil
}

// caller finds out anew whose the key of the handshake is: a socket may be open for long, and a key be revoked meanwhile, or its owner
// removed. Its error is a [*responses.Error] if the key is not good for runs any more, and another if that is not known.
func (k *socket) caller(ctx context.Context) (identity.Principal, error) {
	key, _ := bearer(k.r)
	who, ok, err := k.s.callers.ofKey(ctx, key)
	if err == nil && !ok {
		err = unauthorized("the API key was revoked, or has expired; open another WebSocket with a key that is good")
	}
	if err == nil {
		err = requireScope(who, identity.ScopeResponses)
	}
	return who, err
}

// decode reads a message, if the rate of the client's key allows another request.
func (k *socket) decode(who identity.Principal, data []byte) (*responses.Request, error) {
	if _, err := k.s.takeRequest(who); err != nil {
		return nil, err
	}
	return responses.DecodeCreateEvent(data, k.s.dialect(k.r))
}

// run starts a run and sends its events. It returns the response's ID, or none if the run has failed. Memory is that of the request,
// which is needed no longer when the run has begun.
func (k *socket) run(ctx context.Context, who identity.Principal, req *responses.Request, memory *metered) (string, error) {
	b, err := k.s.admit(ctx, who, req, call{dialect: k.s.dialect(k.r), request: requestID(k.w), live: k.live.ids(), memory: memory})
	if err != nil {
		return "", err
	}
	memory.keep(int64(b.size))
	out := &socketSink{k: k}
	f := &feed{s: k.s, run: b.run, response: b.response, dialect: k.s.dialect(k.r), after: -1, hold: true, sink: out}
	err = f.follow(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, errStopping) {
		k.s.abandon(ctx, b)
	}
	if err != nil || out.last == "response.failed" {
		return "", err
	}
	return b.response.ID, nil
}

// read takes the client's messages until the connection ends. It never waits for a run, so that the client's pongs are heard.
func (k *socket) read(ctx context.Context) {
	for {
		kind, m, err := k.readMessage()
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			k.end(&closing{websocket.StatusTryAgainLater, refused.shown.Message})
			return
		case err != nil:
			k.end(&closing{websocket.StatusNormalClosure, "the client left"})
			return
		case ctx.Err() != nil: // the client does not know yet that the socket closes
			m.memory.done()
		case kind != websocket.MessageText:
			m.memory.done()
			k.end(&closing{websocket.StatusUnsupportedData, "messages must be text"})
		case !k.enqueue(m):
			m.memory.done()
			k.sendError(&responses.Error{
				Status: http.StatusTooManyRequests, Type: responses.ErrRateLimited,
				Message: "too many requests are waiting on this WebSocket; wait for the last event of one before you send another",
			})
		}
	}
}

// readMessage reads the next message. A refusal means that there is no memory for it; the rest of it is not read.
func (k *socket) readMessage() (websocket.MessageType, message, error) {
	kind, reader, err := k.conn.Reader(k.open)
	if err != nil {
		return 0, message{}, err
	}
	body := k.s.metered(reader, k.who)
	data, err := io.ReadAll(body)
	if err != nil {
		body.done()
		return 0, message{}, err
	}
	return kind, message{data, body}, nil
}

func (k *socket) enqueue(m message) bool {
	n := int64(len(m.data))
	if k.size.Add(n) <= k.s.Limits.Body {
		select {
		case k.waiting <- m:
			return true
		default:
		}
	}
	k.size.Add(-n)
	return false
}

// beat asks the client again and again whether it is there.
func (k *socket) beat(ctx context.Context) {
	tick := time.NewTicker(k.s.socketPing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if k.within("client does not answer: no pong for", k.conn.Ping) != nil {
			return
		}
	}
}

// close tells the client why, if it can be told, and gives it a moment to answer.
func (k *socket) close(ctx context.Context, cut context.CancelFunc) {
	why := &closing{websocket.StatusInternalError, "something went wrong"}
	errors.As(context.Cause(ctx), &why)
	timer := time.AfterFunc(lastWords, cut)
	defer timer.Stop()
	err := k.conn.Close(why.code, why.reason)
	k.s.Logger.InfoContext(ctx, "WebSocket closed", "request", requestID(k.w), "reason", why.reason, "error", err)
}
