package activities_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/activities"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
)

func TestModelTurnAsksForApproval(t *testing.T) {
	t.Parallel()
	ask := func(name, arguments string) modeltest.Call {
		return modeltest.Call{Name: name, Arguments: arguments, ThoughtSignature: "sig"}
	}
	number := func(n int) *int { return &n }
	never := responses.ApprovalPolicy{Mode: responses.ApproveNever}
	readOnly := responses.ApprovalPolicy{Never: &responses.ToolFilter{ReadOnly: true}}
	policies := func(docs, wiki responses.ApprovalPolicy) map[string]responses.ApprovalPolicy {
		return map[string]responses.ApprovalPolicy{"docs": docs, "wiki": wiki}
	}
	const limit = "not called: the limit that max_tool_calls sets is reached"
	tests := []struct {
		name      string
		approvals map[string]responses.ApprovalPolicy
		change    func(*activities.ModelTurnInput)
		calls     []modeltest.Call
		want      []string
	}{
		{"the dialect without approvals", nil, nil, []modeltest.Call{ask("docs__write", "{}")}, []string{"call_1_2 made"}},
		{
			"a server without a policy", policies(never, never), nil, []modeltest.Call{ask("docs__write", "{}")}, []string{"mcp_1_2 made"},
		},
		{
			"a policy is missing",
			map[string]responses.ApprovalPolicy{"docs": never},
			nil,
			[]modeltest.Call{ask("docs__read", "{}"), ask("wiki__put", `{"q":1}`)},
			[]string{"mcp_1_2 made", `mcp_approval_request 3 wiki.put {"q":1} sig`},
		},
		{
			"read-only is what the server says", policies(readOnly, readOnly), nil,
			[]modeltest.Call{ask("docs__read", "{}"), ask("docs__write", "{}"), ask("wiki__put", "{}")},
			[]string{"mcp_1_2 made", "mcp_approval_request 3 docs.write {} sig", "mcp_approval_request 4 wiki.put {} sig"},
		},
		{
			"in the last turn", policies(responses.ApprovalPolicy{}, never),
			func(in *activities.ModelTurnInput) { in.LastTurn = true },
			[]modeltest.Call{ask("docs__read", "{}"), ask("wiki__read", "{}")},
			[]string{
				"mcp_approval_request 2 docs.read {} sig", "mcp_1_3 not called: this was the last model turn that max_steps allows",
			},
		},
		{
			"they do not count as calls", policies(responses.ApprovalPolicy{}, never),
			func(in *activities.ModelTurnInput) { in.CallsLeft = number(1) },
			[]modeltest.Call{ask("docs__read", "{}"), ask("wiki__read", "{}"), ask("docs__read", "{}"), ask("wiki__read", "{}")},
			[]string{
				"mcp_approval_request 2 docs.read {} sig", "mcp_1_3 made", "mcp_approval_request 4 docs.read {} sig", "mcp_1_5 " + limit,
			},
		},
		{
			"no call is left", policies(responses.ApprovalPolicy{}, never),
			func(in *activities.ModelTurnInput) { in.CallsLeft = number(0) },
			[]modeltest.Call{ask("docs__read", "{}")},
			[]string{"mcp_1_2 " + limit},
		},
		{
			"calls that cannot be made", policies(responses.ApprovalPolicy{}, responses.ApprovalPolicy{}), nil,
			[]modeltest.Call{ask("docs__read", "[]"), ask("docs__nothing", "{}")},
			[]string{"mcp_1_2 the arguments are not a JSON object", "mcp_1_3 no tool of this name was offered"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(modeltest.Calls(tt.calls...)))
			f := setup(t, m.URL())
			in := f.turnInput(activities.Settings{Approvals: tt.approvals})
			if tt.change != nil {
				tt.change(&in)
			}
			var got []string
			for n, c := range f.turn(in).Calls {
				switch {
				case c.Approval != nil:
					item := unpack[*responses.MCPApprovalRequest](f, *c.Approval)
					if item.ID != c.ItemID || item.ID != responses.ItemID(responses.TypeMCPApprovalRequest, responseID, n+2) || c.Refused != nil {
						t.Errorf("item %+v of call %+v", item, c)
					}
					got = append(got, "mcp_approval_request "+string(rune('2'+n))+" "+item.ServerLabel+"."+item.Name+" "+
						item.Arguments+" "+item.ThoughtSignature)
				case c.Refused != nil:
					got = append(got, c.ItemID+" "+*unpack[*responses.MCPCall](f, *c.Refused).Error)
				default:
					got = append(got, c.ItemID+" made")
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Tools that were listed in an earlier response are offered if this run did not list them again; the last list counts.
func TestModelTurnOffersToolsListedBefore(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	older := &responses.MCPListTools{ID: "mcpl_0_0", ServerLabel: "docs", Tools: []responses.MCPToolInfo{{Name: "gone", InputSchema: anySchema}}}
	other := &responses.MCPListTools{ID: "mcpl_0_1", ServerLabel: "other", Tools: []responses.MCPToolInfo{{Name: "t", InputSchema: anySchema}}}
	in := activities.ModelTurnInput{
		ResponseID: responseID, Turn: 1, Model: provider + "/m", Settings: f.value(activities.Settings{}),
		OutputFrom: 4, NextItem: 1, Listed: []string{"docs"},
	}
	in.Conversation.Append(f.pack(older, docs, other, question, wiki)...)
	f.turn(in)
	want := []string{"docs__read", "docs__write", "wiki__put", "wiki__read"}
	if got := m.Requests()[0].ToolNames(); !slices.Equal(got, want) {
		t.Errorf("offered %v, want %v", got, want)
	}
}
