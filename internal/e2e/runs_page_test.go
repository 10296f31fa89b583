package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"perdure/internal/identity"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// runsStage is a stack with a model and an MCP server that do as a test wants, and somebody who looks.
type runsStage struct {
	*pageStage
	mcp *mcptest.Hostile
	// who is alone in an organization of their own: the lists of others have their runs.
	who   person
	token string // their API key
	alice *visitor
}

func newRunsStage(t *testing.T, reply func(modeltest.Request) modeltest.Reply) *runsStage {
	t.Helper()
	model := modeltest.NewFunc(reply)
	s := &runsStage{
		pageStage: &pageStage{made: map[string]string{}, visitors: map[person]*visitor{}}, mcp: mcptest.NewHostile(),
		who: person{"org-" + uuid.NewString(), "alice"},
	}
	t.Cleanup(func() {
		for _, double := range []interface{ Close() error }{model, s.mcp} {
			if err := double.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	s.stack = ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL()})
	s.openStore(t)
	s.join(t, s.who, identity.Admin)
	s.token = s.key(t, s.who, "laptop")
	s.browser = newBrowser(t)
	s.alice = s.visitor(t, s.who)
	return s
}

// run starts a run in the background and returns its ID.
func (s *runsStage) run(t *testing.T, members string) string {
	t.Helper()
	a, err := send(t.Context(), http.MethodPost, s.url+"/v1/responses", s.token, `{"background": true, `+members+`}`)
	var made struct{ ID string }
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &made) != nil {
		t.Fatalf("%v, status %d: %s", err, a.status, a.body)
	}
	return made.ID
}

// tools is a member of a request: the MCP server, under a label.
func (s *runsStage) tools(label string) string {
	return fmt.Sprintf(`"tools": [{"type": "mcp", "server_label": %q, "server_url": %q}]`, label, s.mcp.URL())
}

// awaits waits until an expression is true in the page.
func (v *visitor) awaits(t *testing.T, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, pageTimeout)
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && is {
			return
		}
		select {
		case <-ctx.Done():
			page, shown := chromedp.Run(v.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.documentElement.innerText`))
			t.Fatalf("it is not so that %s: %v\nthe browser shows, %v: %s", what, err, shown, page)
		case <-time.After(pollEvery):
		}
	}
}

// showsCall is an expression: a tool has one call in a state.
func showsCall(tool, state string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('.step.call[data-state=%q]')].filter(s => s.querySelector('.step-name').textContent.includes(%q)).length === 1`, state, tool)
}

const status = `document.querySelector('#run-status').textContent`

// A run is watched while it goes on: two calls side by side, then the death of their worker with both of them under way, then a text that
// comes in pieces, with the starter away in between. What the person has unfolded and where the focus is stays.
func TestRunPageIsLive(t *testing.T) {
	t.Parallel()
	never, release := make(chan struct{}), make(chan struct{})
	s := newRunsStage(t, func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return modeltest.Calls(modeltest.Call{Name: "s__look", Arguments: `{"n": 1}`}, modeltest.Call{Name: "s__write", Arguments: `{"n": 2}`})
		}
		return modeltest.Text("first piece of the answer, and the rest of it").HoldAfter(4, release)
	})
	s.mcp.On("tools/list", mcptest.Result(`{"tools":[{"name":"look","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},
		{"name":"write","inputSchema":{"type":"object"}}]}`))
	s.mcp.On("tools/call", mcptest.InTurn(mcptest.Held(never, mcptest.Result(`{}`)), mcptest.Held(never, mcptest.Result(`{}`)),
		mcptest.Result(`{"content":[{"type":"text","text":"{\"seen\":true}"}]}`)))
	id := s.run(t, `"input": "look and write", `+s.tools("s"))
	if err := s.mcp.Await(t.Context(), "tools/call", 2); err != nil {
		t.Fatal(err)
	}
	v := s.alice
	v.open(t, s.url+"/runs/"+id)
	v.awaits(t, "both calls run, side by side",
		showsCall("look", "running")+" && "+showsCall("write", "running")+` && document.querySelectorAll('.side-by-side .step.call').length === 2`)
	v.awaits(t, "the run runs", status+` === 'Running' && document.querySelector('#run').dataset.live`)
	v.do(t, "unfold a call", chromedp.Evaluate[chromedp.Void](`(() => {
		window.watched = document.querySelector('.step.call')
		watched.open = true
		watched.querySelector('summary').focus()
		window.scrollTo(0, 60)
	})()`))

	s.worker.kill()
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	v.awaits(t, "the call of the tool that reads was made again", showsCall("look", "done"))
	v.awaits(t, "the call of the tool that writes has an unknown outcome", showsCall("write", "unknown"))
	v.awaits(t, "the attempts are told", `document.querySelector('.step.call[data-state="done"]').textContent.includes('2 attempts')
		&& document.querySelector('.step.call[data-state="done"]').textContent.includes('was not heard of any more')`)
	v.awaits(t, "what was unfolded and focused still is", `watched.isConnected && watched.open && document.activeElement === watched.querySelector('summary') && window.scrollY > 0`)
	v.awaits(t, "the first piece is there before the run has ended", `document.querySelector('#run-stream').textContent.includes('first')
		&& !document.querySelector('#run-stream').textContent.includes('rest of it') && `+status+` === 'Running'`)

	s.starter.kill()
	if err := s.startStarterAt(t.Context(), strings.TrimPrefix(s.url, "http://")); err != nil {
		t.Fatal(err)
	}
	close(release)
	v.awaits(t, "the run has ended with its whole text", status+` === 'Completed' && !document.querySelector('#run').dataset.live
		&& document.querySelector('#run-output').textContent.includes('first piece of the answer, and the rest of it') && !document.querySelector('#run-stream')`)
	v.awaits(t, "the same elements are there as before", `watched.isConnected && watched.open`)
	if _, complaints := v.noted(); len(complaints) > 0 {
		t.Errorf("the console has %q", complaints)
	}
}

