package admission_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"perdure/internal/admission"
	"perdure/internal/logtest"
)

// service is one whose probes fail while it is down, and take a time.
type service struct {
	down   atomic.Bool
	takes  atomic.Int64 // nanoseconds
	probes atomic.Int32
}

func (s *service) probe(ctx context.Context) error {
	s.probes.Add(1)
	select {
	case <-time.After(time.Duration(s.takes.Load())):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.down.Load() {
		return errors.New("down")
	}
	return nil
}

// watched returns the health of a service within a bubble of synctest, which it leaves no goroutine in.
func watched(t *testing.T) (*service, *admission.Health, *logtest.Buffer) {
	t.Helper()
	log, s := &logtest.Buffer{}, &service{}
	ctx, stop := context.WithCancel(t.Context())
	h := admission.NewHealth(ctx, slog.New(slog.NewTextHandler(log, nil)), s.probe)
	t.Cleanup(func() {
		stop()
		h.Wait()
		h.Suspect() // who comes late starts nothing
		before := s.probes.Load()
		synctest.Wait()
		if s.probes.Load() != before {
			t.Error("a probe began after the end")
		}
	})
	return s, h, log
}

func away(t *testing.T, h *admission.Health, want bool) {
	t.Helper()
	synctest.Wait()
	if h.Away() != want {
		t.Fatalf("away is %v, want %v", !want, want)
	}
}

func TestServiceThatGoesAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, h, log := watched(t)
		away(t, h, false)
		s.down.Store(true)
		away(t, h, false) // nobody has noticed
		for range 10 {
			h.Suspect()
		}
		away(t, h, true)
		if n := s.probes.Load(); n != 1 {
			t.Errorf("%d probes at once, want one", n)
		}
		time.Sleep(time.Minute)
		away(t, h, true)
		if n := s.probes.Load(); n < 100 || n > 300 {
			t.Errorf("%d probes in a minute", n)
		}
		s.down.Store(false)
		time.Sleep(300 * time.Millisecond)
		away(t, h, false)
		before := s.probes.Load()
		time.Sleep(time.Minute)
		if n := s.probes.Load(); n != before {
			t.Errorf("a service that is back is still probed: %d times", n-before)
		}
		for text, want := range map[string]int{"service is away": 1, "service is back": 1} {
			if n := strings.Count(log.String(), text); n != want {
				t.Errorf("%q is in the log %d times, want %d", text, n, want)
			}
		}
		s.down.Store(true) // and again
		h.Suspect()
		away(t, h, true)
	})
}

// One call that fails, or is slow, proves nothing.
func TestSuspicionThatIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, h, _ := watched(t)
		h.Suspect()
		away(t, h, false)
		over := h.Watch()
		time.Sleep(time.Minute)
		over()
		away(t, h, false)
		if n := s.probes.Load(); n != 2 {
			t.Errorf("%d probes, want one for each suspicion", n)
		}
	})
}

func TestSlowCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, h, _ := watched(t)
		s.down.Store(true)
		over := h.Watch()
		time.Sleep(200 * time.Millisecond)
		over()
		time.Sleep(time.Minute)
		if s.probes.Load() != 0 {
			t.Error("a call that was quick had the service probed")
		}
		defer h.Watch()()
		time.Sleep(301 * time.Millisecond)
		away(t, h, true)
	})
}

// A service that does not even refuse is away two seconds after the first suspicion.
func TestServiceThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, h, _ := watched(t)
		s.takes.Store(int64(time.Hour))
		h.Suspect()
		time.Sleep(1999 * time.Millisecond)
		away(t, h, false)
		time.Sleep(2 * time.Millisecond)
		away(t, h, true)
		s.takes.Store(int64(1500 * time.Millisecond)) // slow, but it works
		time.Sleep(5 * time.Second)
		away(t, h, false)
	})
}
