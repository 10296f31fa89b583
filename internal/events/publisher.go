package events

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxPending and maxPendingBytes bound the events that are on their way, of all steps together.
	maxPending      = 32 << 10
	maxPendingBytes = 32 << 20
	// maxFlying is how many of them may be under way to the server. The others wait here, where deltas can grow.
	maxFlying = 256
	// ackTimeout is how long the server may take to say that it has stored an event.
	ackTimeout = 5 * time.Second
	// tellEvery is how often losses are told of while the log can be reached.
	tellEvery = 10 * time.Second
)

var errTooMany = errors.New("events: more events are on their way than the log takes")

// publisher sends events one after another, so that no step waits for the network.
type publisher struct {
	log   *Log
	queue chan *delivery // as large as maxPending, so that add never waits
	// flying has an entry for each message that is under way.
	flying chan struct{}

	mu      sync.Mutex
	pending map[*nats.Msg]*delivery
	bytes   int
	dropped int // since it was last told
	told    time.Time
}

func newPublisher(l *Log) *publisher {
	return &publisher{
		log: l, queue: make(chan *delivery, maxPending), flying: make(chan struct{}, maxFlying), pending: map[*nats.Msg]*delivery{},
	}
}

// extend adds an event to one that waits, if it continues that.
func (p *publisher) extend(d *delivery, e Event) bool {
	if d == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !d.take(e) {
		return false
	}
	d.size += len(e.Delta.Text)
	p.bytes += len(e.Delta.Text)
	return true
}

// add takes an event into the queue, or drops it and returns false.
func (p *publisher) add(d *delivery) bool {
	p.mu.Lock()
	if len(p.pending) >= maxPending || p.bytes+d.size > maxPendingBytes {
		p.mu.Unlock()
		p.drop(errTooMany)
		return false
	}
	p.pending[d.msg] = d
	p.bytes += d.size
	d.step.departed()
	p.queue <- d
	p.mu.Unlock()
	return true
}

// store sends a message after all that this process has added before, and waits until it is stored.
func (p *publisher) store(ctx context.Context, m *nats.Msg) error {
	d := &delivery{step: &Step{log: p.log}, msg: m, size: len(m.Data), settled: make(chan error, 1)}
	if !p.add(d) {
		return errTooMany
	}
	select {
	case err := <-d.settled:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run sends what is in the queue until the log is closed.
func (p *publisher) run() {
	for {
		select {
		case d := <-p.queue:
			p.send(d, p.place())
		case <-p.log.ctx.Done():
			for {
				select {
				case d := <-p.queue:
					p.send(d, false)
				default:
					return
				}
			}
		}
	}
}

// place waits for a place under way to the server. A log that is away or closed has none, and nothing to wait for.
func (p *publisher) place() bool {
	for {
		ready, _, changed := p.log.state()
		if !ready {
			return false
		}
		select {
		case p.flying <- struct{}{}:
			return true
		case <-changed:
		case <-p.log.ctx.Done():
			return false
		}
	}
}

func (p *publisher) send(d *delivery, placed bool) {
	p.mu.Lock()
	waited := d.waiting
	d.waiting, d.placed = false, placed
	p.mu.Unlock()
	if waited {
		if err := p.log.fill(d.msg, d.event); err != nil {
			p.settle(d.msg, err)
			return
		}
	}
	// Whoever tries again would change the order of events.
	if _, err := p.log.js.PublishMsgAsync(d.msg, jetstream.WithRetryAttempts(0)); err != nil {
		p.settle(d.msg, err)
	}
}

// settle ends the way of a message: it is stored, or lost.
func (p *publisher) settle(m *nats.Msg, err error) {
	p.mu.Lock()
	d, ok := p.pending[m]
	delete(p.pending, m)
	if ok {
		p.bytes -= d.size
	}
	p.mu.Unlock()
	if !ok {
		return
	}
	if d.placed {
		<-p.flying
	}
	d.step.arrived()
	if d.settled != nil {
		d.settled <- err
	}
	if err != nil {
		p.drop(err)
		p.log.look() // the stream may be gone
	}
}

// drop counts an event that is lost. The reason is told now and then, but not while the log is away, which was told already.
func (p *publisher) drop(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped++
	if reason == nil || !p.log.Healthy() || time.Since(p.told) < tellEvery {
		return
	}
	p.log.options.Logger.Warn("events were dropped", "count", p.dropped, "error", reason)
	p.dropped = 0
	p.told = time.Now()
}

// takeDropped returns how many events were dropped since that was last told.
func (p *publisher) takeDropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.dropped
	p.dropped = 0
	return n
}
