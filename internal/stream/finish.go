package stream

import "perdure/internal/responses"

// Finish returns the last events: those that bring what was shown so far to what the response has come to, and the final one. It is
// called once, after the last Add. Its error is that of a response that cannot be rendered.
func (r *Renderer) Finish(final *responses.Response) ([]Event, error) {
	r.ended, r.held = true, nil
	if final.Error != nil {
		r.failure = final.Error.Message
	}
	counts := make(map[string]bool, len(final.Output))
	for _, item := range final.Output {
		counts[responses.IDOf(item)] = true
	}
	places := make(map[string]int, len(r.live))
	for at, p := range r.live {
		places[p.id] = at
		if !counts[p.id] {
			r.abandon(p)
		}
	}
	for i, item := range final.Output {
		at, shown := places[responses.IDOf(item)]
		switch {
		case shown:
		case i < len(r.live) && !counts[r.live[i].id]:
			at = i
		default:
			at = len(r.live)
		}
		r.bring(at, item)
	}
	r.lifecycle(lastEvent(final.Status), final, final.Status)
	return r.take()
}

// lastEvent is the type of a stream's last event. There is none for a run that was cancelled that clients know: it is incomplete, and
// the response in it says why.
func lastEvent(status string) string {
	switch status {
	case responses.ResponseCompleted:
		return "response.completed"
	case responses.ResponseFailed:
		return "response.failed"
	default:
		return "response.incomplete"
	}
}
