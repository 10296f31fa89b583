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
	pause   time.Duration // the longest between two kills

	restarts sync.WaitGroup
	mu       sync.Mutex
	done     []*killing
	more     chan struct{} // closed and replaced with each kill; closed for good when there are no more
	ended    bool
}

func newKiller(m *machine, r *rand.Rand, kills int, pause time.Duration) *killer {
	return &killer{machine: m, random: r, kills: kills, pause: pause, more: make(chan struct{})}
}

// run kills until it has killed often enough, and returns when everything is back.
func (k *killer) run(ctx context.Context) {
	defer k.restarts.Wait()
	defer k.end()
	for len(k.all()) < k.kills {
		if !pause(ctx, upTo(k.random, k.pause)) {
			return
		}
		up := k.machine.allUp()
		if len(up) == 0 {
			continue
		}
		victim := up[k.random.IntN(len(up))]
		away := upTo(k.random, k.pause)
		at := time.Now()
		if !victim.kill() {
			continue
		}
		done := k.add(victim, at)
		k.restarts.Go(func() { k.restart(ctx, victim, done, away) })
	}
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
	close(k.more)
	k.more = make(chan struct{})
	return one
}

func (k *killer) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	close(k.more)
}

func (k *killer) all() []*killing {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*killing(nil), k.done...)
}

// await waits until so many were killed, or nothing more will be.
func (k *killer) await(ctx context.Context, kills int) {
	for {
		k.mu.Lock()
		enough, more := k.ended || len(k.done) >= kills, k.more
		k.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-more:
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
