package mcpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"perdure/internal/egress"
)

// A serverStream is the long event stream of the SSE transport, on which all
// answers of a session come. A goroutine reads it, gives each answer to the
// exchange that waits for it, and passes on to the SDK what the SDK must see:
// where to send messages, requests of the server, which it declines, and
// stand-ins for answers. The stream lives as long as the session, not as long
// as the handshake that opened it.
type serverStream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	in     *boundedReader
	events eventScanner
	guard  *guard
	base   *url.URL

	mu      sync.Mutex
	changed *sync.Cond
	out     bytes.Buffer      // for the SDK
	pending map[string]waiter // by request ID
	ended   *Error            // why there will be no more
}

// A waiter is an exchange whose answer has to come. post ends its request,
// whose own answer does not matter once the stream has brought the real one.
type waiter struct {
	ex   *exchange
	post context.CancelFunc
}

// openStream begins the event stream of a session. Until the server has said
// where messages go, it belongs to the handshake.
func (g *guard) openStream(req *http.Request) (*http.Response, error) {
	ex, _ := req.Context().Value(exchangeKey{}).(*exchange)
	if ex == nil {
		return nil, notSent(StagePolicy, "a GET request was refused")
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(req.Context()))
	stop := context.AfterFunc(req.Context(), func() { cancel(context.Cause(req.Context())) })
	s, resp, err := g.receiveStream(ctx, req, ex)
	if err != nil {
		stop()
		cancel(nil)
		return nil, ex.fail(err)
	}
	s.cancel = cancel
	if err := s.endpoint(); err != nil {
		stop()
		s.Close()
		return nil, ex.fail(err)
	}
	stop()
	g.stream = s
	go s.run()
	resp.Body = s
	return resp, nil
}

func (g *guard) receiveStream(ctx context.Context, req *http.Request, ex *exchange) (*serverStream, *http.Response, *Error) {
	out := req.Clone(httptrace.WithClientTrace(ctx, ex.trace()))
	g.dress(out)
	resp, err := g.base.RoundTrip(out)
	if err != nil {
		return nil, nil, transportError(ctx, err, ex.phase())
	}
	ex.reached(phaseRead)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body.Close()
		return nil, nil, statusError(resp, g.header)
	}
	if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || mediaType != "text/event-stream" {
		resp.Body.Close()
		e := failure(StageProtocol, "it answered HTTP %d without an event stream; check that the URL is an SSE endpoint", resp.StatusCode)
		e.Status = resp.StatusCode
		return nil, nil, e
	}
	in := &boundedReader{r: resp.Body, limit: g.maxEvent}
	s := &serverStream{
		ctx: ctx, body: resp.Body, in: in, events: newEventScanner(in, g.maxEvent), guard: g, base: req.URL,
		pending: make(map[string]waiter),
	}
	s.changed = sync.NewCond(&s.mu)
	return s, resp, nil
}

// endpoint reads the first event, which says where messages go. Messages carry
// our credentials, so it has to be at the same origin.
func (s *serverStream) endpoint() *Error {
	e, ok := s.events.next()
	switch {
	case !ok:
		return s.reason()
	case e.name != "endpoint" || len(e.data) > egress.MaxURLBytes:
		return failure(StageProtocol, "its event stream does not begin with an endpoint; check that the URL is an SSE endpoint")
	}
	to, err := s.base.Parse(string(e.data))
	if err != nil || egress.OriginOf(to) != s.guard.origin {
		return failure(StagePolicy, "its event stream names an endpoint at another origin, which was refused")
	}
	fmt.Fprintf(&s.out, "event: endpoint\ndata: %s\n\n", to)
	return nil
}

// exchangeOnStream sends a message whose answer comes on the stream. A failure
// is given to the SDK as an answer: as an error of the transport it would end
// the session with all the calls in flight on it.
func (g *guard) exchangeOnStream(req *http.Request, ex *exchange, m message, body []byte) (*http.Response, error) {
	if g.stream == nil {
		return nil, notSent(StageProtocol, "the SDK sent a message before the stream was open")
	}
	if m.id == nil {
		return g.exchange(req, ex, m, body)
	}
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	if e := g.stream.expect(m.id, waiter{ex, cancel}); e != nil {
		return nil, ex.fail(e)
	}
	if _, err := g.exchange(req.WithContext(ctx), ex, m, body); err != nil {
		g.stream.forget(m.id)
	}
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// expect registers an exchange for the answer with this ID.
func (s *serverStream) expect(id json.RawMessage, w waiter) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		e := *s.ended
		e.Sent, e.stale = NotSent, true
		return &e
	}
	for key, other := range s.pending { // whose time ran out
		if other.ex.over() {
			delete(s.pending, key)
		}
	}
	s.pending[string(id)] = w
	return nil
}

// forget tells the SDK that there will be no answer with this ID, unless there
// was one.
func (s *serverStream) forget(id json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waits := s.pending[string(id)]; waits {
		delete(s.pending, string(id))
		s.writeLocked(noUsableAnswer(id))
	}
}

func (s *serverStream) writeLocked(message []byte) {
	writeEvent(&s.out, message)
	s.changed.Broadcast()
}

// run reads the stream to its end.
func (s *serverStream) run() {
	for {
		e, ok := s.events.next()
		if !ok {
			s.end(s.reason())
			return
		}
		if len(e.data) == 0 || e.name != "message" {
			continue
		}
		m, err := parseMessage(e.data)
		switch {
		case err != nil:
			s.end(failure(StageProtocol, "an event of its stream is not one JSON-RPC message"))
			return
		case m.method == "" && m.id != nil:
			s.answer(m)
		case m.method != "" && validID(m.id):
			if !s.guard.declines() {
				s.end(failure(StageProtocol, "it sent more than %d requests of its own at once", serverRequestsAtOnce))
				return
			}
			s.mu.Lock()
			s.writeLocked(m.withoutParams())
			s.mu.Unlock()
		}
	}
}

// answer gives an answer to the exchange that waits for it. One that nobody
// waits for is dropped.
func (s *serverStream) answer(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, waits := s.pending[string(m.id)]
	if !waits {
		return
	}
	ex := w.ex
	delete(s.pending, string(m.id))
	time.AfterFunc(drainGrace, w.post) // usually it is over by then
	s.in.limit = s.guard.maxEvent      // only what is not an answer counts
	if int64(len(m.raw)) > ex.maxBytes {
		ex.fail(tooLarge(ex.maxBytes))
		s.writeLocked(noUsableAnswer(m.id))
		return
	}
	s.writeLocked(ex.answered(m))
}

// end fails all who wait. The session goes with its stream.
func (s *serverStream) end(e *Error) {
	e.stale = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = e
		for _, w := range s.pending {
			own := *e
			w.ex.fail(&own)
			w.post()
		}
		clear(s.pending)
	}
	s.changed.Broadcast()
	s.cancel(nil)
	s.body.Close()
}

// reason describes why there was no further event.
func (s *serverStream) reason() *Error {
	if err := s.events.Err(); err != nil {
		return readError(s.ctx, err, s.guard.maxEvent)
	}
	e := failure(StageConnect, "its event stream ended")
	e.Temporary = true
	return e
}

// Read implements [io.Reader] for the SDK.
func (s *serverStream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.out.Len() == 0 {
		if s.ended != nil {
			return 0, io.EOF
		}
		s.changed.Wait()
	}
	return s.out.Read(p)
}

// Close ends the stream.
func (s *serverStream) Close() error {
	s.end(failure(StageCanceled, "its session was closed"))
	return nil
}
