package workflows

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"

	"perdure/activities"
	"perdure/internal/blob"
)

func TestCallsStandInTheOrderAskedFor(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.0", "a.1", "a.2"), says("answer")}}
	delays := map[string]time.Duration{"a.0": 3 * time.Second, "a.1": 2 * time.Second, "a.2": time.Second}
	env := s.environment()
	env.OnActivity(activities.MCPCallName, anyArgument, anyArgument).Return(
		func(_ context.Context, in activities.MCPCallInput) (activities.MCPCallResult, error) {
			return activities.MCPCallResult{Item: value("result of " + in.ItemID)}, nil
		}).AfterFn(func() time.Duration {
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, d := range delays { // whichever is asked next
			delete(delays, id)
			return d
		}
		return 0
	})
	out, err := s.runIn(env, input("a"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"result of a.0", "result of a.1", "result of a.2"}
	if diff := cmp.Diff(want, names(out.Conversation)[2:5]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParallelCallsAreBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		change     func(*ResponseInput)
		most       int
		servers    []string
		calls      []string
		mostServer int
	}{
		{"per run", func(in *ResponseInput) { in.Limits.ParallelCalls = 3 }, 3, []string{"a", "b"}, ids(8, "a", "b"), 3},
		{"per server", func(in *ResponseInput) { in.Limits.ParallelCallsPerServer = 2 }, 4, []string{"a", "b"}, ids(8, "a", "b"), 2},
		{"sequential", func(in *ResponseInput) { in.SequentialCalls = true }, 1, []string{"a"}, ids(4, "a"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			running, peak, peakServer := map[string]int{}, 0, 0
			s := &script{t: t, turns: []turn{asksFor(tt.calls...), says("answer")}}
			s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
				mu.Lock()
				defer mu.Unlock()
				return activities.MCPCallResult{Item: value(in.ItemID)}, nil
			}
			env := s.environment()
			env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converterArgs) {
				if info.ActivityType.Name != activities.MCPCallName {
					return
				}
				var in activities.MCPCallInput
				if err := args.Get(&in); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				running[in.Server.Label]++
				total := 0
				for _, n := range running {
					total += n
				}
				peak, peakServer = max(peak, total), max(peakServer, running[in.Server.Label])
			})
			env.SetOnActivityCompletedListener(func(info *activity.Info, result converterResult, _ error) {
				if info.ActivityType.Name != activities.MCPCallName {
					return
				}
				var r activities.MCPCallResult
				if err := result.Get(&r); err != nil {
					t.Error(err)
				}
				server, _, _ := strings.Cut(strings.Trim(string(r.Item.JSON), `"`), ".")
				mu.Lock()
				defer mu.Unlock()
				running[server]--
			})
			in := input(tt.servers...)
			tt.change(&in)
			out, err := s.runIn(env, in)
			if err != nil {
				t.Fatal(err)
			}
			if peak > tt.most || peakServer > tt.mostServer {
				t.Errorf("%d calls at once, %d of one server; at most %d and %d are allowed", peak, peakServer, tt.most, tt.mostServer)
			}
			if got := out.Usage.ToolCalls.MCP.Invocation; got != len(tt.calls) {
				t.Errorf("%d calls made, want %d", got, len(tt.calls))
			}
		})
	}
}

func ids(n int, servers ...string) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s.%d", servers[i%len(servers)], i))
	}
	return out
}

// Calls share the room that the conversation has left, by what is in it when they are made.
func TestCallsShareTheRoom(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.0", "a.1"), asksFor("a.2"), asksFor("a.3", "a.4"), says("answer")}}
	answered := value(strings.Repeat("x", 50_000))
	s.call = func(activities.MCPCallInput) (activities.MCPCallResult, error) {
		return activities.MCPCallResult{Item: answered}, nil
	}
	in := input("a")
	in.Limits.ConversationBytes = 120_000
	if _, err := s.run(in); err != nil {
		t.Fatal(err)
	}
	var before int64
	for _, v := range []blob.Value{value("prompt"), value("tools of a")} {
		before += int64(v.Len())
	}
	after := before + int64(2*answered.Len())
	want := []int64{(120_000 - before) / 2, (120_000 - before) / 2, 120_000 - after, leastRoom, leastRoom}
	var got []int64
	for _, c := range s.calls {
		got = append(got, c.Room)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRoomWithoutALimit(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("a.0"), says("answer")}}
	if _, err := s.run(input("a")); err != nil {
		t.Fatal(err)
	}
	if s.calls[0].Room != 0 {
		t.Errorf("a run that began before there was a limit has room for %d bytes", s.calls[0].Room)
	}
}
