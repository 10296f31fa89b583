package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// script is what the steps of a run do. Each may be nil: it then does nothing of note.
type script struct {
	discover func(context.Context, activities.DiscoverInput) (activities.DiscoverResult, error)
	turn     func(context.Context, activities.ModelTurnInput) (activities.ModelTurnResult, error)
	call     func(context.Context, activities.MCPCallInput) (activities.MCPCallResult, error)
}

// scripted is a starter with a worker that runs the real workflow with the steps of a script.
type scripted struct {
	*rig
	starter *Starter
}

func newScripted(t *testing.T, steps script, change ...func(*Options)) *scripted {
	t.Helper()
	r := serve(t, nil, append([]func(*Options){func(o *Options) {
		codec := payload.NewCodec(o.Sealer, true)
		o.Payloads = payload.NewDataConverter(codec)
		o.Temporal = must(client.NewLazyClient(client.Options{
			HostPort: temporaldevtest.Address(t), Logger: tlog.NewStructuredLogger(o.Logger), DataConverter: o.Payloads,
			FailureConverter: payload.NewFailureConverter(codec), ExternalStorage: payload.NewStorage(o.Blobs),
		}))
		t.Cleanup(o.Temporal.Close)
	}}, change...)...)
	w := sdkworker.New(r.options.Temporal, r.options.TaskQueue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(workflows.Response, workflow.RegisterOptions{Name: workflows.ResponseName})
	for name, step := range map[string]any{
		activities.DiscoverName: steps.discover, activities.ModelTurnName: steps.turn, activities.MCPCallName: steps.call,
	} {
		w.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: name})
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return &scripted{r, newStarter(t.Context(), t.Context(), r.options)}
}

// items packs what a step returns.
func (o Options) items(ctx context.Context, id string, items ...responses.Item) []blob.Value {
	return must(transcript.Pack(ctx, o.Blobs.For(id), items...))
}

func spoken(text string) responses.Item {
	return &responses.Message{Role: responses.RoleAssistant, Content: []responses.Part{responses.OutputText(text)}}
}

