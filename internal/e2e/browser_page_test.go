package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// visitor is a tab with cookies of its own, in a browser that others use at the same time. It notes what pages ask the network for, and
// what the browser has to complain of.
type visitor struct {
	*browser
	mu         sync.Mutex
	requests   []string // URLs
	complaints []string // of the console: errors, uncaught exceptions, violations of a policy
}

func (b *browser) visitor(t *testing.T) *visitor {
	t.Helper()
	v := &visitor{}
	ctx, leave := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(v.note))
	t.Cleanup(leave)
	v.browser = &browser{ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context, so it has no timeout
		t.Fatalf("open a tab: %v", err)
	}
	return v
}

func (v *visitor) note(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		v.requests = append(v.requests, e.Request.URL)
	case *cdplog.EventEntryAdded:
		// A page that is not found is no fault of the page.
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			v.complaints = append(v.complaints, e.Entry.Text)
		}
	case *page.EventJavascriptDialogOpening:
		// Are they sure? They are. A listener must not wait for an answer itself.
		go func() {
			_, _ = chromedp.Call(v.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	case *runtime.EventExceptionThrown:
		v.complaints = append(v.complaints, e.ExceptionDetails.Text)
	}
}

// noted returns what has been noted since the last call.
func (v *visitor) noted() (requests, complaints []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	requests, complaints = v.requests, v.complaints
	v.requests, v.complaints = nil, nil
	return requests, complaints
}

// setSession gives the tab the cookie of a session at an address.
func (v *visitor) setSession(t *testing.T, address, token string) {
	t.Helper()
	hidden := true // from scripts, as the server sets it
	v.do(t, "set the session's cookie", call(network.SetCookie, network.SetCookieParams{Name: sessionCookie, Value: token, URL: address, HTTPOnly: &hidden}))
}

// prefer makes the tab one of a person whose system is light or dark, and who does not like things that move.
func (v *visitor) prefer(t *testing.T, scheme string) {
	t.Helper()
	v.do(t, "prefer "+scheme, call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}))
}

func (v *visitor) resize(t *testing.T, width, height int64) {
	t.Helper()
	v.do(t, fmt.Sprintf("be %d pixels wide", width), chromedp.EmulateViewport(width, height))
}

// call is a command of the protocol as a step.
func call[P any](command cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// evaluated evaluates an expression, which may be a promise, in a page.
func evaluated[T any](t *testing.T, b *browser, what, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return value
}

// axeScript is axe-core, which we did not write: it knows what of a page people cannot use who do not see it, or not well.
var axeScript = sync.OnceValues(func() (string, error) {
	script, err := os.ReadFile("npm/node_modules/axe-core/axe.min.js")
	return string(script), err
})

// obstacles lists the violations of axe-core's rules in the page that are serious or critical: of all of them, or of those that are named.
func (v *visitor) obstacles(t *testing.T, rules ...string) []string {
	t.Helper()
	script, err := axeScript()
	if err != nil {
		t.Fatalf("%v: make test installs it", err)
	}
	only := ""
	if len(rules) > 0 {
		only = "runOnly: ['" + strings.Join(rules, "', '") + "'],"
	}
	// Of a page that was looked at before, the script is there. The protocol evaluates it, so no policy of the page stands in its way.
	if !evaluated[bool](t, v.browser, "look for axe-core", `typeof axe === "object"`) {
		v.do(t, "load axe-core", discard(chromedp.Evaluate[bool](script+"; true")))
	}
	return evaluated[[]string](t, v.browser, "ask axe-core", `axe.run(document, {`+only+` resultTypes: ['violations']}).then(r => r.violations
		.filter(v => v.impact === 'serious' || v.impact === 'critical')
		.map(v => v.id + ' (' + v.impact + '): ' + v.help + v.nodes.slice(0, 4)
			.map(n => '\n    ' + n.html.slice(0, 200) + '\n      ' + n.failureSummary.replaceAll('\n', ' ')).join('')))`)
}

// overflowing lists what of the page is wider than the window and cannot be scrolled to inside it. It is empty, too, if nothing but
// the reach of the page is.
func (v *visitor) overflowing(t *testing.T) []string {
	t.Helper()
	return evaluated[[]string](t, v.browser, "look for what overflows", `(() => {
		const root = document.documentElement, wide = root.clientWidth
		if (root.scrollWidth <= wide) return []
		const scrolls = e => e && e !== root && e !== document.body && (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement))
		const out = [...document.body.querySelectorAll('*')]
			.filter(e => e.checkVisibility() && e.getBoundingClientRect().right > wide + 0.5 && !scrolls(e.parentElement))
			.slice(0, 5).map(e => e.outerHTML.slice(0, 150) + ' ends at ' + Math.round(e.getBoundingClientRect().right))
		return ['the page is ' + root.scrollWidth + ' pixels wide in a window of ' + wide, ...out]
	})()`)
}

// discard makes a step of an action whose result does not matter.
func discard[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := a(ctx, t)
		return err
	})
}

// elsewhere lists the requests that go to another site.
func elsewhere(requests []string, site string) []string {
	return slices.DeleteFunc(requests, func(url string) bool {
		return strings.HasPrefix(url, site+"/") || strings.HasPrefix(url, "data:") || strings.HasPrefix(url, "blob:"+site+"/")
	})
}
