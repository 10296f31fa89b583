package mcpclient

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"
)

const (
	versionHeader = "Mcp-Protocol-Version"
	lastEvent     = "Last-Event-Id"

	// defaultResumeDelay is how long to wait where the server does not say.
	defaultResumeDelay = time.Second
	minResumeDelay     = 100 * time.Millisecond
	maxResumeDelay     = time.Minute
	// maxIdleResumes bounds how often in a row a stream may be resumed without
	// one new event. How often with is bounded by the operation's time.
	maxIdleResumes = 20
	// maxEventID bounds what we send back.
	maxEventID = 1 << 10
)

// A reopener goes on with a stream behind the event with this ID.
type reopener func(ctx context.Context, id string) (io.ReadCloser, *Error)

// A resumption is what a stream needs to be resumed. Servers close streams on
// purpose while a tool works, or a connection breaks; those that give events
// IDs have the rest when asked for it. That is no second call: nothing is sent
// but the question.
type resumption struct {
	reopen reopener
	id     string
	delay  time.Duration
	idle   int // resumptions since the last new ID
}

// note takes from an event what resuming needs.
func (r *resumption) note(e event) {
	if e.id != "" && len(e.id) <= maxEventID && !strings.ContainsFunc(e.id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		if e.id != r.id {
			r.idle = 0
		}
		r.id = e.id
	}
	if ms, err := strconv.ParseUint(e.retry, 10, 31); err == nil {
		r.delay = min(max(time.Duration(ms)*time.Millisecond, minResumeDelay), maxResumeDelay)
	}
}

// goOn resumes the stream after its end, or fails it.
func (s *eventStream) goOn() {
	ended := s.ended()
	if s.resume.reopen == nil || s.resume.id == "" || s.resume.idle >= maxIdleResumes || s.in.limit < 0 || s.ctx.Err() != nil {
		s.fail(ended)
		return
	}
	s.resume.idle++
	s.body.Close()
	timer := time.NewTimer(s.resume.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		s.fail(endOfContext(context.Cause(s.ctx), phaseRead.String()))
		return
	}
	body, e := s.resume.reopen(s.ctx, s.resume.id)
	if e != nil {
		s.fail(e)
		return
	}
	s.read(body)
}

// reopener returns how the stream that answers a request is resumed. The
// versions since 2026-07-28 have no way.
func (g *guard) reopener(answered *http.Request, ex *exchange) reopener {
	if answered.Header.Get(versionHeader) >= statelessVersion {
		return nil
	}
	return func(ctx context.Context, id string) (io.ReadCloser, *Error) {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, ex.trace()), http.MethodGet, answered.URL.String(), nil)
		if err != nil {
			return nil, failure(StageProtocol, "its event stream could not be resumed")
		}
		for _, name := range []string{sessionHeader, versionHeader} {
			if v := answered.Header.Get(name); v != "" {
				req.Header.Set(name, v)
			}
		}
		req.Header.Set("Accept", "text/event-stream")
		g.dress(req)
		req.Header.Set(lastEvent, id)
		resp, err := g.base.RoundTrip(req)
		if err != nil {
			return nil, transportError(ctx, err, phaseRead)
		}
		if resp.StatusCode == http.StatusOK {
			if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && mediaType == "text/event-stream" {
				return resp.Body, nil
			}
		}
		resp.Body.Close()
		e := failure(StageProtocol, "its event stream ended without the answer, and asked for the rest it answered HTTP %d", resp.StatusCode)
		// What was refused is the question, not the call, whose fate is open.
		e.Status, e.Sent, e.Temporary = resp.StatusCode, Unknown, true
		return nil, e
	}
}
