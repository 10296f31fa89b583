package workflows

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/activities"
)

// TestRetryRules pins what may be repeated: what the operator says of the tool, else of its server, else what the server declares of it.
func TestRetryRules(t *testing.T) {
	t.Parallel()
	const read, write = "read", "write" // what the server declares
	only := func(rule activities.RetryRule) activities.RetryPolicy { return activities.RetryPolicy{Default: rule} }
	tests := []struct {
		name        string
		policy      activities.RetryPolicy
		read, write bool // whether each may be repeated
	}{
		{"none, as in older histories", activities.RetryPolicy{}, true, false},
		{"safe", only(activities.RetrySafe), true, false},
		{"always", only(activities.RetryAlways), true, true},
		{"never", only(activities.RetryNever), false, false},
		{"a rule that this version does not know", only("sometimes"), false, false},
		{
			"always, but one tool never",
			activities.RetryPolicy{Default: activities.RetryAlways, Tools: map[string]activities.RetryRule{write: activities.RetryNever}},
			true, false,
		},
		{
			"never, but one tool safe and one always",
			activities.RetryPolicy{Default: activities.RetryNever, Tools: map[string]activities.RetryRule{
				read: activities.RetrySafe, write: activities.RetryAlways,
			}},
			true, true,
		},
		{
			"a rule for a tool of another name",
			activities.RetryPolicy{Tools: map[string]activities.RetryRule{"Write": activities.RetryAlways}},
			true, false,
		},
	}
	for _, tt := range tests {
		for _, approved := range []bool{false, true} {
			name := tt.name
			if approved {
				name += ", approved"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				in := input("s", "other")
				in.Servers[0].Retry = tt.policy
				in.Servers[1].Retry = only(activities.RetryAlways) // which is no affair of s
				s := &script{t: t, turns: []turn{says("answer")}}
				if approved {
					in.Approved = []Approved{
						{RequestID: "mcpr_1", Server: "s", Tool: read, Repeatable: true}, {RequestID: "mcpr_2", Server: "s", Tool: write},
					}
				} else {
					s.turns = []turn{asksFor("s.1", "s.2"), says("answer")}
					calls := s.turns[0].result.Calls
					calls[0].Tool, calls[0].Repeatable, calls[1].Tool = read, true, write
				}
				env := s.environment()
				env.RegisterWorkflow(Approval)
				if _, err := s.runIn(env, in); err != nil {
					t.Fatal(err)
				}
				got := map[string]bool{}
				for _, c := range s.calls {
					got[c.Tool] = c.Repeatable
				}
				if diff := cmp.Diff(map[string]bool{read: tt.read, write: tt.write}, got); diff != "" {
					t.Errorf("repeatable (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A policy may name many tools: it is in the run's input once, and not with every step.
func TestStepsGetNoRetryPolicy(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("s.1"), says("answer")}}
	s.discover = func(in activities.DiscoverInput) (activities.DiscoverResult, error) {
		if diff := cmp.Diff(activities.Server{Label: "s", Origin: "https://s.example"}, in.Server); diff != "" {
			t.Errorf("discover got the server (-want +got):\n%s", diff)
		}
		return activities.DiscoverResult{Item: value("tools"), Tools: 1}, nil
	}
	in := input("s")
	in.Servers[0].Origin = "https://s.example"
	in.Servers[0].Retry = activities.RetryPolicy{Tools: map[string]activities.RetryRule{"t": activities.RetryAlways}}
	if _, err := s.run(in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(activities.Server{Label: "s", Origin: "https://s.example"}, s.calls[0].Server); diff != "" {
		t.Errorf("mcp_call got the server (-want +got):\n%s", diff)
	}
}