// await asks for the timeline of a run until it is as it should be.
func (s *scripted) await(t *testing.T, id string, page TimelinePage, what string, is func(*Timeline) bool) *Timeline {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	last := ""
	for {
		got, err := s.starter.Timeline(ctx, alice, id, page)
		if err != nil {
			t.Fatalf("it is not so that %s: %v, after\n%s", what, err, last)
		}
		if is(got) {
			return got
		}
		last = inWords(got.Steps)
		select {
		case <-ctx.Done():
			t.Fatalf("it is not so that %s:\n%s", what, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func hasStopped(t *Timeline) bool { return !t.Running }

const twoServers = `{"input":"do  it\nnow","background":true,"tools":[
	{"type":"mcp","server_label":"a","server_url":"http://127.0.0.1:1/a"},{"type":"mcp","server_label":"b","server_url":"http://127.0.0.1:1/b"}]}`

// A run is watched while two of its calls go on at once, one of them after an attempt that failed, and after its end.
func TestTimelineOfRun(t *testing.T) {
	t.Parallel()
	var s *scripted
	release, both := make(chan struct{}), sync.WaitGroup{}
	both.Add(2)
	reached := map[string]*sync.Once{"t": {}, "u": {}} // a call of a busy machine is tried again when its heartbeat is late
	steps := script{
		discover: func(ctx context.Context, in activities.DiscoverInput) (activities.DiscoverResult, error) {
			if in.Server.Label == "b" && activity.GetInfo(ctx).Attempt == 1 {
				return activities.DiscoverResult{}, temporal.NewApplicationErrorWithOptions("MCP server \"b\" was busy", activities.ErrTypeDiscovery,
					temporal.ApplicationErrorOptions{NextRetryDelay: 7 * time.Millisecond})
			}
			list := &responses.MCPListTools{ServerLabel: in.Server.Label, Tools: []responses.MCPToolInfo{{Name: "tool_of_" + in.Server.Label, Description: "<b>"}}}
			return activities.DiscoverResult{Item: s.options.items(ctx, in.ResponseID, list)[0], Tools: 1}, nil
		},
		turn: func(ctx context.Context, in activities.ModelTurnInput) (activities.ModelTurnResult, error) {
			usage := responses.Usage{InputTokens: 10 * in.Turn, OutputTokens: in.Turn}
			if in.Turn > 1 {
				return activities.ModelTurnResult{Items: s.options.items(ctx, in.ResponseID, spoken("the end")), Try: 1, Usage: usage}, nil
			}
			return activities.ModelTurnResult{Try: 1, Usage: usage, Calls: []activities.ToolCall{
				{ItemID: "call_0", Server: "a", Tool: "t", Arguments: must(s.options.Blobs.For(in.ResponseID).Pack(ctx, `{"n":1}`, 1<<10))},
				{ItemID: "call_1", Server: "b", Tool: "u", Arguments: must(s.options.Blobs.For(in.ResponseID).Pack(ctx, `{"n":2}`, 1<<10))},
			}}, nil
		},
		call: func(ctx context.Context, in activities.MCPCallInput) (activities.MCPCallResult, error) {
			if in.Tool == "u" && activity.GetInfo(ctx).Attempt == 1 {
				return activities.MCPCallResult{}, errors.New("canary: not for clients")
			}
			reached[in.Tool].Do(both.Done)
			<-release
			item := &responses.MCPCall{ID: in.ItemID, ServerLabel: in.Server.Label, Name: in.Tool, Output: `{"ok":true}`}
			if in.Tool == "u" {
				failed := "it is broken"
				item.Output, item.Error = "", &failed
			}
			return activities.MCPCallResult{Item: s.options.items(ctx, in.ResponseID, item)[0], Failed: in.Tool == "u"}, nil
		},
	}
	s = newScripted(t, steps)
	id := s.create(t, twoServers).response(t).ID
	both.Wait()
	during := s.await(t, id, TimelinePage{}, "the second call is in its second attempt", func(now *Timeline) bool {
		return len(now.Steps) == 6 && now.Steps[5].Attempts == 2 && now.Steps[5].State == StepRunning
	})
	a, b := during.Steps[4], during.Steps[5]
	if a.State != StepRunning || a.Attempts != 1 || !a.UnderWay() || a.Arguments.Text != "{\n  \"n\": 1\n}" || a.Origin != "http://127.0.0.1:1" {
		t.Errorf("the first call is %+v", a)
	}
	if b.LastFailure != unexplained || b.Tool != "u" || b.AttemptStart.IsZero() {
		t.Errorf("the second call is %+v", b)
	}
	if groups := during.Groups(); len(groups) != 4 || len(groups[3].Steps) != 2 || !groups[3].End.IsZero() {
		t.Errorf("the groups are %+v", groups)
	}
	version := must(s.starter.TimelineVersion(t.Context(), alice, id))
	if version != during.Version || !during.Running {
		t.Errorf("version %s, then %s; running %v", during.Version, version, during.Running)
	}
	close(release)
	after := s.await(t, id, TimelinePage{}, "it has ended", hasStopped)
	if after.Version == version {
		t.Error("the end has not changed the version")
	}
	want := `accepted done
discovery done a (1 tools)
discovery done b (1 tools)
turn done p/m
call done a t [{ "n": 1 }] [{ "ok": true }]
call failed b u [{ "n": 2 }] [it is broken]
turn done p/m [the end]
end done completed
`
	if got := inWords(after.Steps); got != want {
		t.Errorf("got\n%s", got)
	}
	d, turn := after.Steps[2], after.Steps[6]
	if d.Attempts != 2 || d.LastFailure != `MCP server "b" was busy` || d.Asked != 7*time.Millisecond || d.Tools[0] != (ToolShown{"tool_of_b", "<b>"}) {
		t.Errorf("the discovery is %+v", d)
	}
	if turn.Usage.InputTokens != 20 || turn.Turn != 2 || turn.Attempts != 1 {
		t.Errorf("the turn is %+v", turn)
	}
	if strings.Contains(fmt.Sprintf("%+v", after), "canary") {
		t.Error("an error that is not for clients is shown")
	}
	run := must(s.starter.Run(t.Context(), alice, id))
	if run.Status != "completed" || run.Running || run.User != "alice" || run.Key != "laptop" || len(run.Input) != 1 || run.InputLen != 1 ||
		run.Usage.InputTokens != 30 || len(run.Output) != run.OutputLen || run.OutputLen != 5 || len(run.Servers) != 2 || run.Ended.IsZero() {
		t.Errorf("the run is %+v", run)
	}
	s.awaitListed(t, id, "do it now")
	s.checkStrangers(t, id)
}

// awaitListed waits until the run is in the list.
func (s *scripted) awaitListed(t *testing.T, id, title string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		list, err := s.starter.Runs(ctx, alice, RunFilter{Status: "completed", Server: "b", After: time.Now().Add(-time.Hour), Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range list.Runs {
			if row.ID == id && !row.Ended.IsZero() {
				if row.Title != title || row.User != "alice" || row.Model != "p/m" || len(row.Servers) != 2 {
					t.Errorf("the row is %+v", row)
				}
				return
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatal("the run is not in the list")
}

// pageRequest is one that a page is asked with.
func pageRequest(t *testing.T) *http.Request {
	t.Helper()
	return must(http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
}

// checkStrangers: nobody else sees anything of the run, and who has another key sees what is not encrypted.
func (s *scripted) checkStrangers(t *testing.T, id string) {
	t.Helper()
	ctx, eve := t.Context(), identity.Principal{Organization: "other", User: "eve", Scopes: identity.AllScopes}
	_, runErr := s.starter.Run(ctx, eve, id)
	_, timelineErr := s.starter.Timeline(ctx, eve, id, TimelinePage{})
	_, versionErr := s.starter.TimelineVersion(ctx, eve, id)
	_, _, contentErr := s.starter.StepContent(ctx, eve, id, "", 5, PartOutput)
	for what, err := range map[string]error{
		"run": runErr, "timeline": timelineErr, "version": versionErr, "content": contentErr,
		"cancel": s.starter.StopRun(pageRequest(t), eve, id), "delete": s.starter.DeleteRun(pageRequest(t), eve, id),
	} {
		var shown *responses.Error
		if !errors.As(err, &shown) || shown.Status != http.StatusNotFound {
			t.Errorf("%s: a stranger gets %v", what, err)
		}
	}
	options := s.options
	options.Payloads = payload.NewDataConverter(payload.NewCodec(must(secret.ParseKeyset(must(secret.GenerateKeyset()))), true))
	other := newStarter(ctx, ctx, options)
	run := must(other.Run(ctx, alice, id))
	if run.Unreadable == "" || run.Request != nil || run.Status != "completed" || run.User != "alice" {
		t.Errorf("with another key the run is %+v", run)
	}
	timeline := must(other.Timeline(ctx, alice, id, TimelinePage{}))
	if len(timeline.Steps) != 8 || timeline.Steps[4].Unreadable == "" || timeline.Steps[4].Tool != "" ||
		timeline.Steps[2].LastFailure != "its reason is encrypted with a key that this server does not have" {
		t.Errorf("with another key the timeline is\n%s%+v", inWords(timeline.Steps), timeline.Steps[2])
	}
}
