package workflows

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
)

func asksApproval(id string) turn {
	request := value("request " + id)
	return turn{result: activities.ModelTurnResult{
		Finish: "tool_calls", Calls: []activities.ToolCall{{ItemID: id, Server: "s", Tool: "t", Approval: &request}},
	}}
}

func TestApprovalRequestEndsTheRun(t *testing.T) {
	t.Parallel()
	both := asksFor("s.read")
	both.result.Calls = append(both.result.Calls, asksApproval("mcpr_1").result.Calls...)
	s := &script{t: t, turns: []turn{both}}
	in := input("s")
	in.MaxSteps = 1
	out, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"prompt", "tools of s", "result of s.read", "request mcpr_1"}
	if diff := cmp.Diff(want, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	if out.Status != responses.ResponseCompleted || !slices.Equal(out.PendingApprovals, []string{"mcpr_1"}) {
		t.Errorf("status %q, pending approvals %q; want completed and mcpr_1", out.Status, out.PendingApprovals)
	}
	if len(s.calls) != 1 || s.calls[0].Index != 1 {
		t.Errorf("calls made: %+v; want the one that needs no approval, at index 1", s.calls)
	}
}

func TestApprovedCallsAreMadeFirst(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{says("done")}}
	in := input("s")
	in.Organization = "acme"
	in.Approved = []Approved{{RequestID: "mcpr_1", Server: "s", Tool: "t", Arguments: value("{}")}}
	in.Denied = []string{"mcpr_2"}
	env := s.environment()
	env.RegisterWorkflow(Approval)
	var claimed []string
	env.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, _ converterArgs) {
		claimed = append(claimed, info.WorkflowExecution.ID)
	})
	out, err := s.runIn(env, in)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(claimed)
	if diff := cmp.Diff([]string{"approval/acme/mcpr_1", "approval/acme/mcpr_2"}, claimed); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if len(s.calls) != 1 {
		t.Fatalf("%d calls were made, want 1", len(s.calls))
	}
	if c := s.calls[0]; c.ApprovalRequestID != "mcpr_1" || c.ItemID != "mcp_1_1" || c.Index != 1 || c.Repeatable {
		t.Errorf("call %+v; want the approved one, as item 1, not repeatable", c)
	}
	if diff := cmp.Diff([]string{"prompt", "tools of s", "result of mcp_1_1", "done"}, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2}, s.asked[0].Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// An answer counts once, so a server that cannot be listed must not use it up.
func TestFailedDiscoveryClaimsNoAnswer(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	s.discover = func(activities.DiscoverInput) (activities.DiscoverResult, error) {
		return activities.DiscoverResult{}, temporal.NewNonRetryableApplicationError("it is down", activities.ErrTypeDiscovery, nil)
	}
	in := input("s", "dead")
	in.Listed = []string{"s"}
	in.Approved = []Approved{{RequestID: "mcpr_1", Server: "s", Tool: "t"}}
	env := s.environment()
	env.RegisterWorkflow(Approval)
	claims := 0
	env.SetOnChildWorkflowStartedListener(func(*workflow.Info, workflow.Context, converterArgs) { claims++ })
	_, err := s.runIn(env, in)
	if app := applicationError(t, err); app.Type() != ErrTypeDiscovery || claims != 0 || len(s.calls) != 0 {
		t.Errorf("error %v, %d claims, %d calls", err, claims, len(s.calls))
	}
}

// Whoever answers second must not have the call made a second time.
func TestSecondAnswerFailsTheRun(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	in := input("s")
	in.Approved = []Approved{{RequestID: "mcpr_1", Server: "s", Tool: "t"}}
	in.Denied = []string{"mcpr_1"}
	env := s.environment()
	env.RegisterWorkflow(Approval)
	_, err := s.runIn(env, in)
	if app := applicationError(t, err); app.Type() != ErrTypeInvalid {
		t.Errorf("error type %q, want %q", app.Type(), ErrTypeInvalid)
	}
	if len(s.calls) > 0 {
		t.Errorf("a call was made: %+v", s.calls)
	}
}

func TestListedServersAreNotListedAgain(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("old.a"), says("done")}}
	in := input("old", "new")
	in.Listed = []string{"old"}
	tools := 7
	in.Servers[0].Tools, in.Servers[0].Fingerprint = &tools, "that of old"
	out, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"prompt", "tools of new", "result of old.a", "done"}, names(out.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"old"}, s.asked[0].Listed); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	one := 1
	want := []ListedServer{{Label: "old", Fingerprint: "that of old", Tools: &tools}, {Label: "new", Tools: &one}}
	if diff := cmp.Diff(want, out.Servers); diff != "" {
		t.Errorf("servers of the outcome (-want +got):\n%s", diff)
	}
	if s := s.calls[0].Server; s.Fingerprint != "" || s.Tools != nil {
		t.Errorf("the call gets %+v", s)
	}
}

// A client that polls sees the items so far.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{asksFor("s.a"), says("done")}}
	env := s.environment()
	var during Outcome
	s.call = func(in activities.MCPCallInput) (activities.MCPCallResult, error) {
		answer, err := env.QueryWorkflow(ProgressName)
		if err == nil {
			err = answer.Get(&during)
		}
		return activities.MCPCallResult{Item: value("called")}, err
	}
	in := input("s")
	in.Background = true
	if _, err := s.runIn(env, in); err != nil {
		t.Fatal(err)
	}
	if during.Status != responses.ResponseInProgress {
		t.Errorf("status %q, want in_progress", during.Status)
	}
	if diff := cmp.Diff([]string{"prompt", "tools of s"}, names(during.Conversation)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
}

// The call IDs must be those that the activity gave to its items.
func TestPendingCalls(t *testing.T) {
	t.Parallel()
	last := asksFor("s.a")
	last.result.Items = append(last.result.Items, value("text"))
	last.result.Functions = append(last.result.Functions, value("f"), value("g"))
	s := &script{t: t, turns: []turn{last}}
	out, err := s.run(input("s"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{responses.CallID("resp_1", 3, 1), responses.CallID("resp_1", 4, 1)}
	if diff := cmp.Diff(want, out.PendingCalls); diff != "" {
		t.Errorf("pending calls (-want +got):\n%s", diff)
	}
}

// What the run starts at its end outlives it: its own end must not reach it, as a cancellation would.
func TestWebhooksOutliveTheRun(t *testing.T) {
	t.Parallel()
	s := &script{t: t, turns: []turn{says("done")}}
	in := input()
	in.Webhooks = []string{"ops"}
	env := s.environment()
	started, cancelled := 0, 0
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context, _ activities.DeliverWebhookInput) error {
		started++
		err := workflow.Sleep(ctx, time.Hour)
		if temporal.IsCanceledError(err) {
			cancelled++
		}
		return err
	}, workflow.RegisterOptions{Name: WebhookName})
	if _, err := s.runIn(env, in); err != nil {
		t.Fatal(err)
	}
	if started != 1 || cancelled != 0 {
		t.Errorf("%d webhooks were started and %d cancelled, want 1 and 0", started, cancelled)
	}
}
