package admission

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// lag is how long it may take until a run that has begun or ended is in the count. Until then this process's own memory stands for
	// it.
	lag = 2 * time.Second
	// countTimeout bounds a count. It is made while a client waits.
	countTimeout = time.Second
	// trusted is how long a count stands that cannot be renewed.
	trusted = time.Minute
)

// How old a count may be before the next: of a key that has far to go to its limit, of one that is near it, and of one that is there.
const (
	recountFar  = 10 * time.Second
	recountNear = time.Second
	recountFull = 250 * time.Millisecond
)

// Count returns how many runs of a key are under way that began before a time, whichever process started them.
type Count[K comparable] func(ctx context.Context, key K, before time.Time) (int, error)

// Runs bounds the runs that a key has under way at the same time. How many there are, all processes together, a count says, which is
// asked for now and then. It is late, so what this process knows of its own runs goes before it: those that have begun since, and those
// that have ended. What others have begun within the last seconds is not known, so that several processes may together exceed a limit
// by what they start in that time.
//
// A count that fails opens no gate and closes none: for a minute the last one stands, and then what this process alone has under way,
// as far as it knows.
//
// It is safe for concurrent use.
type Runs[K comparable] struct {
	count  Count[K]
	logger *slog.Logger

	mu     sync.Mutex
	keys   map[K]*caller
	owners map[string]*caller // of the runs that this process remembers, by ID
}

// caller is what is known of a key.
type caller struct {
	counted int
	before  time.Time // the count has the runs that began before it
	at      time.Time // when it was asked for
	tried   time.Time // when a count was last asked for, even in vain
	asking  bool
	own     map[string]*run
}

// run is one that this process has started.
type run struct {
	began, ended time.Time
	watchers     int // who wait for its end, and will tell
}

// NewRuns returns the runs of keys, of which count knows how many there are.
func NewRuns[K comparable](count Count[K], logger *slog.Logger) *Runs[K] {
	return &Runs[K]{count: count, logger: logger, keys: map[K]*caller{}, owners: map[string]*caller{}}
}

// Begin takes the place of a run that is about to start, if the key has fewer under way than the limit; 0 is no limit. The returned
// function gives the place back if the run does not start after all. An ID that has a place already needs no other.
func (r *Runs[K]) Begin(ctx context.Context, key K, limit int, id string) (never func(), ok bool) {
	never = func() {}
	if limit <= 0 {
		return never, true
	}
	r.recount(ctx, key, limit)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.owners[id]; known {
		return never, true
	}
	c := r.caller(key)
	now := time.Now()
	if c.underWay(now) >= limit {
		return never, false
	}
	c.own[id], r.owners[id] = &run{began: now}, c
	return func() { r.forget(id) }, true
}

// Watch says that somebody waits for a run to end, and will say so with [Runs.Ended]. The returned function must be called when that
// is over.
func (r *Runs[K]) Watch(id string) (over func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.owners[id]
	if !ok {
		return func() {}
	}
	watched := c.own[id]
	watched.watchers++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		watched.watchers--
	}
}

// Ended says that a run has ended.
func (r *Runs[K]) Ended(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.owners[id]; ok && c.own[id].ended.IsZero() {
		c.own[id].ended = time.Now()
	}
}

func (r *Runs[K]) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.owners[id]; ok {
		delete(c.own, id)
		delete(r.owners, id)
	}
}

func (r *Runs[K]) caller(key K) *caller {
	c, ok := r.keys[key]
	if !ok {
		c = &caller{own: map[string]*run{}}
		r.keys[key] = c
	}
	return c
}

// underWay estimates how many runs of a key there are.
func (c *caller) underWay(now time.Time) int {
	trust := now.Sub(c.at) <= trusted
	n, known := 0, 0
	if trust {
		n = c.counted
	}
	for _, own := range c.own {
		inCount := trust && own.began.Before(c.before)
		if own.ended.IsZero() {
			known++
		}
		switch {
		case own.ended.IsZero() && !inCount:
			n++
		case !own.ended.IsZero() && inCount:
			n-- // it was counted, or would have been if the count were not late
		}
	}
	return max(n, known)
}

// recount asks for a new count if one is due. While it is under way, others go on with the last one.
func (r *Runs[K]) recount(ctx context.Context, key K, limit int) {
	now := time.Now()
	if !r.due(key, limit, now) {
		return
	}
	before := now.Add(-lag)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	n, err := r.count(ctx, key, before)
	if err != nil {
		r.logger.WarnContext(ctx, "runs of a key could not be counted", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.caller(key)
	c.asking = false
	if err == nil {
		c.counted, c.before, c.at = n, before, now
	}
	r.prune(c, now)
}

// due reports whether a count must be asked for, and if so, that it is.
func (r *Runs[K]) due(key K, limit int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.caller(key)
	every := recountFar
	switch n := c.underWay(now); {
	case n >= limit:
		every = recountFull
	case n >= limit/2:
		every = recountNear
	}
	if c.asking || now.Sub(c.tried) < every {
		return false
	}
	c.asking, c.tried = true, now
	return true
}

// prune forgets the own runs that the count speaks for, and those of which nothing was heard for as long as a count is trusted.
func (r *Runs[K]) prune(c *caller, now time.Time) {
	for id, own := range c.own {
		heard := own.began
		if !own.ended.IsZero() {
			heard = own.ended
		}
		if own.watchers == 0 && (heard.Before(c.before) || now.Sub(heard) > trusted) {
			delete(c.own, id)
			delete(r.owners, id)
		}
	}
}