// A person ends a run from its page, then deletes it, with and without scripts.
func TestRunPageCancels(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	s := newRunsStage(t, func(modeltest.Request) modeltest.Reply { return modeltest.Text("never").Hold(never) })
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		id := s.run(t, `"input": "wait"`)
		v := s.browser.visitor(t)
		v.setSession(t, s.url, s.session(t, s.who))
		if !scripts {
			v.do(t, "do without scripts", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
		}
		v.open(t, s.url+"/runs/"+id)
		v.do(t, name+": cancel", chromedp.WaitVisible(chromedp.CSS("#run-status.live")),
			chromedp.Evaluate[chromedp.Void](`window.confirm = () => true, undefined`), chromedp.Click(`//button[text()="Cancel"]`),
			chromedp.WaitVisible(`//p[@role="status" and text()="The run was asked to end."]`))
		for reload := 0; ; reload++ { // the end takes a moment
			if shown := evaluated[string](t, v.browser, "read the status", status); shown == "Cancelled" {
				break
			}
			if reload == 200 {
				t.Fatalf("%s: the run is not cancelled", name)
			}
			<-time.After(50 * time.Millisecond)
			if !scripts {
				v.open(t, s.url+"/runs/"+id)
			}
		}
		v.do(t, name+": ask for the deletion", chromedp.Click(`//a[text()="Delete"]`), chromedp.WaitVisible(`//button[text()="Delete the run"]`),
			chromedp.Click(`//button[text()="Delete the run"]`), chromedp.WaitVisible(`//h1[text()="Runs"]`))
		if status := v.visit(t, s.url+"/runs/"+id); status != http.StatusNotFound {
			t.Errorf("%s: the deleted run's page has status %d", name, status)
		}
	}
}

// The list is narrowed by a form that needs no script, and follows what goes on.
func TestRunsListFilters(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := newRunsStage(t, func(r modeltest.Request) modeltest.Reply {
		if strings.Contains(r.Last().Content, "wait") {
			return modeltest.Text("done").Hold(release)
		}
		return modeltest.Text("done")
	})
	s.mcp.On("tools/list", mcptest.Result(writeTool))
	waiting := s.run(t, `"input": "wait for me"`)
	other := s.run(t, `"input": "another model", "model": "backup/other"`)
	server := s.run(t, `"input": "with a server", `+s.tools("files"))
	rows := func(ids ...string) string {
		want, err := json.Marshal(append([]string{}, ids...))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`[...document.querySelectorAll('.runs tbody tr')].map(r => r.id.replace('row-', '')).sort().join() === %s.sort().join()`, want)
	}
	v := s.alice
	v.open(t, s.url+"/runs")
	v.awaits(t, "all runs appear by themselves, with their titles", rows(waiting, other, server)+` && document.body.textContent.includes('wait for me')`)
	v.awaits(t, "one of them runs", `document.querySelectorAll('.runs .tag.live').length === 1`)
	v.do(t, "focus a run", chromedp.Evaluate[chromedp.Void](`(window.focused = document.querySelector('#row-`+waiting+` a')).focus()`))
	for name, c := range map[string]struct {
		steps []chromedp.Action[chromedp.Void]
		want  []string
	}{
		"status": {[]chromedp.Action[chromedp.Void]{chromedp.SetValue(chromedp.CSS("#status"), "in_progress")}, []string{waiting}},
		"model":  {[]chromedp.Action[chromedp.Void]{chromedp.SendKeys(chromedp.CSS("#model"), "backup/other")}, []string{other}},
		"server": {[]chromedp.Action[chromedp.Void]{chromedp.SendKeys(chromedp.CSS("#server"), "files"), chromedp.SetValue(chromedp.CSS("#since"), "1h")}, []string{server}},
		"user":   {[]chromedp.Action[chromedp.Void]{chromedp.SendKeys(chromedp.CSS("#user"), "nobody")}, nil},
		"time":   {[]chromedp.Action[chromedp.Void]{chromedp.SetValue(chromedp.CSS("#since"), "24h")}, []string{waiting, other, server}},
	} {
		w := s.browser.visitor(t)
		w.setSession(t, s.url, s.session(t, s.who))
		w.do(t, "do without scripts", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
		w.open(t, s.url+"/runs")
		w.do(t, "filter by "+name, append(c.steps, chromedp.Click(`//button[text()="Filter"]`), chromedp.WaitVisible(`//a[text()="Reset"]`))...)
		w.awaits(t, "by "+name+" the list has "+strings.Join(c.want, ", "), rows(c.want...))
		if c.want == nil {
			w.awaits(t, "an empty list says so", `document.querySelector('.empty').textContent.includes('No run is like that')`)
		}
	}
	close(release)
	v.awaits(t, "the run is shown as completed", `document.querySelector('#row-`+waiting+` .tag').textContent === 'Completed'`)
	v.awaits(t, "the focus is where it was", `document.activeElement === focused && focused.isConnected`)
	if _, complaints := v.noted(); len(complaints) > 0 {
		t.Errorf("the console has %q", complaints)
	}
}
