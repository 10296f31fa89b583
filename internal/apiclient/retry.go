package apiclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second
	// maxRetryAfter bounds what a server may ask for: beyond it the caller is told.
	maxRetryAfter = 10 * time.Minute
)

// mayRepeat reports whether a request that failed may be sent again, and is worth it.
func (c *Client) mayRepeat(r Request, err error) bool {
	var lost *Unreachable
	if errors.As(err, &lost) {
		// A server that never answered is not waited for: whoever typed the command wants to hear of it.
		return lost.before && (r.repeatable() || !lost.left)
	}
	var refused *Error
	if !errors.As(err, &refused) || refused.noRetry {
		return false
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return r.repeatable() || refused.beforehand()
	case http.StatusInternalServerError:
		return r.repeatable()
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		// Perdure's own say how a run ended. Another's say that Perdure could not be reached through it.
		return r.repeatable() && refused.Type == ""
	default:
		return false
	}
}

// mayHaveActed reports whether the server may have done what a request asks for, or be doing it, after an attempt with that result.
func mayHaveActed(err error) bool {
	var lost *Unreachable
	if errors.As(err, &lost) {
		return lost.left
	}
	var refused *Error
	return !errors.As(err, &refused) || !refused.beforehand()
}

// beforehand reports whether the server has done nothing at all of what it was asked for: it was busy, and says so. It may also be that
// something which it needs has failed in the middle; and of a proxy's answer nothing is known.
func (e *Error) beforehand() bool {
	return e.Type != "" && !e.again && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable && e.untouched)
}

// undecided adds to an error that what was asked for may have been done, where the server says to try again and that could do it twice.
func undecided(r Request, err error) error {
	var refused *Error
	if !r.repeatable() && errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable && mayHaveActed(err) {
		refused.Remedy = "it may have been done all the same, so look before you ask for it again"
	}
	return err
}

// repeat makes attempts to send a request, as many as it takes and is allowed.
func (c *Client) repeat(ctx context.Context, r Request, once func() error) error {
	wait := newPause(c.options.Patience)
	for {
		err := once()
		if r.tried != nil {
			r.tried(err)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause, again := wait.next(err, c.mayRepeat(r, err))
		if !again {
			return undecided(r, err)
		}
		if c.options.Waiting != nil {
			c.options.Waiting(err, pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// pauses is how long to wait before a request is sent again.
type pauses struct {
	patience time.Duration
	since    time.Time // of the first failure
	n        int
}

func newPause(patience time.Duration) *pauses { return &pauses{patience: patience} }

// maxInternalErrors is how often a request is sent again after a 500: what fails so three times will fail again.
const maxInternalErrors = 2

// next returns the pause before the next attempt, and whether there is one. Pauses grow, and differ from those of other clients.
func (p *pauses) next(err error, allowed bool) (time.Duration, bool) {
	if !allowed {
		return 0, false
	}
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	pause := min(firstPause<<min(p.n, 16), lastPause)
	p.n++
	pause = pause/2 + rand.N(pause/2)
	var refused *Error
	patience := p.patience
	if errors.As(err, &refused) {
		if refused.Status == http.StatusInternalServerError && p.n > maxInternalErrors {
			return 0, false
		}
		if after := refused.RetryAfter; after > 0 {
			// What the server asks for is not cut short; all clients at the same moment is what it does not want.
			pause = max(pause, after+rand.N(after/4+time.Millisecond))
			patience = max(patience, min(after, maxRetryAfter)*2)
		}
	}
	return pause, now.Add(pause).Sub(p.since) <= patience
}

// retryAfter reads how long the server asks to wait.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseInt(h.Get("Retry-After-Ms"), 10, 64); err == nil && ms >= 0 && ms < int64(time.Hour/time.Millisecond) {
		return time.Duration(ms) * time.Millisecond
	}
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
