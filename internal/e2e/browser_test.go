package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// pageTimeout bounds how long a page may take to be there.
const pageTimeout = 30 * time.Second

// browser is a headless Chromium with a profile of its own. It can reach this machine and nothing else.
type browser struct{ ctx context.Context }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Fatal("no browser is installed: this test needs Chromium, which is the package chromium in Debian (apt-get install chromium), or Google Chrome")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program)}
	for _, flag := range []string{
		"no-sandbox", // which root cannot have
		"headless", "disable-gpu", "disable-quic", "disable-dev-shm-usage", "no-first-run", "no-default-browser-check",
		"disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions", "disable-default-apps",
		// Nobody looks at the window, so that by default a page would be in the background.
		"disable-renderer-backgrounding", "disable-backgrounding-occluded-windows", "disable-background-timer-throttling",
		"allow-pre-commit-input", // else a click is lost that comes before a page was painted, which a busy machine does late
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	options = append(options, chromedp.Flag("disable-features", "PaintHolding")) // of a page that was left
	// The pages of oidc-provider want a font of Google's.
	options = append(options, chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))
	// The test's context ends before its cleanups, which are to close the browser in peace.
	allocator, release := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		defer release()
		ctx, cancel := context.WithTimeout(ctx, pageTimeout)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser does not end: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", program, err)
	}
	return &browser{ctx: ctx}
}

// do takes steps on pages, within the time that a page may take.
func (b *browser) do(t *testing.T, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	err := chromedp.Do(ctx, steps...)
	if err == nil {
		return
	}
	ctx, cancel = context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	page, shown := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.documentElement.innerText`))
	t.Fatalf("%s: %v\nthe browser shows, %v: %s", what, err, shown, page)
}

func (b *browser) open(t *testing.T, address string) {
	t.Helper()
	b.do(t, "open "+address, chromedp.Navigate(address))
}

const submitButton chromedp.CSS = "button[type=submit]"

// logIn fills in the login page of oidc-provider.
func (b *browser) logIn(t *testing.T, name string) {
	t.Helper()
	b.do(t, "log in at the authorization server",
		chromedp.SendKeys(chromedp.CSS("input[name=login]"), name), chromedp.SendKeys(chromedp.CSS("input[name=password]"), "any"),
		chromedp.Click(submitButton))
}

// consent agrees on the consent page of oidc-provider, once it names a permission.
func (b *browser) consent(t *testing.T, permission string) {
	t.Helper()
	b.do(t, "consent to "+permission,
		chromedp.WaitVisible(`//li[normalize-space(text())="`+permission+`"]`), chromedp.Click(submitButton))
}

// awaitHeading waits for a page of ours.
func (b *browser) awaitHeading(t *testing.T, heading string) {
	t.Helper()
	b.do(t, "wait for "+heading, chromedp.WaitVisible(`//h1[normalize-space(.)="`+heading+`"]`))
}
