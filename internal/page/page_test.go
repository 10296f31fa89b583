package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"perdure/internal/page"
)

func TestForeign(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain, with ünïcödé, 漢字 and \U0001F469\u200d\U0001F680": "plain, with ünïcödé, 漢字 and \U0001F469\u200d\U0001F680",
		"two\nlines\tand a tab":     "two\nlines\tand a tab",
		"\x00\x1b[31mred\r\x7f":     "␀␛[31mred␍␡",
		"abc\u202edef\u2066ghi":     "abc⟦U+202E⟧def⟦U+2066⟧ghi",
		"zero\u200bwidth\ufeff":     "zero⟦U+200B⟧width⟦U+FEFF⟧",
		"next\u0085line\u2028":      "next⟦U+0085⟧line⟦U+2028⟧",
		"broken \xff bytes":         "broken \ufffd bytes",
		"<script>alert(1)</script>": "<script>alert(1)</script>", // escaping is the template's affair
	} {
		if got := page.Foreign(text); got != want {
			t.Errorf("Foreign(%q) is %q; want %q", text, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, want string
		most       int
		all        bool
	}{{"abc", "abc", 3, true}, {"abcd", "abc", 3, false}, {"aéb", "a", 2, false}, {"", "", 0, true}, {"漢", "", 2, false}} {
		if got, all := page.Clip(tt.text, tt.most); got != tt.want || all != tt.all {
			t.Errorf("Clip(%q, %d) is %q, %v", tt.text, tt.most, got, all)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 340 * time.Millisecond: "340 ms", 2100 * time.Millisecond: "2.1 s", 185 * time.Second: "3 min 5 s",
		130 * time.Minute: "2 h 10 min", 76 * time.Hour: "3 d 4 h",
	} {
		if got := page.Duration(d); got != want {
			t.Errorf("Duration(%v) is %q; want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -4321: "-4,321"} {
		if got := page.Count(n); got != want {
			t.Errorf("Count(%d) is %q; want %q", n, got, want)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	set := page.MustParse(fstest.MapFS{
		"templates/_bold.html": {Data: []byte(`{{define "bold"}}<b>{{.}}</b>{{end}}`)},
		"templates/one.html":   {Data: []byte(`{{define "content"}}{{template "bold" (foreign .Content)}}{{end}}`)},
	}, nil)
	w := httptest.NewRecorder()
	frame := page.Frame{
		Title: "<One>", Section: "/runs", Path: "/runs?a=b", Content: "<script>\u202e",
		Account: &page.Account{Organization: "acme", User: "ann", Role: "member"},
		Flash:   &page.Flash{Text: "<i>done</i>"},
	}
	if err := set.Render(w, http.StatusTeapot, "one", frame); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	for _, want := range []string{
		"<b>&lt;script&gt;⟦U&#43;202E⟧</b>", "<title>&lt;One&gt; · Perdure</title>", "&lt;i&gt;done&lt;/i&gt;", `href="/runs" aria-current="page"`,
		`value="/runs?a=b"`, "acme · member",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, "Enterprise settings") {
		t.Error("a member is shown the admins' pages")
	}
	if w.Code != http.StatusTeapot || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("answered %d with %v", w.Code, w.Header())
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	if err := set.Render(httptest.NewRecorder(), http.StatusOK, "two", frame); err == nil {
		t.Error("a page without a template was rendered")
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		page.Static().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	for name, kind := range map[string]string{"app.css": "text/css", "app.js": "text/javascript", "mark.svg": "image/svg+xml"} {
		w := get(page.Asset(name))
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %v", name, w.Code, w.Header())
		}
	}
	if body := get(page.Asset("stream.js")).Body.String(); !strings.Contains(body, `from "`+page.Asset("follow.js")+`"`) {
		t.Error("stream.js does not know the address of the module that it imports")
	}
	for _, path := range []string{"/static/app.css", "/static/", "/static/../page.go", page.Asset("app.css") + "x"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestFlash(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	page.SetFlash(w, r, page.Flash{Text: strings.Repeat("long ", 1000), Failed: true})
	r.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	f := page.TakeFlash(w, r)
	if f == nil || !f.Failed || !strings.HasPrefix(f.Text, "long long") || len(f.Text) > 1000 {
		t.Errorf("the message is %+v", f)
	}
	if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 || !cookies[0].HttpOnly {
		t.Errorf("the message is not forgotten: %v", cookies)
	}
	strange := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	strange.AddCookie(&http.Cookie{Name: "perdure_flash", Value: "e30"})
	if f := page.TakeFlash(httptest.NewRecorder(), strange); f != nil {
		t.Errorf("a message came out of nothing: %+v", f)
	}
}
