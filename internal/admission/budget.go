package admission

import (
	"errors"
	"sync"
)

// Errors of [Budget.Take].
var (
	// ErrFull means that all keys together have what there is.
	ErrFull = errors.New("admission: all of the budget is in use")
	// ErrShare means that the key has its share.
	ErrShare = errors.New("admission: the key's share of the budget is in use")
)

// Budget is an amount that all keys share: bytes, places. It is safe for concurrent use.
type Budget struct {
	total, share int64

	mu   sync.Mutex
	used int64
	keys map[string]int64
}

// NewBudget returns a budget of which one key may use its share. No total, 0, bounds keys alone; no share, 0, bounds nobody alone.
func NewBudget(total, share int64) *Budget {
	return &Budget{total: total, share: share, keys: map[string]int64{}}
}

// Share is what one key may use; 0 is no bound.
func (b *Budget) Share() int64 { return b.share }

// Take takes n for a key, or fails with [ErrFull] or [ErrShare]. What is taken must be given back.
func (b *Budget) Take(key string, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.share > 0 && b.keys[key]+n > b.share:
		return ErrShare
	case b.total > 0 && b.used+n > b.total:
		return ErrFull
	}
	b.used += n
	b.keys[key] += n
	return nil
}

// Give returns n that was taken for a key.
func (b *Budget) Give(key string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.keys[key] -= n; b.keys[key] == 0 {
		delete(b.keys, key)
	}
}
