package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var screenshotsDir = flag.String("screenshots", "", "folder that TestScreenshots writes pictures of the pages to; empty: it does nothing")

// shot is a picture of a page, in both themes.
type shot struct {
	name string // of the file
	path string // as in [pageCase]
	// narrow adds a picture of a telephone, in the light theme.
	narrow bool
	// before takes steps on the page before it is taken.
	before func(t *testing.T, v *visitor)
}

// The sizes of pictures, in pixels.
const (
	shotWidth, shotHeight     = 1280, 800
	narrowWidth, narrowHeight = 390, 780
)

var shots = []shot{
	{name: "api-keys", path: "/settings/keys?all=1", narrow: true},
	{name: "api-key-new", path: "/settings/keys/new"},
	{name: "account", path: "/settings/account"},
	{name: "members", path: "/enterprise/members", narrow: true},
	{name: "organization", path: "/enterprise/organization"},
	{name: "audit-log", path: "/enterprise/audit-log", narrow: true, before: func(t *testing.T, v *visitor) {
		t.Helper()
		v.do(t, "open an event", chromedp.Click(chromedp.CSS(".log li:nth-child(2) summary")))
	}},
	{name: "batches", path: "/batches", narrow: true},
	{name: "batch", path: "/batches/{completed batch}", narrow: true},
	{name: "batch-new", path: "/batches/new"},
	{name: "not-found", path: "/no/such/page"},
}

// TestScreenshots is no test: it writes what the documentation shows, when it is asked to. "make screenshots" asks.
func TestScreenshots(t *testing.T) {
	if *screenshotsDir == "" {
		t.Skip("-screenshots names no folder")
	}
	dir, err := filepath.Abs(*screenshotsDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := newDemoScene(t)
	v := newBrowser(t).visitor(t)
	v.visit(t, d.signIn)
	total := 0
	take := func(s shot, theme string, width, height int64) {
		v.prefer(t, theme)
		v.resize(t, width, height)
		v.visit(t, d.api+d.path(t, s.path))
		if s.before != nil {
			s.before(t, v)
		}
		name := s.name + "-" + theme
		if width == narrowWidth {
			name = s.name + "-narrow"
		}
		total += v.capture(t, filepath.Join(dir, name+".png"))
	}
	for _, s := range shots {
		take(s, "light", shotWidth, shotHeight)
		take(s, "dark", shotWidth, shotHeight)
		if s.narrow {
			take(s, "light", narrowWidth, narrowHeight)
		}
	}
	t.Logf("%d pages, %d KB", len(shots), total>>10)
}

// capture writes what the window shows, and returns the size of the file.
func (v *visitor) capture(t *testing.T, file string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, pageTimeout)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		picture, err = fewerColors(picture)
	}
	if err == nil {
		err = os.WriteFile(file, picture, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(picture)
}

// demoScene is a "perdure dev" in which people have been at work.
type demoScene struct {
	*devProcess
	signIn string // a link, good once
	made   map[string]string
}

var signInLink = regexp.MustCompile(`Sign-in link +(\S+)`)

func newDemoScene(t *testing.T) *demoScene {
	t.Helper()
	d := &demoScene{devProcess: startDev(t, t.TempDir()), made: map[string]string{}}
	link := signInLink.FindSubmatch(d.output.since(0))
	if link == nil {
		t.Fatal("the banner has no sign-in link")
	}
	d.signIn = string(link[1])
	for _, member := range []string{`{"id":"ada","email":"ada@acme.example","role":"admin"}`, `{"id":"grace","email":"grace@acme.example"}`, `{"id":"linus"}`} {
		d.post(t, "/v1/organization/members", member)
	}
	d.post(t, "/v1/organization", `{"members_may_add_connectors":true}`)
	for name, key := range map[string]string{
		"laptop":        `{"name":"laptop","scopes":["responses","connectors"]}`,
		"nightly-batch": `{"name":"nightly-batch","expires_at":4102444800}`,
		"old":           `{"name":"old-laptop","user":"grace"}`,
		"ci":            `{"name":"ci","user":"ada","scopes":["responses","connectors","admin"]}`,
	} {
		d.made[name] = d.post(t, "/v1/organization/api_keys", key)
	}
	d.request(t, http.MethodDelete, "/v1/organization/api_keys/"+d.made["old"], "")
	d.connect(t)
	d.run(t)
	return d
}

// connect adds connectors in the states that they may be in.
func (d *demoScene) connect(t *testing.T) {
	t.Helper()
	github := strings.TrimSuffix(d.mcp, "/mcp") + "/github/mcp"
	for name, connector := range map[string]string{
		"deepwiki": fmt.Sprintf(`{"name":"DeepWiki","description":"Documentation of public repositories","url":%q,"scope":"organization","acknowledged":true,"auth":{"type":"none"}}`, d.mcp),
		"github":   fmt.Sprintf(`{"name":"GitHub","description":"Issues and pull requests","url":%q,"acknowledged":true,"auth":{"type":"api_key","api_key":"any-token"}}`, github),
		"crm":      fmt.Sprintf(`{"name":"Acme CRM","description":"Customers and deals","url":%q,"acknowledged":true,"auth":{"type":"oauth"}}`, github),
		"tickets":  `{"name":"Tickets","description":"Questions of customers","url":"https://tickets.invalid/mcp","acknowledged":true,"auth":{"type":"none"}}`,
	} {
		d.made[name] = d.post(t, "/v1/connectors", connector)
	}
	d.post(t, "/v1/connectors/"+d.made["deepwiki"]+"/enable", "")
}

// run makes runs as they come: some complete, one fails.
func (d *demoScene) run(t *testing.T) {
	t.Helper()
	const body = `{"model":%q,"input":%q,"tools":[%s]%s}`
	wiki := fmt.Sprintf(`{"type":"mcp","server_label":"deepwiki","connector_id":%q}`, d.made["deepwiki"])
	for name, request := range map[string]string{
		"completed run": fmt.Sprintf(body, "openai/gpt-5.5", "Use DeepWiki to explain what the perplexityai/perplexity-py repository does.", wiki, ""),
		"other run":     fmt.Sprintf(body, "demo/scripted", "Use DeepWiki to read the structure of the facebook/react wiki.", wiki, ""),
		"background":    fmt.Sprintf(body, "demo/scripted", "What is a durable workflow?", "", `,"background":true`),
	} {
		d.made[name] = d.post(t, "/v1/responses", request)
	}
}

func (d *demoScene) request(t *testing.T, method, path, body string) []byte {
	t.Helper()
	a, err := send(t.Context(), method, d.api+path, d.key, body)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%s %s: %v, status %d: %s", method, path, err, a.status, a.body)
	}
	return a.body
}

// post makes something and returns its ID.
func (d *demoScene) post(t *testing.T, path, body string) string {
	t.Helper()
	var made struct{ ID string }
	if err := json.Unmarshal(d.request(t, http.MethodPost, path, body), &made); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func (d *demoScene) path(t *testing.T, path string) string {
	t.Helper()
	return filled(t, d.made, path)
}

// filled fills the IDs of what there is into the path of a page, where their names stand in braces.
func filled(t *testing.T, made map[string]string, path string) string {
	t.Helper()
	for name, id := range made {
		path = strings.ReplaceAll(path, "{"+name+"}", id)
	}
	if strings.ContainsAny(path, "{}") {
		t.Fatalf("%s: there is no such thing", path)
	}
	return path
}
