package events

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"perdure/internal/blob"
)

const (
	// flushTime is how long Flush waits at most.
	flushTime = time.Second
	// inlineBytes is the size of the largest event that travels in a message of its own: a reader holds [liveBuffer] of them.
	inlineBytes = 64 << 10
	// headroom is what a message needs beside the event, for the headers that we and the server add.
	headroom = 4 << 10
	// refHeader names the blob that holds the event.
	refHeader = "Perdure-Blob"
)

// Step publishes the events of one attempt at a step, in order. It is safe for concurrent use.
type Step struct {
	log     *Log
	subject string // empty when the ID was invalid
	prefix  string // of the IDs of messages

	publishing sync.Mutex // keeps the order
	number     int
	latest     *delivery

	mu     sync.Mutex
	onWay  int
	landed chan struct{} // closed when nothing is on its way; nil while nothing is
}

// Step returns what publishes the events of one attempt at a step. The key names the step and the attempt: an event that is
// published twice under the same key and number is stored once.
func (l *Log) Step(responseID, key string) *Step {
	s := &Step{log: l, prefix: responseID + "/" + key + "/"}
	if err := checkID(responseID); err != nil {
		l.options.Logger.Error("events of a step are dropped", "error", err)
		return s
	}
	s.subject = eventPrefix + responseID
	return s
}

// Publish hands an event to the log and returns at once. It is best effort: while the log is away, events are dropped, and so they
// are when more are on their way than may be. A delta that continues one which still waits becomes a part of that.
func (s *Step) Publish(e Event) {
	if s.subject == "" {
		return
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	p := s.log.publisher
	if p.extend(s.latest, e) {
		return
	}
	s.latest = nil
	s.number++
	if !s.log.Healthy() {
		p.drop(nil)
		return
	}
	m := nats.NewMsg(s.subject)
	m.Header.Set(jetstream.MsgIDHeader, s.prefix+strconv.Itoa(s.number))
	d, err := newDelivery(s, m, e)
	if err != nil {
		p.drop(err)
		return
	}
	if p.add(d) {
		s.latest = d
	}
}

// fill puts an event into a message, or a reference to it if it is large.
func (l *Log) fill(m *nats.Msg, e Event) error {
	data, err := e.Encode()
	if err != nil {
		return fmt.Errorf("events: encode: %w", err)
	}
	if len(data) <= min(inlineBytes, int(l.conn.MaxPayload())-headroom) {
		return l.put(m, e.Kind, data)
	}
	ref, err := l.blobs(m.Subject).Put(l.ctx, data)
	if err != nil {
		return err
	}
	m.Header.Set(refHeader, string(ref))
	return nil
}

// blobs is where the large events of a subject are.
func (l *Log) blobs(subject string) *blob.Store {
	return l.options.Blobs.ForEvents(strings.TrimPrefix(subject, eventPrefix))
}

// Flush waits until the log has stored what was published, or a second has passed, or ctx ends. Afterwards the events stand before
// any that are published later, by anyone.
func (s *Step) Flush(ctx context.Context) {
	s.mu.Lock()
	landed := s.landed
	s.mu.Unlock()
	if landed == nil {
		return
	}
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	select {
	case <-landed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *Step) departed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onWay++
	if s.landed == nil {
		s.landed = make(chan struct{})
	}
}

func (s *Step) arrived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onWay--; s.onWay == 0 {
		close(s.landed)
		s.landed = nil
	}
}
