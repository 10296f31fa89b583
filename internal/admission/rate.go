package admission

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often a key may ask. The zero value is no limit.
type Rate struct {
	PerMinute int
	// Burst is how many requests may come at once after a rest. It is 1 at least, and PerMinute at most.
	Burst int
}

func (r Rate) burst() int { return max(1, min(r.Burst, r.PerMinute)) }

// Quota is what is left of a rate.
type Quota struct {
	// Limit is the requests per minute; 0 means that there is no limit, and nothing else is set.
	Limit     int
	Remaining int
	// Reset is the time until everything is there again.
	Reset time.Duration
	// Retry is the time until the next request is taken; 0 if it would be at once.
	Retry time.Duration
}

// Rates are the rates of keys, each a bucket of tokens of this process. The zero value is ready. It is safe for concurrent use.
type Rates struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// Take takes a token of a key and reports whether there was one, with what is left then. A request that is refused takes nothing. The
// rate of a key must be the same each time.
func (r *Rates) Take(key string, limit Rate) (Quota, bool) {
	if limit.PerMinute <= 0 {
		return Quota{}, true
	}
	bucket := r.bucket(key, limit)
	now := time.Now()
	taken := bucket.AllowN(now, 1)
	return quota(limit, bucket.TokensAt(now)), taken
}

func (r *Rates) bucket(key string, limit Rate) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	bucket, ok := r.buckets[key]
	if !ok {
		bucket = rate.NewLimiter(perSecond(limit), limit.burst())
		if r.buckets == nil {
			r.buckets = map[string]*rate.Limiter{}
		}
		r.buckets[key] = bucket
	}
	return bucket
}

func perSecond(limit Rate) rate.Limit { return rate.Limit(float64(limit.PerMinute) / 60) }

func quota(limit Rate, tokens float64) Quota {
	return Quota{
		Limit:     limit.PerMinute,
		Remaining: max(0, int(tokens)),
		Reset:     until(limit, float64(limit.burst())-tokens),
		Retry:     until(limit, 1-tokens),
	}
}

// until is how long it takes until there are so many tokens more. It is rounded up: whoever comes then must not be too early.
func until(limit Rate, tokens float64) time.Duration {
	if tokens <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(tokens/float64(perSecond(limit))*1e3)) * time.Millisecond
}
