package starter

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/responses"
	"perdure/internal/stream"
)

const (
	// pingEvery is how often a silent stream says that it is alive. Proxies cut connections that are silent for a minute.
	pingEvery = 15 * time.Second
	// markTimeout bounds one attempt to store the mark of the end.
	markTimeout = 3 * time.Second
	// logPatience is how long an event log may be away before streams end without it: longer than it takes to start a server again, or
	// a cluster to find a new leader.
	logPatience = 20 * time.Second
	// rereadAfter is how long to wait before the event log is asked again.
	rereadAfter = 250 * time.Millisecond
)

// sink takes the events of one stream to its client.
type sink interface {
	send(stream.Event) error
	// ping keeps a silent connection open.
	ping() error
}

// feed is a run's events on their way to one client.
type feed struct {
	s        *Starter
	run      client.WorkflowRun
	response *responses.Response
	dialect  responses.Dialect
	// after is the number of the last event that the client has, -1 when it has none.
	after int
	// hold keeps everything back until discovery is over, so that its failure can have an HTTP status.
	hold bool
	// fresh is [stream.Options.FreshIndexes].
	fresh bool

	sink sink
	held []stream.Event
}

// errLogAway is how a feed ends that could go on where its client was only with the event log, which is away for too long.
var errLogAway = errors.New("starter: the event log is away")

// errStopping is how a feed ends when this starter must stop. The run and its events are there for another.
var errStopping = errors.New("starter: stopping")

// follow sends the run's events to the sink until the last one. It returns an *responses.Error if the run came to nothing that a
// stream could say, which happens only while everything is held back; errStopping; or the error of the sink or of ctx.
func (f *feed) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(f.s.closing, cancel)
	defer stop()
	err := f.relay(ctx)
	if err != nil && f.s.closing.Err() != nil {
		return errStopping
	}
	return err
}

// relay makes the client's events of what the log tells, and of what the run came to.
//
// The log is read up to its mark that the run has ended, which is set once Temporal has recorded the end: so every reader sees the
// same events, and no client sees an end that a crash could undo.
//
// A log that is away is waited for. If that takes too long, it is made up for by what the run came to; but these are other events than
// those of the log, with other numbers, so that a client which goes on after an event of the log cannot have them.
func (f *feed) relay(ctx context.Context) error {
	renderer := stream.New(stream.Options{
		Response: f.response, Dialect: f.dialect, FreshIndexes: f.fresh, Item: f.item, Text: f.text,
	})
	if err := f.pass(renderer.Begin()); err != nil {
		return err
	}
	ends := make(chan result, 1)
	go func() {
		end, err := f.s.await(ctx, f.run)
		ends <- result{end, err}
	}()
	readCtx, stopReading := context.WithCancel(ctx)
	defer stopReading()
	log := f.s.read(readCtx, f.response.ID)
	ping := time.NewTicker(f.s.streamPing)
	defer ping.Stop()
	var last *end
	var late <-chan time.Time // when the mark of the end is waited for no longer
	for log != nil || last == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-log:
			if !open {
				log = nil
				continue
			}
			if e.Kind == events.Ended {
				stopReading()
				log = nil
				continue
			}
			if err := f.pass(renderer.Add(ctx, e)); err != nil {
				return err
			}
			if f.hold && renderer.Started() {
				f.hold = false
				if err := f.pass(nil, nil); err != nil {
					return err
				}
			}
		case r := <-ends:
			if r.err != nil {
				return r.err
			}
			ends = nil
			last = &r.end
			late = time.After(f.s.waitForLog())
			go f.s.mark(readCtx, f.response.ID)
		case <-late:
			if f.after >= 0 {
				return errLogAway
			}
			f.s.Logger.WarnContext(ctx, "event log is away, the stream ends without it", "response", f.response.ID)
			stopReading()
			log = nil
		case <-ping.C:
			if err := f.alive(ctx); err != nil {
				return err
			}
		}
	}
	if f.hold && last.shown != nil {
		return last.shown
	}
	f.hold = false
	final, err := f.s.complete(ctx, f.response, last.outcome, nil)
	if err != nil {
		return err
	}
	return f.pass(renderer.Finish(final))
}

