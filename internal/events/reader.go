package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"perdure/internal/blob"
)

const (
	// liveBuffer is how many events that come a reader holds. One that is slower misses the rest and fetches it, which costs the
	// server much more than to send it: it looks for the subject's events among those of all others.
	liveBuffer = 128
	// A silent reader looks whether it has missed something: soon at first, since a cluster may take a moment until all of its
	// servers know of a new reader, and seldom later.
	firstLook = 2 * time.Second
	lastLook  = 15 * time.Second
	// soon is when to look again for an event that is known to be there and was not found.
	soon = 20 * time.Millisecond
)

// Reader reads the events of one response, those that are stored and then those that come. Only one goroutine may use it.
//
// Many readers wait at the same time, so each is no more than a plain subscription, without a goroutine here and without a consumer
// at the server. The server sends each event on as soon as it has stored it, together with its own number and that of the event
// before. A reader whose last event was another has missed something, and fetches the events after its last one from the stream.
type Reader struct {
	log     *Log
	subject string // of the stored events
	sub     *nats.Subscription
	live    chan *nats.Msg

	ready  []*nats.Msg // read, and not yet returned
	last   uint64      // number of the last event that was read
	known  uint64      // number of an event that is known to be there
	behind bool        // there may be more to fetch
	epoch  uint64      // of the log's state
	look   time.Duration
	ended  bool
	// unreadable is set once that there are events which cannot be read was told.
	unreadable bool
}

// Read returns a reader of a response's events, from the first one on. It must be closed. Its error is ErrInvalidID, ErrUnavailable
// or ctx's.
func (l *Log) Read(ctx context.Context, responseID string) (*Reader, error) {
	if err := checkID(responseID); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, epoch, _ := l.state()
	r := &Reader{
		log: l, subject: eventPrefix + responseID, live: make(chan *nats.Msg, liveBuffer),
		behind: true, epoch: epoch, look: firstLook,
	}
	// First the events that come, then those that are stored: none falls between.
	var err error
	if r.sub, err = l.conn.ChanSubscribe(livePrefix+responseID, r.live); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return r, nil
}

// Close ends the reader.
func (r *Reader) Close() { _ = r.sub.Unsubscribe() }

// Next waits for the next event. Its error is ctx's; ErrUnavailable when the log is away, after which the next call goes on where
// this one was; or io.EOF after the [Ended] event.
func (r *Reader) Next(ctx context.Context) (Event, error) {
	for !r.ended {
		if len(r.ready) > 0 {
			e, known, err := r.take(ctx)
			if known || err != nil {
				return e, err
			}
			continue
		}
		if err := r.more(ctx); err != nil {
			return Event{}, err
		}
	}
	return Event{}, io.EOF
}

// more waits for messages, or for a reason to look for them.
func (r *Reader) more(ctx context.Context) error {
	if err := r.log.await(ctx, patience); err != nil {
		return err
	}
	_, epoch, changed := r.log.state()
	if epoch != r.epoch {
		r.epoch, r.behind, r.look = epoch, true, firstLook
	}
	// A buffer that is full has run over, or is about to.
	if r.behind || len(r.live) == cap(r.live) {
		return r.fetch(ctx, changed)
	}
	timer := time.NewTimer(r.look)
	defer timer.Stop()
	select {
	case m := <-r.live:
		r.receive(m)
	case <-timer.C:
		r.behind = true
		r.look = min(2*r.look, lastLook)
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// receive takes a message that came. It counts only if the one before it was the reader's last.
func (r *Reader) receive(m *nats.Msg) {
	number := headerNumber(m, jetstream.SequenceHeader)
	if number <= r.last {
		return
	}
	if headerNumber(m, jetstream.LastSequenceHeader) != r.last {
		r.known = number
		r.behind = true
		return
	}
	r.append(m, number)
}

func (r *Reader) append(m *nats.Msg, number uint64) {
	r.ready = append(r.ready, m)
	r.last = number
}

// take returns the next event that was read. An event that nobody can read is none, for all readers.
func (r *Reader) take(ctx context.Context) (e Event, known bool, err error) {
	m := r.ready[0]
	data := m.Data
	if ref := m.Header.Get(refHeader); ref != "" {
		data, err = r.log.blobs(r.subject).Get(ctx, blob.Ref(ref))
		switch {
		case ctx.Err() != nil:
			return Event{}, false, ctx.Err()
		case err != nil && !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrCorrupt):
			return Event{}, false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	r.ready[0] = nil
	if r.ready = r.ready[1:]; len(r.ready) == 0 {
		r.ready = nil
	}
	if err == nil && m.Header.Get(sealedHeader) != "" {
		data, err = r.log.open(data, r.subject)
	}
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		r.reportUnreadable(ctx, err)
		return Event{}, false, nil
	}
	r.ended = e.Kind == Ended
	return e, true, nil
}

// reportUnreadable tells of the first event that cannot be read: where a key is missing, there are many.
func (r *Reader) reportUnreadable(ctx context.Context, err error) {
	if r.unreadable {
		return
	}
	r.unreadable = true
	r.log.options.Logger.WarnContext(ctx, "an event cannot be read: this one, and others of the response like it, are shown when the run ends",
		"subject", r.subject, "error", err)
}

// headerNumber returns 0 for a header that is not there.
func headerNumber(m *nats.Msg, name string) uint64 {
	n, err := strconv.ParseUint(m.Header.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
