package admission

import (
	"context"
	"errors"
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

// crowded is how many runs of a key this process may remember before a count is due as often as near the limit. A count is when it
// forgets runs, so memory holds what one key starts in a second and these, however many short runs it has.
const crowded = 4096

// Count returns how many runs of a key are under way that began before a time, whichever process started them.
type Count[K comparable] func(ctx context.Context, key K, before time.Time) (int, error)

// Runs bounds the runs that a key has under way at the same time. How many there are, all processes together, a count says, which is
// asked for now and then. It is late, so what this process knows of its own runs goes before it: those that have begun since, and those
// that have ended. What others have begun or ended within the last seconds is not known, so that several processes may together exceed a
// limit by what they start in that time. Clocks are taken to differ by less than the lag.
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

	own map[string]*run
	// Sums over own: the runs that have not ended, those of them that the count lacks, and those that it has although they have ended.
	alive, fresh, over int
}

// run is one that this process has started.
type run struct {
	began, ended time.Time
	counted      bool // it began early enough, and ended late enough if it has, to be in the count
	takers       int  // who took its place and have not given it back: they started it, or do not know whether they did
	watchers     int  // who wait for its end, and will tell
}

// NewRuns returns the runs of keys, of which count knows how many there are.
func NewRuns[K comparable](count Count[K], logger *slog.Logger) *Runs[K] {
	return &Runs[K]{count: count, logger: logger, keys: map[K]*caller{}, owners: map[string]*caller{}}
}

// Begin takes the place of a run that is about to start, if the key has fewer under way than the limit; 0 is no limit. The returned
// function gives the place back if the run does not start after all. An ID that has a place already needs no other, whoever took it.
func (r *Runs[K]) Begin(ctx context.Context, key K, limit int, id string) (never func(), ok bool) {
	if limit <= 0 {
		return func() {}, true
	}
	r.recount(ctx, key, limit)
	r.mu.Lock()
	defer r.mu.Unlock()
	c, known := r.owners[id]
	if !known {
		c = r.caller(key)
		now := time.Now()
		if c.underWay(now) >= limit {
			return func() {}, false
		}
		c.own[id], r.owners[id] = &run{began: now}, c
		c.alive++
		c.fresh++
	}
	taken := c.own[id]
	taken.takers++
	return func() { r.never(id, taken) }, true
}

// never takes back that a run was begun. Others may have begun the same one.
func (r *Runs[K]) never(id string, taken *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken.takers--
	if c := r.owners[id]; taken.takers == 0 && c != nil && c.own[id] == taken {
		r.forget(c, id)
	}
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
	c, ok := r.owners[id]
	if !ok || !c.own[id].ended.IsZero() {
		return
	}
	own := c.own[id]
	c.sum(own, -1)
	own.ended = time.Now()
	c.sum(own, 1)
}

func (r *Runs[K]) forget(c *caller, id string) {
	c.sum(c.own[id], -1)
	delete(c.own, id)
	delete(r.owners, id)
}

func (r *Runs[K]) caller(key K) *caller {
	c, ok := r.keys[key]
	if !ok {
		c = &caller{own: map[string]*run{}}
		r.keys[key] = c
	}
	return c
}

// sum adds a run to the sums, or takes it out of them.
func (c *caller) sum(own *run, n int) {
	alive := own.ended.IsZero()
	switch {
	case alive && !own.counted:
		c.fresh += n
	case !alive && own.counted:
		c.over += n // it was counted, or would have been if the count were not late
	}
	if alive {
		c.alive += n
	}
}

// underWay estimates how many runs of a key there are.
func (c *caller) underWay(now time.Time) int {
	if now.Sub(c.at) > trusted {
		return c.alive
	}
	return max(c.counted+c.fresh-c.over, c.alive)
}

// recount asks for a new count if one is due. While it is under way, others go on with the last one.
func (r *Runs[K]) recount(ctx context.Context, key K, limit int) {
	now := time.Now()
	if !r.due(key, limit, now) {
		return
	}
	before := now.Add(-lag)
	n, err := 0, errNotCounted
	defer func() { r.learn(key, now, before, n, err) }() // also if the count panics: another must be possible
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	if n, err = r.count(ctx, key, before); err != nil {
		r.logger.WarnContext(ctx, "runs of a key could not be counted", "error", err)
	}
}

var errNotCounted = errors.New("admission: no count")

// learn takes down what a count, asked for at a time, has found.
func (r *Runs[K]) learn(key K, at, before time.Time, n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.caller(key)
	c.asking = false
	if err == nil {
		c.counted, c.before, c.at = n, before, at
	}
	for id, own := range c.own {
		c.sum(own, -1)
		own.counted = own.began.Before(c.before) && (own.ended.IsZero() || !own.ended.Before(c.before))
		c.sum(own, 1)
		if c.done(own, at) {
			r.forget(c, id)
		}
	}
}

// done reports whether a run need not be remembered: the count speaks for it, or nothing was heard of it for as long as a count is
// trusted.
func (c *caller) done(own *run, now time.Time) bool {
	heard := own.began
	if !own.ended.IsZero() {
		heard = own.ended
	}
	return own.watchers == 0 && (heard.Before(c.before) || now.Sub(heard) > trusted)
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
	case n >= limit/2, len(c.own) >= crowded:
		every = recountNear
	}
	if c.asking || now.Sub(c.tried) < every {
		return false
	}
	c.asking, c.tried = true, now
	return true
}
