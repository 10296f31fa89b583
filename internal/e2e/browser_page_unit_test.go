package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBrowserNotices shows that what the tests of pages look for is found.
func TestBrowserNotices(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src *; frame-ancestors 'none'")
		_, _ = w.Write([]byte(`<!DOCTYPE html><html lang="en"><head><title>Bad</title><style>
			:root { color-scheme: light dark } @media (prefers-color-scheme: dark) { p { color: #333; background: #222 } }
			</style></head><body><main><h1>Bad</h1>
			<p>Dark on dark where it is dark.</p><input name="unlabelled"><img alt="" src="http://elsewhere.example/x.png">
			<pre style="width: 500px">too wide</pre><div style="overflow-x: auto"><pre style="width: 900px">scrolls</pre></div>
			<script>document.title = "ran"</script></main></body></html>`))
	}))
	t.Cleanup(server.Close)
	v := newBrowser(t).visitor(t)
	v.resize(t, 360, 740)
	v.prefer(t, "light")
	v.open(t, server.URL+"/")

	requests, complaints := v.noted()
	if got := elsewhere(requests, server.URL); len(got) != 1 || got[0] != "http://elsewhere.example/x.png" {
		t.Errorf("requests to others: %q", got)
	}
	if got := strings.Join(complaints, "\n"); !strings.Contains(got, "Content Security Policy") {
		t.Errorf("the console complains of %q", got)
	}
	light := v.obstacles(t)
	if len(light) != 1 || !strings.HasPrefix(light[0], "label (critical)") {
		t.Errorf("light: %q", light)
	}
	v.prefer(t, "dark")
	dark := v.obstacles(t, "color-contrast")
	if len(dark) != 1 || !strings.HasPrefix(dark[0], "color-contrast (serious)") {
		t.Errorf("dark: %q", dark)
	}
	wide := v.overflowing(t)
	if len(wide) != 2 || !strings.Contains(wide[1], "too wide") {
		t.Errorf("too wide: %q", wide)
	}
	v.resize(t, 1280, 800)
	if wide := v.overflowing(t); len(wide) != 0 {
		t.Errorf("in a wide window: %q", wide)
	}
}
