package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var (
	bannerLink   = regexp.MustCompile(`(http://\S+/rest/auth/link\?token=\S+)`)
	exampleLink  = regexp.MustCompile(`href="/playground\?example=(\d)"`)
	hiddenFields = regexp.MustCompile(`<(?:input|textarea)[^>]* name="([^"]+)"(?:[^>]* value="([^"]*)")?[^>]*>\n?([^<]*)`)
)

// checkExamples runs each example of the playground as a newcomer does, who follows the link that was printed: all of them work, and all
// but the last call tools.
func (d *devProcess) checkExamples(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &http.Client{Jar: jar}
	ask := func(r *http.Request) string {
		resp, err := b.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: status %d, %v: %s", r.Method, r.URL.Path, resp.StatusCode, err, body)
		}
		return string(body)
	}
	get := func(address string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		return ask(r)
	}
	link := bannerLink.FindSubmatch(d.output.since(0))
	if link == nil {
		t.Fatal("no link to sign in was printed")
	}
	page := get(string(link[1]) + "&return=/playground")
	examples := exampleLink.FindAllStringSubmatch(page, -1)
	if len(examples) < 2 {
		t.Fatalf("there are %d examples: %s", len(examples), page)
	}
	for i, example := range examples {
		form := url.Values{}
		for _, field := range hiddenFields.FindAllStringSubmatch(get(d.api+"/playground?example="+example[1]), -1) {
			if form.Get(field[1]) == "" && !strings.Contains(field[1], "-999-") {
				form.Set(field[1], field[2]+field[3])
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.api+"/playground", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json")
		var started struct{ Events string }
		if err := json.Unmarshal([]byte(ask(r)), &started); err != nil {
			t.Fatal(err)
		}
		events := get(d.api + started.Events)
		calls := strings.Count(events, "event: response.mcp_call.completed")
		if !strings.Contains(events, "event: response.completed") || (calls == 0) != (i == len(examples)-1) || strings.Contains(events, "mcp_call.failed") {
			t.Errorf("%q makes %d calls: %s", form.Get("input"), calls, events)
		}
	}
}
