package workflows

import (
	"testing"
	"time"

	"perdure/activities"
)

// waits are how long a policy waits between its attempts, all in all, as Temporal counts them.
func waits(attempts int32, longest time.Duration) time.Duration {
	var all time.Duration
	for wait, n := firstRetry, int32(1); n < attempts; n++ {
		all += wait
		wait = min(2*wait, longest)
	}
	return all
}

func TestAttemptsSpanPatience(t *testing.T) {
	t.Parallel()
	for _, patience := range []time.Duration{0, 1, firstRetry, time.Second, time.Minute, 10 * time.Minute, 24 * time.Hour} {
		for _, longest := range []time.Duration{lastRetry, lastDiscoveryRetry} {
			for _, least := range []int32{1, 6, 50} {
				n := attempts(least, patience, longest)
				if n < least || waits(n, longest) < patience {
					t.Errorf("%d attempts wait %v, want %d and %v at least", n, waits(n, longest), least, patience)
				}
				if n > least && waits(n-1, longest) >= patience {
					t.Errorf("%d attempts are more than it takes for %v", n, patience)
				}
			}
		}
	}
}

// What is away is waited for: always the last model, and MCP servers if nobody waits for the run.
func TestPatience(t *testing.T) {
	t.Parallel()
	in := input()
	in.Limits.ModelAttempts, in.Limits.Patience = 6, 10*time.Minute
	background := in
	background.Background = true
	old := background // of a run that began when there was no patience
	old.Limits.Patience = 0
	server := activities.Server{Label: "s"}
	for name, tt := range map[string]struct {
		attempts int32
		least    time.Duration // all waits together
		most     time.Duration
		longest  time.Duration
	}{
		"model, when there is another": {modelTurnOptions(in.Limits, false, "").RetryPolicy.MaximumAttempts, 15 * time.Second, 16 * time.Second, lastRetry},
		"the last model":               {modelTurnOptions(in.Limits, true, "").RetryPolicy.MaximumAttempts, 10 * time.Minute, 11 * time.Minute, lastRetry},
		"the last model, old":          {modelTurnOptions(old.Limits, true, "").RetryPolicy.MaximumAttempts, 15 * time.Second, 16 * time.Second, lastRetry},
		"discovery":                    {discoverOptions(in, server).RetryPolicy.MaximumAttempts, time.Second, 2 * time.Second, lastDiscoveryRetry},
		"discovery in the background":  {discoverOptions(background, server).RetryPolicy.MaximumAttempts, 10 * time.Minute, 11 * time.Minute, lastDiscoveryRetry},
		"discovery, old":               {discoverOptions(old, server).RetryPolicy.MaximumAttempts, time.Second, 2 * time.Second, lastDiscoveryRetry},
		"call":                         {mcpCallOptions(in, "").RetryPolicy.MaximumAttempts, 3 * time.Second, 4 * time.Second, lastRetry},
		"call in the background":       {mcpCallOptions(background, "").RetryPolicy.MaximumAttempts, 10 * time.Minute, 11 * time.Minute, lastRetry},
	} {
		if got := waits(tt.attempts, tt.longest); got < tt.least || got > tt.most {
			t.Errorf("%s: %d attempts wait %v, want %v to %v", name, tt.attempts, got, tt.least, tt.most)
		}
	}
}
