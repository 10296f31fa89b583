package activities

import (
	"context"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
)

// heartbeat tells the server at intervals that a step is alive, until stop. It is also how a cancellation reaches the step.
// Beats come from a clock, not from progress: a model that thinks for minutes is healthy, and a retry would pay for it twice.
type heartbeat struct {
	mu      sync.Mutex
	details []any
	done    chan struct{}
	stopped sync.WaitGroup
}

func startHeartbeat(ctx context.Context, every time.Duration) *heartbeat {
	h := &heartbeat{done: make(chan struct{})}
	h.stopped.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-h.done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
				h.mu.Lock()
				activity.RecordHeartbeat(ctx, h.details...)
				h.mu.Unlock()
			}
		}
	})
	return h
}

// stop ends the beats and returns once none is under way.
func (h *heartbeat) stop() {
	close(h.done)
	h.stopped.Wait()
}

// record stores details with the server before it returns; the next attempt at the step finds them. RecordHeartbeat alone only
// queues them.
func (h *heartbeat) record(ctx context.Context, details any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	info := activity.GetInfo(ctx)
	payload, err := converter.GetDefaultDataConverter().ToPayload(details)
	if err != nil {
		return err
	}
	_, err = activity.GetClient(ctx).WorkflowService().RecordActivityTaskHeartbeat(ctx,
		&workflowservice.RecordActivityTaskHeartbeatRequest{
			Namespace: info.Namespace,
			TaskToken: info.TaskToken,
			Details:   &commonpb.Payloads{Payloads: []*commonpb.Payload{payload}},
		})
	if err != nil {
		return err
	}
	h.details = []any{details}
	return nil
}

// clear takes back what record stored, if anything: the next attempt starts afresh.
func (h *heartbeat) clear(ctx context.Context) error {
	h.mu.Lock()
	recorded := len(h.details) > 0
	h.mu.Unlock()
	if !recorded {
		return nil
	}
	return h.record(ctx, sending{})
}
