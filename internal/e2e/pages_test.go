package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"perdure/internal/ui"
)

// TestPagesAreListed: whoever adds a page adds it to the list.
func TestPagesAreListed(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, c := range pageCases {
		if c.status == 0 {
			listed[c.route] = true
		}
	}
	routes := map[string]bool{}
	for _, route := range ui.Routes() {
		routes[route] = true
		if _, exempt := notPages[route]; strings.HasPrefix(route, "GET ") && !listed[route] && !exempt {
			t.Errorf("%s is in no case of pageCases", route)
		}
		if notPages[route] != "" && listed[route] {
			t.Errorf("%s is a page, and is not: %s", route, notPages[route])
		}
	}
	if len(routes) < 10 {
		t.Errorf("internal/ui has %d routes: this test looks at the wrong thing", len(routes))
	}
	for route := range notPages {
		if !routes[route] {
			t.Errorf("notPages has %s, which is no route", route)
		}
	}
	for _, c := range pageCases {
		if !routes[c.route] && !strings.HasPrefix(c.route, "GET /rest/") && c.route != "GET /" {
			t.Errorf("pageCases has %s, which is no route", c.route)
		}
	}
}

// TestPages opens each page as each of the people who get it. None is an obstacle to anybody in either theme, none is wider than a
// telephone, none asks another site for anything, and none has a script or a style in its HTML.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newPageStage(t, stackOptions{})
	byPerson := map[person][]pageCase{}
	for _, c := range pageCases {
		for _, p := range c.people() {
			byPerson[p] = append(byPerson[p], c)
		}
	}
	for p, cases := range byPerson {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel() // each has a tab of their own
			v := s.visitor(t, p)
			for _, c := range cases {
				t.Run(c.path, func(t *testing.T) { s.look(t, v, c) })
			}
		})
	}
	t.Run("security", func(t *testing.T) {
		t.Parallel()
		s.checkRoutes(t)
	})
}

// look checks a page.
func (s *pageStage) look(t *testing.T, v *visitor, c pageCase) {
	address := s.url + s.path(t, c.path)
	v.noted()
	v.resize(t, 1280, 900)
	v.prefer(t, "light")
	status := v.visit(t, address)
	if want := max(c.status, http.StatusOK); status != want && c.status != 0 || c.status == 0 && status != http.StatusOK {
		t.Errorf("status %d, want %d", status, want)
	}
	headings := evaluated[[]string](t, v.browser, "read the headings", `[...document.querySelectorAll('h1')].map(h => h.textContent)`)
	if len(headings) != 1 || c.heading != "" && headings[0] != c.heading {
		t.Errorf("the page's headings are %q, want one, %s", headings, c.heading)
	}
	report(t, "in the light theme", v.obstacles(t))
	v.prefer(t, "dark")
	report(t, "in the dark theme", v.obstacles(t, "color-contrast", "link-in-text-block"))
	v.resize(t, 360, 740)
	report(t, "on a telephone", v.overflowing(t))
	report(t, "off the screen of a telephone", v.beyond(t))
	report(t, "on a telephone in the dark", v.obstacles(t))
	report(t, "in the HTML", v.inline(t))
	// A choice counts, whatever the system prefers. What it changes are colors.
	for chosen, preferred := range map[string]string{"light": "dark", "dark": "light"} {
		v.prefer(t, preferred)
		v.choose(t, chosen)
		report(t, "in the theme that was chosen, "+chosen+",", v.obstacles(t, "color-contrast", "link-in-text-block"))
	}
	requests, complaints := v.noted()
	report(t, "asked of others", elsewhere(requests, s.url))
	report(t, "in the console", complaints)
	if len(requests) < 3 {
		t.Errorf("the browser has asked for %q: this does not see what it asks for", requests)
	}
}

func report(t *testing.T, where string, problems []string) {
	t.Helper()
	if len(problems) > 0 {
		t.Errorf("%s:\n  %s", where, strings.Join(problems, "\n  "))
	}
}

// visit opens an address, waits for its page, and returns the status of the answer.
func (v *visitor) visit(t *testing.T, address string) (status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, pageTimeout)
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.NavigateResponse(address))
	if err != nil || answer == nil {
		t.Fatalf("open %s: %v", address, err)
	}
	return int(answer.Status)
}

// beyond lists what can be done with the rows of tables that one would have to scroll sideways for.
func (v *visitor) beyond(t *testing.T) []string {
	t.Helper()
	return evaluated[[]string](t, v.browser, "look for what is off the screen", `[...document.querySelectorAll("tbody tr :is(a, button)")].filter(e => {
		const at = e.getBoundingClientRect()
		return at.width > 0 && (at.left < 0 || at.right > document.documentElement.clientWidth)
	}).map(e => e.outerHTML.slice(0, 160))`)
}

// choose has the page look as after the choice of a theme, as the layout writes it.
func (v *visitor) choose(t *testing.T, theme string) {
	t.Helper()
	evaluated[bool](t, v.browser, "choose "+theme, fmt.Sprintf(`document.documentElement.dataset.theme = %q, true`, theme))
}

// inline lists what is in the HTML of the page, as it was served, that a strict policy forbids, and what it takes from elsewhere.
func (v *visitor) inline(t *testing.T) []string {
	t.Helper()
	return evaluated[[]string](t, v.browser, "read the page as it is served", `fetch(location.href).then(r => r.text()).then(text => {
		const page = new DOMParser().parseFromString(text, 'text/html'), out = []
		for (const e of page.querySelectorAll('*')) {
			const html = e.outerHTML.slice(0, 120)
			if (e.localName === 'style' || e.localName === 'script' && (!e.src || e.textContent.trim())) out.push('inline: ' + html)
			for (const a of e.attributes) {
				if (a.name === 'style' || a.name.startsWith('on') || a.name.startsWith('hx-on')) out.push('attribute ' + a.name + ': ' + html)
				const loads = ['src', 'srcset', 'data', 'poster'].includes(a.name) || a.name === 'href' && e.localName === 'link'
				if (loads && !a.value.startsWith('/') && !a.value.startsWith('data:')) out.push('from elsewhere: ' + html)
				if (/^\s*javascript:/i.test(a.value)) out.push('script in an address: ' + html)
			}
		}
		return out
	})`)
}
