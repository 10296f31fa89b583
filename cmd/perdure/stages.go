package main

import (
	"context"
	"errors"
	"fmt"
)

// stages are the components of one process, in the order in which they depend on each other. They are stopped in the reverse
// order, each only after the ones that need it have ended.
type stages struct {
	running []stage
	ended   chan error
}

type stage struct {
	name string
	stop context.CancelFunc
	done chan struct{}
}

// start runs a component until it is stopped.
func (s *stages) start(ctx context.Context, name string, run func(context.Context) error) {
	if s.ended == nil {
		s.ended = make(chan error, 1)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.running = append(s.running, stage{name: name, stop: stop, done: done})
	go func() {
		defer close(done)
		err := run(ctx)
		switch {
		case err == nil && ctx.Err() == nil:
			err = errors.New("ended by itself")
		case errors.Is(err, context.Canceled) && ctx.Err() != nil:
			err = nil // it was stopped, which is no failure
		}
		if err != nil {
			select {
			case s.ended <- fmt.Errorf("%s: %w", name, err):
			default: // the first one counts
			}
		}
	}()
}

// wait returns when ctx ends or a component fails, after all components have ended. Its error is the first failure: those that come
// after it usually come of it.
func (s *stages) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return s.stop()
	case err := <-s.ended:
		s.stop() //nolint:errcheck // see above
		return err
	}
}

// stop ends all components and returns a failure that nobody has received yet.
func (s *stages) stop() error {
	for i := len(s.running) - 1; i >= 0; i-- {
		s.running[i].stop()
		<-s.running[i].done
	}
	s.running = nil
	select {
	case err := <-s.ended:
		return err
	default:
		return nil
	}
}
