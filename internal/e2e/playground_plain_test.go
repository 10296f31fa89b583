package e2e

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPlaygroundWithoutScripts: the form is sent by the browser itself, and the answer is the run's page.
func TestPlaygroundWithoutScripts(t *testing.T) {
	t.Parallel()
	p := newPlayStage(t)
	close(p.held)
	p.b.do(t, "run no scripts", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	p.open(t, "/playground")
	p.enter(t, "input", "add")
	p.press(t, "add-server")
	p.enter(t, "server-0-label", "everything")
	p.enter(t, "server-0-url", "http://")
	p.enter(t, "server-0-authorization", playSecret)
	p.press(t, "add-server")
	p.press(t, "remove-server-1")
	html := p.html(t)
	for _, want := range []string{"add</textarea>", `value="everything"`, "enter it again"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s: %s", want, html)
		}
	}
	if strings.Contains(html, playSecret) || strings.Contains(html, "server-1-label") {
		t.Error("the page has the token, or the server that was removed")
	}

	// What is wrong stands at its field, and the rest stays.
	p.enter(t, "server-0-authorization", playSecret)
	p.press(t, "run")
	if html = p.html(t); !regexp.MustCompile(`data-error="server-0-url" id="error-server-0-url">\S`).MatchString(html) || !strings.Contains(html, "add</textarea>") {
		t.Errorf("the page does not say what is wrong: %s", html)
	}
	if strings.Contains(html, playSecret) {
		t.Error("the page has the token")
	}

	p.enter(t, "server-0-url", strings.TrimPrefix(p.mcp, "http://"))
	p.enter(t, "server-0-authorization", playSecret)
	p.press(t, "code")
	if html = p.html(t); !strings.Contains(html, "$EVERYTHING_TOKEN") || strings.Contains(html, playSecret) {
		t.Errorf("the page has no code, or the token in it: %s", html)
	}

	// The call needs approval, which the next form gives.
	p.enter(t, "server-0-authorization", playSecret)
	p.press(t, "run")
	asked := p.atRun(t)
	r := p.stored(t, asked)
	p.awaitEnd(t, asked)
	p.open(t, "/playground?previous="+asked)
	if html = p.html(t); !strings.Contains(html, "get-sum") || !strings.Contains(html, `value="approve"`) {
		t.Fatalf("the page does not ask for approval of %+v: %s", r.Output, html)
	}
	p.b.do(t, "approve", chromedp.Click(chromedp.CSS(`input[value="approve"]`)))
	p.enter(t, "server-0-url", "/mcp")
	p.press(t, "run")
	answered := p.atRun(t)
	r = p.awaitEnd(t, answered)
	if r.Status != "completed" || len(r.Output) < 2 || !strings.Contains(r.text(), "forty-two") {
		t.Errorf("the run is %s with %+v", r.Status, r.Output)
	}
	p.open(t, "/runs/"+answered)
	if html = p.html(t); !strings.Contains(html, "forty-two") || !strings.Contains(html, "/playground?from="+answered) {
		t.Errorf("the run's page lacks the answer, or the way back: %s", html)
	}
	p.open(t, "/playground?previous="+answered)
	if html = p.html(t); !strings.Contains(html, "forty-two") || !strings.Contains(html, "/playground?previous="+asked) {
		t.Errorf("the page lacks the answer, or the way to what was before: %s", html)
	}

	// Nobody could see the answer.
	p.enter(t, "input", "say no")
	p.b.do(t, "store nothing", chromedp.Click(chromedp.CSS(".play-more > summary")), chromedp.Click(chromedp.CSS("#store")))
	p.press(t, "run")
	if html = p.html(t); !strings.Contains(html, "only be shown if it is stored") {
		t.Errorf("the page says nothing of it: %s", html)
	}
}

// enter adds to what is in a field, as fingers do.
func (p *playStage) enter(t *testing.T, name, text string) {
	t.Helper()
	p.b.do(t, "enter "+name, chromedp.SendKeys(chromedp.CSS(`[name="`+name+`"]`), kb.End+text))
}

// press sends the form, and waits for the page that answers.
func (p *playStage) press(t *testing.T, action string) {
	t.Helper()
	button := chromedp.CSS(`button[value="` + action + `"]:not(.hidden)`)
	p.b.do(t, "press "+action, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.RunResponse(ctx, chromedp.Click(button))
		return err
	}))
}

// html is the page as it is.
func (p *playStage) html(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.b.ctx, pageTimeout)
	defer cancel()
	html, err := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html")))
	if err != nil {
		t.Fatal(err)
	}
	return html
}

// atRun wants the browser to be at the page of a run, and returns its ID.
func (p *playStage) atRun(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.b.ctx, pageTimeout)
	defer cancel()
	address, err := chromedp.Run(ctx, chromedp.Location())
	id, ok := strings.CutPrefix(address, p.page("/runs/"))
	if err != nil || !ok {
		t.Fatalf("the browser is at %s, %v: %s", address, err, p.html(t))
	}
	return id
}

// awaitEnd waits for the end of a run.
func (p *playStage) awaitEnd(t *testing.T, id string) response {
	t.Helper()
	a, err := request(t.Context(), "GET", "http://"+p.address+"/v1/responses/"+id+"?stream=true", apiKey, "")
	if err != nil || !strings.Contains(string(a.body), "[DONE]") {
		t.Fatalf("%v: %s", err, a.body)
	}
	return p.stored(t, id)
}
