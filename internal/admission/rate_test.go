package admission_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/admission"
)

// At 120 a minute, a token comes every half second.
func TestRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r admission.Rates
		limit := admission.Rate{PerMinute: 120, Burst: 3}
		take := func(key string, taken bool, want admission.Quota) {
			t.Helper()
			want.Limit = 120
			got, ok := r.Take(key, limit)
			if diff := cmp.Diff(want, got); diff != "" || ok != taken {
				t.Errorf("taken %v, want %v; quota (-want +got):\n%s", ok, taken, diff)
			}
		}
		take("a", true, admission.Quota{Remaining: 2, Reset: 500 * time.Millisecond})
		take("a", true, admission.Quota{Remaining: 1, Reset: time.Second})
		take("a", true, admission.Quota{Remaining: 0, Reset: 1500 * time.Millisecond, Retry: 500 * time.Millisecond})
		take("a", false, admission.Quota{Remaining: 0, Reset: 1500 * time.Millisecond, Retry: 500 * time.Millisecond})
		take("b", true, admission.Quota{Remaining: 2, Reset: 500 * time.Millisecond}) // nobody pays for another
		time.Sleep(400 * time.Millisecond)
		take("a", false, admission.Quota{Remaining: 0, Reset: 1100 * time.Millisecond, Retry: 100 * time.Millisecond})
		time.Sleep(100 * time.Millisecond) // who comes when it was told to is not too early
		take("a", true, admission.Quota{Remaining: 0, Reset: 1500 * time.Millisecond, Retry: 500 * time.Millisecond})
		time.Sleep(time.Hour) // a rest gives the burst and no more
		take("a", true, admission.Quota{Remaining: 2, Reset: 500 * time.Millisecond})
	})
}

// Whoever comes when the answer says so is welcome, at rates whose tokens do not come in whole milliseconds as well.
func TestRetryIsNeverTooEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, perMinute := range []int{1, 7, 59, 61, 997, 6000, 123_457} {
			var r admission.Rates
			limit := admission.Rate{PerMinute: perMinute, Burst: 1}
			for i := range 100 {
				quota, ok := r.Take("a", limit)
				if !ok {
					t.Fatalf("%d a minute: request %d was early", perMinute, i)
				}
				time.Sleep(quota.Retry)
			}
		}
	})
}

func TestRateWithoutLimitOrWithAStrangeBurst(t *testing.T) {
	t.Parallel()
	var r admission.Rates
	for range 1000 {
		if got, ok := r.Take("a", admission.Rate{Burst: 1}); !ok || got != (admission.Quota{}) {
			t.Fatalf("without a limit: %+v, %v", got, ok)
		}
	}
	for key, limit := range map[string]admission.Rate{"none": {PerMinute: 1}, "more than a minute's": {PerMinute: 1, Burst: 50}} {
		if _, ok := r.Take(key, limit); !ok {
			t.Errorf("%s: the first request was refused", key)
		}
		if _, ok := r.Take(key, limit); ok {
			t.Errorf("%s: two requests at once", key)
		}
	}
}

func TestRatesInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in which time stands still
		var r admission.Rates
		var taken atomic.Int32
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				for range 10 {
					if _, ok := r.Take("a", admission.Rate{PerMinute: 600, Burst: 100}); ok {
						taken.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := taken.Load(); n != 100 {
			t.Errorf("%d of 500 requests were taken, want 100", n)
		}
	})
}