// alive says to the client that its silent stream is alive, unless everything is held back. What ends that is an event of the log; while
// the log is away the run itself is asked, or a client would hear nothing for as long as the run takes.
func (f *feed) alive(ctx context.Context) error {
	switch {
	case !f.hold:
		return f.sink.ping()
	case f.s.Events.Away() > 0 && f.s.discovered(ctx, f.response.ID):
		f.hold = false
		return f.pass(nil, nil)
	default:
		return nil
	}
}

type result struct {
	end end
	err error
}

// pass sends events that the client does not have, or holds them back.
func (f *feed) pass(made []stream.Event, err error) error {
	if err != nil {
		return err
	}
	f.held = append(f.held, made...)
	if f.hold {
		return nil
	}
	for _, e := range f.held {
		if e.Sequence <= f.after {
			continue
		}
		if err := f.sink.send(e); err != nil {
			return err
		}
	}
	f.held = nil
	return nil
}

// read returns the events of a response's log, those that are there and those that come. The channel is closed after the last, or
// when ctx ends. A log that is away is asked again and again.
func (s *Starter) read(ctx context.Context, responseID string) <-chan events.Event {
	out := make(chan events.Event)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			err := s.readInto(ctx, responseID, out)
			if err == nil || ctx.Err() != nil {
				return
			}
			s.Logger.WarnContext(ctx, "events cannot be read, trying again", "response", responseID, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(rereadAfter):
			}
		}
	}()
	return out
}

// readInto reads until the mark of the run's end, or of ctx. While the log is away, the reader stays where it is.
func (s *Starter) readInto(ctx context.Context, responseID string, out chan<- events.Event) error {
	reader, err := s.Events.Read(ctx, responseID)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		e, err := reader.Next(ctx)
		switch {
		case errors.Is(err, events.ErrUnavailable):
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rereadAfter):
			}
		case err != nil:
			return err
		default:
			select {
			case <-ctx.Done():
				return nil
			case out <- e:
			}
			if e.Kind == events.Ended {
				return nil
			}
		}
	}
}

// waitForLog is how long the end of a stream waits for the event log. One that has been away for long is not expected back.
func (s *Starter) waitForLog() time.Duration {
	return max(s.logPatience-s.Events.Away(), min(s.logPatience, markTimeout))
}

// mark stores in the log that the run is over. A log that is away is asked again and again, until ctx ends.
func (s *Starter) mark(ctx context.Context, responseID string) {
	for {
		err := s.markOnce(ctx, responseID)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.Logger.WarnContext(ctx, "the end of a run cannot be marked in the event log, trying again", "response", responseID, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(rereadAfter):
		}
	}
}

func (s *Starter) markOnce(ctx context.Context, responseID string) error {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	return s.Events.End(ctx, responseID)
}

func (f *feed) item(ctx context.Context, v blob.Value) (responses.Item, error) {
	data, err := f.s.Blobs.For(f.response.ID).Bytes(ctx, v)
	if err != nil {
		return nil, err
	}
	return responses.UnmarshalItem(data)
}

func (f *feed) text(ctx context.Context, v blob.Value) (text string, err error) {
	err = f.s.Blobs.For(f.response.ID).Unpack(ctx, v, &text)
	return text, err
}

// needsFreshIndexes recognizes OpenAI's helper for JavaScript. From version 7 on it gives up a stream in which an output_index
// occurs twice, as that of an item does which replaces one that was abandoned.
func needsFreshIndexes(r *http.Request) bool {
	return r.Header.Get("X-Stainless-Lang") == "js" && r.Header.Get("X-Stainless-Helper-Method") == "stream"
}
