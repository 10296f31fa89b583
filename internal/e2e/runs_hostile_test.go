package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// hostileText wants to be more than text: an element, a script, the end of what stands around it, the direction of all that follows, a
// command for a terminal, nothing that can be seen.
const hostileText = "\u202egnp.exe" + `"'></pre></details><img src=x onerror="window.pwned=1" class="injected"><script>window.pwned=1</script>` +
	`<svg onload="window.pwned=1"><style>*{display:none}</style>{{.Secret}}${1+1}</textarea></title><base href="https://evil.example/">` +
	"\u2066\u2067 \u061c \u200b\ufeff \x1b[31m\x07\x7f \u0085\u2028end-of-hostile-text"

// harmless is an expression: a page shows the hostile text, and nothing came of it.
const harmless = `(() => {
	const out = []
	if (window.pwned) out.push('a script ran')
	if (document.querySelector('.injected, main svg[onload], main base, main style, main script')) out.push('an element was injected')
	if (document.baseURI !== location.href.split('#')[0] && document.baseURI !== location.href) out.push('the base is ' + document.baseURI)
	const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT)
	const odd = /(?![\n\t\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/u
	let shown = 0
	for (let n = walker.nextNode(); n; n = walker.nextNode()) {
		if (n.nodeType === Node.TEXT_NODE) {
			if (n.parentNode.localName === 'textarea') continue // what a person writes into a field is theirs
			if (odd.test(n.data)) out.push('raw characters in ' + JSON.stringify(n.data.slice(0, 80)))
			if (n.data.includes('⟦U+202E⟧gnp.exe')) shown++
			continue
		}
		for (const a of n.attributes) {
			if (odd.test(a.value) && !(n.localName === 'input' && a.name === 'value')) out.push('raw characters in the attribute ' + a.name + ' of ' + n.outerHTML.slice(0, 80))
			if (a.name.startsWith('on')) out.push('the attribute ' + a.name)
		}
	}
	for (const e of document.querySelectorAll('body, main, h1, h2, nav, .side, .actions, button')) {
		if (getComputedStyle(e).direction !== 'ltr') out.push(e.outerHTML.slice(0, 60) + ' is from right to left')
		if (getComputedStyle(e).display === 'none' && e.localName === 'main') out.push('the page is hidden')
	}
	const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth
	if (wide > 0) out.push('the page is ' + wide + ' pixels too wide')
	return [shown, ...out]
})()`

// A tool whose name, description, output and error are made of HTML, scripts and characters that act upon what shows them harms no page of
// runs, and neither does what a model and a client say.
func TestHostileTextsOnPagesOfRuns(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(hostileText)
	if err != nil {
		t.Fatal(err)
	}
	s := newRunsStage(t, func(r modeltest.Request) modeltest.Reply {
		if r.Turn() > 0 {
			return modeltest.Text("the model says " + hostileText).WithReasoning("it thinks " + hostileText)
		}
		calls := make([]modeltest.Call, 0, len(r.Tools))
		for _, tool := range r.Tools {
			calls = append(calls, modeltest.Call{Name: tool.Name, Arguments: `{"text": ` + string(quoted) + `}`})
		}
		return modeltest.Calls(calls...)
	})
	s.mcp.On("tools/list", mcptest.Result(fmt.Sprintf(`{"tools": [
		{"name": "answer", "description": %[1]s, "inputSchema": {"type": "object", "description": %[1]s}},
		{"name": "fail", "description": "plain", "inputSchema": {"type": "object"}},
		{"name": %[1]s, "description": "its name is the trouble", "inputSchema": {"type": "object"}}]}`, quoted)))
	text := fmt.Sprintf(`{"content": [{"type": "text", "text": %s}], "isError": `, quoted)
	s.mcp.On("tools/call", mcptest.InTurn(mcptest.Result(text+`true}`), mcptest.Result(text+`false}`), mcptest.Result(text+`true}`)))
	id := s.run(t, `"input": `+string(quoted)+`, "instructions": `+string(quoted)+`, "metadata": {"note": "`+"\u202e"+`<b class=injected>"}, `+s.tools("s"))
	connector := s.create(t, s.token, "/v1/connectors", fmt.Sprintf(
		`{"name": "Hostile", "url": %q, "scope": "organization", "acknowledged": true, "auth": {"type": "none"}}`, s.mcp.URL()))
	v := s.alice
	page := s.url + "/runs/" + id
	v.open(t, page)
	v.awaits(t, "the run has ended", status+` === 'Completed'`)
	for _, c := range []struct {
		address string
		shown   int // how often the text is there at least
	}{
		{page, 9}, // title, window, input, instructions, description, arguments, output, error, text
		{s.url + "/runs", 1},
		{page + "/delete", 0},
		{s.url + "/runs?model=" + "%3Cimg%20class%3Dinjected%3E%E2%80%AE", 0},
		// Pages that show a run, or its tools, as well.
		{s.url + "/playground?from=" + id, 0},
		{s.url + "/playground?previous=" + id, 3}, // arguments, output, text
		{s.url + "/settings/connectors", 0},
		{s.url + "/settings/connectors/" + connector, 1},
		{s.url + "/enterprise/connectors", 0},
	} {
		v.noted()
		for _, width := range []int64{1280, 360} {
			v.resize(t, width, 900)
			v.open(t, c.address)
			v.awaits(t, "nothing is under way", `!document.querySelector('[data-stream]:not([data-status])')`)
			v.do(t, "unfold all", chromedp.Evaluate[chromedp.Void](`document.querySelectorAll('details').forEach(d => { d.open = true })`))
			found := evaluated[[]any](t, v.browser, "look for harm", harmless)
			if len(found) > 1 {
				t.Errorf("%s, %d wide: %v", c.address, width, found[1:])
			}
			if shown, ok := found[0].(float64); !ok || int(shown) < c.shown {
				t.Errorf("%s: the text is shown %v times, want %d: this test looks at the wrong thing", c.address, found[0], c.shown)
			}
		}
		requests, complaints := v.noted()
		report(t, "in the console of "+c.address, complaints)
		report(t, "asked of others by "+c.address, elsewhere(requests, s.url))
	}
	s.checkDownloads(t, page)
}

// checkDownloads: what is handed out whole is no page.
func (s *runsStage) checkDownloads(t *testing.T, page string) {
	t.Helper()
	token := s.session(t, s.who)
	path := strings.TrimPrefix(page, s.url)
	for _, file := range []struct{ path, kind, disposition string }{{path + "/json", "application/json", ""}} {
		resp, body := s.ask(t, http.MethodGet, file.path, token, "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != file.kind || resp.Header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") || !strings.Contains(body, "end-of-hostile-text") {
			t.Errorf("%s: status %d, %v", file.path, resp.StatusCode, resp.Header)
		}
	}
}
