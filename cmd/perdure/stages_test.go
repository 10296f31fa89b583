package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// journal notes what happens, in order.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) note(entry string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
}

// part runs until it is stopped and then returns err.
func (j *journal) part(name string, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		j.note(name)
		return err
	}
}

func TestStagesStopInReverseOrder(t *testing.T) {
	t.Parallel()
	var s stages
	var j journal
	ctx, interrupt := context.WithCancel(t.Context())
	for _, name := range []string{"server", "worker", "API"} {
		s.start(ctx, name, j.part(name, nil))
	}
	// The signal itself must not reach the parts, or they would all stop at once.
	interrupt()
	if err := s.wait(ctx); err != nil {
		t.Error(err)
	}
	if want := []string{"API", "worker", "server"}; !slices.Equal(j.entries, want) {
		t.Errorf("stopped %v, want %v", j.entries, want)
	}
}

func TestStageThatFailsStopsTheOthers(t *testing.T) {
	t.Parallel()
	var s stages
	var j journal
	s.start(t.Context(), "server", j.part("server", nil))
	s.start(t.Context(), "worker", func(context.Context) error { return errors.New("out of luck") })
	// What comes after the first failure usually comes of it.
	s.start(t.Context(), "API", j.part("API", errors.New("the worker is gone")))
	if err := s.wait(t.Context()); err == nil || err.Error() != "worker: out of luck" {
		t.Errorf("error %v, want the first failure alone", err)
	}
	if want := []string{"API", "server"}; !slices.Equal(j.entries, want) {
		t.Errorf("stopped %v, want %v", j.entries, want)
	}
}

func TestEndsOfStages(t *testing.T) {
	t.Parallel()
	trouble := errors.New("trouble")
	tests := []struct {
		name    string
		run     func(context.Context) error
		stopped bool   // before it ends
		want    string // "" for no error
	}{
		{"ends by itself", func(context.Context) error { return nil }, false, "part: ended by itself"},
		{"fails", func(context.Context) error { return trouble }, false, "part: trouble"},
		{"is cancelled by somebody else", func(context.Context) error { return context.Canceled }, false, "part: context canceled"},
		{"stops", (&journal{}).part("", nil), true, ""},
		{"says that it was stopped", (&journal{}).part("", context.Canceled), true, ""},
		{"fails to stop", (&journal{}).part("", trouble), true, "part: trouble"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s stages
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			s.start(ctx, "part", tt.run)
			if tt.stopped {
				interrupt()
			}
			err := s.wait(ctx)
			if got := text(err); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStagesThatNeverBegan(t *testing.T) {
	t.Parallel()
	if err := (&stages{}).stop(); err != nil {
		t.Error(err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimSpace(err.Error())
}
