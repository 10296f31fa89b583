package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"perdure/internal/payload"
)

const (
	// beatTimeout bounds how long a beat may be on its way.
	beatTimeout = 10 * time.Second
	// recordTimeout bounds how long a record waits for a server that is away: much longer than the heartbeat timeout, after which the
	// server gives the step to another worker anyway.
	recordTimeout = time.Minute
	recordAgain   = 100 * time.Millisecond
)

// errStopped is the server's answer to a beat of a step that shall go no further: its run was cancelled, or an operator paused it.
var errStopped = errors.New("activities: the step was told to stop")

// heartbeat tells the server at intervals that a step is alive, until stop. It is also how a cancellation reaches the step.
// Beats come from a clock, not from progress: a model that thinks for minutes is healthy, and a retry would pay for it twice.
//
// Beats do not go through the SDK, for two reasons. It may hold one back and send it later, when it would overwrite what record has
// stored since. And it takes a server that does not answer for a second as the end of the step, which would throw away a model's
// answer, or a call's, over a restart of Temporal that is shorter than the heartbeat timeout.
type heartbeat struct {
	end    context.CancelFunc
	ended  sync.WaitGroup
	nudged chan struct{} // has room for one
	// converter is the client's: the SDK decodes what the next attempt finds.
	converter converter.DataConverter

	mu   sync.Mutex // held while a beat is on its way, so that beats arrive in order
	note note       // what every beat repeats, since the server keeps only the latest
}

// note is what a step leaves with the server for its next attempt.
type note struct {
	// Sending is set before a request leaves that must not be sent twice.
	Sending bool `json:"sending"`
	// Spent is how many attempts have failed although the other side had taken the request. They cost what others do not, and have a
	// limit of their own.
	Spent int32 `json:"spent,omitempty"`
	// Throttled is how many attempts a provider refused because there were too many.
	Throttled int `json:"throttled,omitempty"`
}

// earlierNote is the note of the attempts before. One that cannot be read is of a step that got far enough to write it.
func earlierNote(ctx context.Context) note {
	if !activity.IsActivity(ctx) || !activity.HasHeartbeatDetails(ctx) {
		return note{}
	}
	var n note
	if activity.GetHeartbeatDetails(ctx, &n) != nil {
		return note{Sending: true}
	}
	return n
}

// afterNudge are the times, since a nudge, at which a step beats. The news of a cancellation may be ahead of the cancellation, and on a
// busy machine by a good while.
var afterNudge = []time.Duration{
	0, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond,
	500 * time.Millisecond, 600 * time.Millisecond, 700 * time.Millisecond, 800 * time.Millisecond, time.Second,
}

// startHeartbeat asks before each beat how long to wait for it.
func startHeartbeat(ctx context.Context, dc converter.DataConverter, wait func() time.Duration) *heartbeat {
	ctx, end := context.WithCancel(ctx)
	h := &heartbeat{end: end, nudged: make(chan struct{}, 1), converter: dc, note: earlierNote(ctx)}
	h.ended.Go(func() {
		next := time.NewTimer(wait())
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-next.C:
				h.beat(ctx)
				next.Reset(wait() - time.Since(now)) // a beat that takes long does not delay the one after it
			case <-h.nudged:
				h.hurry(ctx)
			}
		}
	})
	return h
}

// nudge makes the step beat now, since there may be news for it. It does not wait.
func (h *heartbeat) nudge() {
	select {
	case h.nudged <- struct{}{}:
	default:
	}
}

func (h *heartbeat) hurry(ctx context.Context) {
	began := time.Now()
	for _, after := range afterNudge {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(after))):
			h.beat(ctx)
		}
	}
}

// stop ends the beats and returns once none is under way.
func (h *heartbeat) stop() {
	h.end()
	h.ended.Wait()
}

func (h *heartbeat) beat(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.send(ctx)
	var gone *serviceerror.NotFound // the run has ended, or the step belongs to another worker by now
	if errors.Is(err, errStopped) || errors.As(err, &gone) {
		// The SDK hears the same and cancels the step's context, with the cause that it wants to see afterwards. Any other error
		// is the next beat's concern.
		activity.RecordHeartbeat(ctx, h.details()...)
	}
}

// sending stores with the server, before it returns, that a request is about to leave; the next attempt finds it. The error is
// errStopped, or what kept the server from storing it.
func (h *heartbeat) sending(ctx context.Context) error {
	return h.record(ctx, func(n *note) { n.Sending = true })
}

// spend stores that this attempt has cost what attempts are limited for, and returns how many have. A server that cannot store it is one
// that the step fails for anyway.
func (h *heartbeat) spend(ctx context.Context) (spent int32) {
	_ = h.record(context.WithoutCancel(ctx), func(n *note) {
		n.Spent++
		spent = n.Spent
	})
	return spent
}

// throttle stores that this attempt was refused because there were too many, and returns how many were.
func (h *heartbeat) throttle(ctx context.Context) (times int) {
	_ = h.record(context.WithoutCancel(ctx), func(n *note) {
		n.Throttled++
		times = n.Throttled
	})
	return times
}

// throttled is how many attempts were refused because there were too many.
func (h *heartbeat) throttled() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.note.Throttled
}

func (h *heartbeat) record(ctx context.Context, change func(*note)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Even if this fails the server may have it, so later beats must say the same.
	change(&h.note)
	return h.insist(ctx)
}

// insist is send, again and again while the server is away: what waits for a record has not happened yet, so that nothing is lost but
// time. The caller holds h.mu; no beat could do more meanwhile.
func (h *heartbeat) insist(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	for {
		err := h.send(ctx)
		var away *serviceerror.Unavailable
		var late *serviceerror.DeadlineExceeded
		if !errors.As(err, &away) && !errors.As(err, &late) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(recordAgain):
		}
	}
}

// clear takes back what sending stored, if anything: the next attempt starts afresh. It works for a step that was cancelled, too,
// since a worker that stops hands its steps to another.
func (h *heartbeat) clear(ctx context.Context) error {
	h.mu.Lock()
	recorded := h.note.Sending
	h.mu.Unlock()
	if !recorded {
		return nil
	}
	err := h.record(context.WithoutCancel(ctx), func(n *note) { n.Sending = false })
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// details are what a beat carries. The caller holds h.mu.
func (h *heartbeat) details() []any {
	if h.note == (note{}) {
		return nil
	}
	return []any{h.note}
}

// send makes one beat. The caller holds h.mu.
func (h *heartbeat) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	info := activity.GetInfo(ctx)
	request := &workflowservice.RecordActivityTaskHeartbeatRequest{Namespace: info.Namespace, TaskToken: info.TaskToken}
	var err error
	if request.Details, err = payload.OfWorkflow(h.converter, info.Namespace, info.WorkflowExecution.ID).ToPayloads(h.details()...); err != nil {
		return err
	}
	answer, err := activity.GetClient(ctx).WorkflowService().RecordActivityTaskHeartbeat(ctx, request)
	if err == nil && (answer.GetCancelRequested() || answer.GetActivityPaused() || answer.GetActivityReset()) {
		err = errStopped
	}
	return err
}
