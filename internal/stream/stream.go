// Package stream turns a run's log into the events that a client sees.
//
// The log is best effort and the response is the truth: what the log lost, a turn's end or the end of the run makes up for, so that
// the stream as a whole says what the response says.
package stream

import (
	"context"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/responses"
)

// Event is one event of a response's stream.
type Event struct {
	Sequence int
	Type     string
	Data     []byte // a JSON object, on one line
}

// Options say what is streamed.
type Options struct {
	// Response is the response as it was when the run began: without output. The renderer does not change it.
	Response *responses.Response
	Dialect  responses.Dialect
	// FreshIndexes gives an item that replaces an abandoned one an output_index of its own, for clients that throw when an index is
	// used twice.
	FreshIndexes bool
	// Item reads a finished item.
	Item func(context.Context, blob.Value) (responses.Item, error)
	// Text reads a JSON string, such as a call's arguments.
	Text func(context.Context, blob.Value) (string, error)
}

// Renderer makes a client's events of a run's. It is deterministic: from the same log and the same end it makes the same events
// with the same numbers, so that any process can go on where another was cut off. It is for one goroutine at a time.
type Renderer struct {
	o        Options
	sequence int
	// live are the items that count, by their place in the output. Clients want output_item.added in this order, so that an item
	// begins only when all before it have begun.
	live []*place
	next int            // the first output_index that was never used
	held []events.Event // of items whose turn to begin has not come

	turn, try int // of the latest attempt at a turn
	turnDone  bool

	started, ended bool
	// failure is why the run failed, once that is known.
	failure string

	out []Event // of the call that is being answered
	err error
}

// New returns a renderer that has rendered nothing yet.
func New(o Options) *Renderer { return &Renderer{o: o} }

// Begin returns the events before anything has happened: response.created, for a background run response.queued, and
// response.in_progress. It comes before Add and Finish, once. Its error is that of a response that cannot be rendered.
func (r *Renderer) Begin() ([]Event, error) {
	status := responses.ResponseInProgress
	if r.o.Response.Background {
		status = responses.ResponseQueued
	}
	r.lifecycle("response.created", r.o.Response, status)
	if r.o.Response.Background {
		r.lifecycle("response.queued", r.o.Response, status)
	}
	r.lifecycle("response.in_progress", r.o.Response, responses.ResponseInProgress)
	return r.take()
}

// Add returns the events that one event of the log amounts to, often none. Its error is that of Options.Item or Options.Text. With
// an error it returns the events that were made before it, and may be called again with the same event, to go on from there; a
// caller that leaves the event out instead has a stream with other numbers than its neighbours.
func (r *Renderer) Add(ctx context.Context, e events.Event) ([]Event, error) {
	if r.ended {
		return nil, nil
	}
	if err := r.apply(ctx, e); err != nil {
		return nil, err
	}
	if err := r.release(ctx); err != nil {
		made, _ := r.take()
		return made, err
	}
	return r.take()
}

func (r *Renderer) apply(ctx context.Context, e events.Event) error {
	switch e.Kind {
	case events.ListStarted:
		r.listStarted(e)
	case events.ListDone:
		return r.itemDone(ctx, e, responses.TypeMCPListTools)
	case events.TurnStarted:
		r.started = true
		r.isCurrent(e)
	case events.DeltaAdded:
		r.started = true
		r.delta(e)
	case events.TurnDone:
		r.started = true
		return r.turnEnds(ctx, e)
	case events.CallStarted:
		r.started = true
		return r.callStarted(ctx, e)
	case events.CallDone:
		r.started = true
		return r.itemDone(ctx, e, responses.TypeMCPCall)
	case events.Ended:
		r.ended, r.held = true, nil
	}
	return nil
}

// Started reports whether discovery is over: from now on the run cannot fail in a way that has an HTTP status of its own.
func (r *Renderer) Started() bool { return r.started }

// take hands out the events of the call that is being answered.
func (r *Renderer) take() ([]Event, error) {
	out, err := r.out, r.err
	r.out, r.err = nil, nil
	return out, err
}
