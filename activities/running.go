package activities

import (
	"context"
	"sync"
	"time"
)

// running knows the steps that this process is making, by response, so that news of a response reaches them at once.
type running struct {
	mu    sync.Mutex
	steps map[string]map[*step]struct{}
	count int
}

// step is a running step with its heartbeat.
type step struct {
	*heartbeat
	responseID string
	among      *running
}

// beat starts the heartbeat of a step. It must be stopped.
func (a *Activities) beat(ctx context.Context, responseID string) *step {
	s := &step{heartbeat: startHeartbeat(ctx, a.Payloads, a.untilBeat), responseID: responseID, among: &a.running}
	a.running.add(s)
	return s
}

// apart is how far the beats of different steps are apart at least, if they need not come more often.
const apart = 10 * time.Millisecond

// untilBeat is how long a step waits with its next beat. Each beat is a write in Temporal's store, so that a worker with many steps
// beats less often for each: at intervals of up to three fifths of the heartbeat timeout.
func (a *Activities) untilBeat() time.Duration {
	return min(max(a.HeartbeatEvery, time.Duration(a.running.number())*apart), a.HeartbeatEvery*9/5)
}

// stop ends the beats and returns once none is under way.
func (s *step) stop() {
	s.among.remove(s)
	s.heartbeat.stop()
}

func (r *running) add(s *step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.steps == nil {
		r.steps = map[string]map[*step]struct{}{}
	}
	if r.steps[s.responseID] == nil {
		r.steps[s.responseID] = map[*step]struct{}{}
	}
	r.steps[s.responseID][s] = struct{}{}
	r.count++
}

func (r *running) number() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *running) remove(s *step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.steps[s.responseID], s)
	r.count--
	if len(r.steps[s.responseID]) == 0 {
		delete(r.steps, s.responseID)
	}
}

// nudge makes the steps of a response ask the server at once whether they shall go on.
func (r *running) nudge(responseID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.steps[responseID] {
		s.nudge()
	}
}
