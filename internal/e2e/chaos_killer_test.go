package e2e

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// killing is a part that was killed, and when it was back.
type killing struct {
	name, kind string
	at         time.Time
	back       time.Time // zero while it is away
}

// killer kills parts of a machine, one after another and several at a time.
type killer struct {
	machine *machine
	random  *rand.Rand
	kills   int
	pause   time.Duration // the longest between two kills, and that for which a part is away
	pace    *pace

	restarts sync.WaitGroup
	mu       sync.Mutex
	done     []*killing
}

// run kills until it has killed often enough, and returns when everything is back.
func (k *killer) run(ctx context.Context) {
	defer k.restarts.Wait()
	for range k.kills {
		k.pace.kill(ctx)
		for !k.kill(ctx) && ctx.Err() == nil {
		}
	}
}

// kill kills a part after a pause, unless there is none.
func (k *killer) kill(ctx context.Context) bool {
	if !pause(ctx, upTo(k.random, k.pause)) {
		return false
	}
	up := k.machine.allUp()
	if len(up) == 0 {
		return false
	}
	victim := up[k.random.IntN(len(up))]
	away := upTo(k.random, k.pause)
	at := time.Now()
	if !victim.kill() {
		return false
	}
	done := k.add(victim, at)
	k.restarts.Go(func() { k.restart(ctx, victim, done, away) })
	return true
}

// restart starts a part again after a time.
func (k *killer) restart(ctx context.Context, p *part, done *killing, away time.Duration) {
	pause(ctx, away)
	if err := k.machine.launch(ctx, p); err != nil {
		k.machine.fail(err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	done.back = time.Now()
}

func (k *killer) add(p *part, at time.Time) *killing {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := &killing{name: p.name, kind: p.kind, at: at}
	k.done = append(k.done, one)
	return one
}

func (k *killer) all() []*killing {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*killing(nil), k.done...)
}

// pace spreads the beginnings of clients and the kills over each other: neither gets far ahead.
type pace struct {
	clients, kills int // in all
	ahead          int // how many clients those that have begun may be ahead of the kills, and the other way round

	mu            sync.Mutex
	begun, killed int
	changed       chan struct{} // closed and replaced with each of both
}

func newPace(clients, kills, ahead int) *pace {
	return &pace{clients: clients, kills: kills, ahead: ahead, changed: make(chan struct{})}
}

// begin waits until the next client may begin.
func (p *pace) begin(ctx context.Context) {
	p.step(ctx, func() bool { return (p.begun-p.ahead)*p.kills <= p.killed*p.clients }, &p.begun)
}

// kill waits until the next kill may be.
func (p *pace) kill(ctx context.Context) {
	p.step(ctx, func() bool { return p.killed*p.clients <= (p.begun+p.ahead)*p.kills }, &p.killed)
}

func (p *pace) step(ctx context.Context, may func() bool, count *int) {
	for {
		p.mu.Lock()
		if may() {
			*count++
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
			return
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
