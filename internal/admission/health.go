package admission

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// slowCall is how long a call may take before the service is asked whether it is there.
	slowCall = 300 * time.Millisecond
	// probeTimeout is how long a service may take to answer a probe. One that needs longer is of no use either.
	probeTimeout = 2 * time.Second
	// probeEvery is the time between two probes of a service that is away.
	probeEvery = 250 * time.Millisecond
)

// Health knows whether a service can be used. It learns that from calls: one that fails, or takes long, has the service probed, and
// while probes fail the service counts as away, so that nobody else has to wait to find out. It is probed until it is back.
//
// One slow call proves nothing, neither does one that fails: the probe decides.
type Health struct {
	probe  func(context.Context) error
	logger *slog.Logger
	ctx    context.Context // of the probes

	mu      sync.Mutex
	away    bool
	probing bool
	probes  sync.WaitGroup
}

// NewHealth returns the health of a service that is there. The probe asks the service for something that it can only do when it
// works; its error means that the service is away. Probing ends with ctx, for which [Health.Wait] waits.
func NewHealth(ctx context.Context, logger *slog.Logger, probe func(context.Context) error) *Health {
	return &Health{probe: probe, logger: logger, ctx: ctx}
}

// Away reports whether the service is known to be away.
func (h *Health) Away() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

// Watch has the service probed if a call takes long that begins now. The returned function must be called when it is over.
func (h *Health) Watch() (over func()) {
	timer := time.AfterFunc(slowCall, h.Suspect)
	return func() { timer.Stop() }
}

// Suspect says that a call has failed as if the service were away.
func (h *Health) Suspect() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.probing || h.ctx.Err() != nil {
		return
	}
	h.probing = true
	h.probes.Go(h.find)
}

// Wait returns when the probes have ended, after ctx has.
func (h *Health) Wait() {
	<-h.ctx.Done()
	h.mu.Lock()   // whoever held it may have started a last one
	h.mu.Unlock() //nolint:staticcheck // see above
	h.probes.Wait()
}

// find probes until the service is there.
func (h *Health) find() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for h.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(h.ctx, probeTimeout)
		err := h.probe(ctx)
		cancel()
		if h.ctx.Err() != nil || !h.learn(err) {
			return
		}
		select {
		case <-h.ctx.Done():
		case <-tick.C:
		}
	}
}

// learn takes down what a probe has found, and reports whether there must be another.
func (h *Health) learn(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.away
	h.away, h.probing = err != nil, err != nil
	switch {
	case !was && err != nil:
		h.logger.WarnContext(h.ctx, "service is away, requests that need it are refused", "error", err)
	case was && err == nil:
		h.logger.InfoContext(h.ctx, "service is back")
	}
	return err != nil
}
