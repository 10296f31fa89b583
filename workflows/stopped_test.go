package workflows

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/responses"
)

// handedBack is how a step ends whose worker is told to stop.
func handedBack(attempt int) error {
	return temporal.NewApplicationErrorWithOptions("stopped", activities.ErrTypeStopped, temporal.ApplicationErrorOptions{
		Details: []any{attempt}, Category: temporal.ApplicationErrorCategoryBenign,
	})
}

// TestStoppedWorkersFailNoRun: however many workers are stopped under a run, it completes. Each kind of step is handed back more often
// than it has attempts.
func TestStoppedWorkersFailNoRun(t *testing.T) {
	t.Parallel()
	in := input("a")
	in.Models = []string{"p/first", "p/second"}
	s := &script{t: t, turns: []turn{
		{err: handedBack(1)}, {err: handedBack(2)}, {err: handedBack(1)}, asksFor("a.1"), says("answer"),
	}}
	lists, calls := 0, 0
	s.discover = func(activities.DiscoverInput) (activities.DiscoverResult, error) {
		if lists++; lists <= 4 { // of three attempts
			return activities.DiscoverResult{}, handedBack((lists-1)%3 + 1)
		}
		return activities.DiscoverResult{Item: value("tools"), Tools: 1}, nil
	}
	s.call = func(activities.MCPCallInput) (activities.MCPCallResult, error) {
		if calls++; calls <= 5 { // of four attempts
			return activities.MCPCallResult{}, handedBack((calls-1)%4 + 1)
		}
		return activities.MCPCallResult{Item: value("result")}, nil
	}
	in.Servers[0].Retry.Default = activities.RetryAlways
	out, err := s.run(in)
	if err != nil || out.Status != responses.ResponseCompleted || out.Model != "p/first" {
		t.Fatalf("status %s, model %s, error %v; want that the first model completes it", out.Status, out.Model, err)
	}
	if diff := cmp.Diff([]string{"prompt", "tools", "result", "answer"}, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	// The numbers of attempts go on: events and item IDs of an attempt that was given up are never those of another.
	var tries []int
	for _, asked := range s.asked {
		tries = append(tries, asked.Tries)
	}
	if want := []int{0, 0, 2, 2}; !slices.Equal(tries[:4], want) {
		t.Errorf("the attempts at the first turn had the tries %v before them, want %v", tries[:4], want)
	}
}

// A call that must not be repeated is given up when it runs out of attempts: what they have recorded is known to themselves alone.
func TestStoppedWriteIsNotBegunAnew(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.1"), says("answer")}}
	s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
		if !in.Abandoned {
			return activities.MCPCallResult{}, handedBack(1)
		}
		return activities.MCPCallResult{Item: value("abandoned"), Failed: true}, nil
	}
	in := input("a")
	out, err := s.run(in)
	if err != nil || out.Status != responses.ResponseCompleted {
		t.Fatalf("status %s, error %v", out.Status, err)
	}
	if diff := cmp.Diff([]string{"prompt", "tools of a", "abandoned", "answer"}, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	if want := int(in.Limits.CallAttempts) + 1; len(s.calls) != want {
		t.Errorf("the step was tried %d times, want %d and no more", len(s.calls), want)
	}
}

func TestStoppedAfter(t *testing.T) {
	t.Parallel()
	missing := temporal.NewApplicationError("stopped", activities.ErrTypeStopped)
	tests := []struct {
		name     string
		err      error
		attempts int
		want     bool
	}{
		{"nothing", nil, 0, false},
		{"handed back", handedBack(3), 3, true},
		{"another failure", temporal.NewApplicationError("down", activities.ErrTypeModel, 3), 0, false},
		{"lost after it was handed back", temporal.NewHeartbeatTimeoutError(handedBack(2)), 0, false},
		{"without the number", missing, 0, false},
	}
	for _, tt := range tests {
		if attempts, got := stoppedAfter(tt.err); attempts != tt.attempts || got != tt.want {
			t.Errorf("%s: %d attempts, %t; want %d, %t", tt.name, attempts, got, tt.attempts, tt.want)
		}
	}
}
