package config

import (
	"errors"
	"strconv"
)

// Override is a number that an entry of a list may have in the place of the one that holds for all entries.
type Override struct {
	Set bool
	N   int
}

// Or returns the number, or the one that holds for all.
func (o Override) Or(all int) int {
	if o.Set {
		return o.N
	}
	return all
}

// UnmarshalText reads a number.
func (o *Override) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return errors.New("must be a whole number")
	}
	*o = Override{Set: true, N: n}
	return nil
}

func (k APIKey) validateLimits(v *validation, path string) {
	v.atLeast(path+".requests_per_minute", int64(k.RequestsPerMinute.N), 0)
	v.atLeast(path+".concurrent_runs", int64(k.ConcurrentRuns.N), 0)
}

// validateAdmission checks what bounds how much is taken on. One key may have half of what there is, so that a second one finds
// room; the half must be enough for a request.
func (h HTTP) validateAdmission(v *validation) {
	if h.BodyMemory < 2*h.MaxBody {
		v.report("http.body_memory", "must be at least twice http.max_body (%v): one API key may use half of it", h.MaxBody)
	}
	v.atLeast("http.concurrent_starts", int64(h.ConcurrentStarts), 2)
}

func (l Limits) validateAdmission(v *validation) {
	v.atLeast("limits.requests_per_minute", int64(l.RequestsPerMinute), 0)
	v.atLeast("limits.request_burst", int64(l.RequestBurst), 1)
	v.atLeast("limits.concurrent_runs", int64(l.ConcurrentRuns), 0)
	v.atLeast("limits.open_requests", int64(l.OpenRequests), 1)
	v.atLeast("limits.schedules", int64(l.Schedules), 0)
}
