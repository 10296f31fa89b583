package starter

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"perdure/internal/responses"
	"perdure/internal/stream"
)

// streamRun answers with the events of a run that this request has started. A failure of discovery is still an HTTP status.
func (s *Starter) streamRun(w http.ResponseWriter, r *http.Request, b *begun) error {
	f := &feed{
		s: s, run: b.run, response: b.response, dialect: s.dialect(r), after: -1, hold: !b.response.Background, fresh: needsFreshIndexes(r),
	}
	defer func() { // also when the answer is aborted
		// A client that takes its events too slowly for a starter that stops is cut off by that, and goes on elsewhere.
		if r.Context().Err() != nil && s.closing.Err() == nil {
			s.abandon(r.Context(), b)
		}
	}()
	return s.serveEvents(w, r, f)
}

// streamStored answers with the events of a stored response, after the given one.
func (s *Starter) streamStored(w http.ResponseWriter, r *http.Request, e *envelope, after int) error {
	if age := time.Since(e.created); age > s.EventAge {
		return responses.Invalid("stream", "the events of this response are no longer kept: it began more than %v ago; poll it with GET, "+
			"without stream", s.EventAge)
	}
	return s.serveEvents(w, r, &feed{
		s: s, run: s.Temporal.GetWorkflow(r.Context(), e.response.ID, ""), response: e.response, dialect: s.dialect(r), after: after,
		fresh: needsFreshIndexes(r),
	})
}

func (s *Starter) serveEvents(w http.ResponseWriter, r *http.Request, f *feed) error {
	out := &sseSink{w: w, control: http.NewResponseController(w), timeout: s.slowClient}
	f.sink = out
	var err error
	if f.after >= 0 {
		// The next event may be long in coming, and clients wait for headers with less patience.
		err = out.open()
	}
	if err == nil {
		err = f.follow(r.Context())
	}
	if err == nil {
		err = out.done()
	}
	switch {
	case err == nil:
		return nil
	case !out.begun && errors.Is(err, errStopping):
		return s.stoppingError(f.response.ID)
	case !out.begun:
		return err
	}
	// The answer has begun, so it can only be cut off: what looked like its end would be taken for the end of the run.
	reason := "the event stream broke off"
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = fmt.Sprintf("client too slow: it took no data for %v", s.slowClient)
	case errors.Is(err, errLogAway):
		reason = "the event log is away"
	case errors.Is(err, errStopping):
		reason = "this server is stopping"
	case r.Context().Err() != nil:
		reason = "the client left"
	}
	s.Logger.InfoContext(r.Context(), "stream cut", "request", requestID(w), "response", f.response.ID, "reason", reason, "error", err)
	panic(http.ErrAbortHandler)
}

// sseSink writes server-sent events.
type sseSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // for one event
	begun   bool
	buffer  []byte
}

// begin sends the headers. X-Accel-Buffering keeps nginx from holding events back.
func (o *sseSink) begin() {
	if o.begun {
		return
	}
	o.begun = true
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	o.w.WriteHeader(http.StatusOK)
}

// open sends the headers ahead of the first event.
func (o *sseSink) open() error {
	o.begin()
	return o.control.Flush()
}

func (o *sseSink) send(e stream.Event) error {
	b := append(o.buffer[:0], "event: "...)
	b = append(b, e.Type...)
	b = append(b, "\ndata: "...)
	b = append(b, e.Data...)
	b = append(b, "\n\n"...)
	return o.write(b)
}

func (o *sseSink) ping() error { return o.write(append(o.buffer[:0], ": ping\n\n"...)) }

func (o *sseSink) done() error { return o.write(append(o.buffer[:0], "data: [DONE]\n\n"...)) }

// maxKeptBuffer is the largest buffer that an idle stream keeps.
const maxKeptBuffer = 4 << 10

// write sends one event in one piece: some clients lose an event that comes in two.
func (o *sseSink) write(b []byte) error {
	o.begin()
	if cap(b) <= maxKeptBuffer {
		o.buffer = b
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	return o.control.Flush()
}
