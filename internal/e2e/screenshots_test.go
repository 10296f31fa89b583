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
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"perdure/internal/mcptest"
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
	{name: "playground", path: "/playground?example=0", narrow: true, before: func(t *testing.T, v *visitor) {
		t.Helper()
		v.do(t, "run the example", chromedp.Click(chromedp.CSS("#run")),
			discard(chromedp.Poll[bool](`document.querySelector(".run-message")?.textContent.includes("demo model") && !document.getElementById("run").disabled`)),
			discard(chromedp.Evaluate[bool](`scrollTo(0, 0), true`)))
	}},
	{name: "runs", path: "/runs", narrow: true},
	{name: "run", path: "/runs/{completed run}", narrow: true},
	{name: "run-live", path: "/runs/{running run}"},
	{name: "run-failed", path: "/runs/{failed run}"},
	{name: "connectors", path: "/settings/connectors", narrow: true},
	{name: "connector", path: "/settings/connectors/{deepwiki}"},
	{name: "connector-new", path: "/settings/connectors", before: func(t *testing.T, v *visitor) {
		t.Helper()
		v.do(t, "open the dialog", chromedp.Click(chromedp.CSS("a[data-sheet]")), chromedp.WaitVisible(chromedp.CSS("dialog [name=url]")))
	}},
	{name: "connectors-permissions", path: "/enterprise/connectors"},
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
	v.do(t, "hide what scrolls", call(emulation.SetScrollbarsHidden, emulation.SetScrollbarsHiddenParams{Hidden: true}))
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
	tools  *mcptest.Server // whose tool "slow" takes as long as the scene
}

var signInLink = regexp.MustCompile(`Sign-in link +(\S+)`)

func newDemoScene(t *testing.T) *demoScene {
	t.Helper()
	d := &demoScene{made: map[string]string{}, tools: mcptest.NewServer(mcptest.ServerOptions{})}
	t.Cleanup(func() {
		d.tools.Release()
		if err := d.tools.Close(); err != nil {
			t.Log(err) // calls may be under way still
		}
	})
	config := filepath.Join(t.TempDir(), "perdure.yaml")
	if err := os.WriteFile(config, []byte("network:\n  allow_origins: [\"http://127.0.0.1:*\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.devProcess = startDev(t, t.TempDir(), "--config", config)
	link := signInLink.FindSubmatch(d.output.since(0))
	if link == nil {
		t.Fatal("the banner has no sign-in link")
	}
	d.signIn = string(link[1])
	for _, member := range []string{`{"id":"ada","email":"ada@acme.example","role":"admin"}`, `{"id":"grace","email":"grace@acme.example"}`, `{"id":"linus"}`} {
		d.post(t, "/v1/organization/members", member)
	}
	d.post(t, "/v1/organization", `{"members_may_add_connectors":true}`)
	for _, key := range []named{
		{"old", `{"name":"old-laptop","user":"grace"}`},
		{"ci", `{"name":"ci","user":"ada","scopes":["responses","connectors","admin"]}`},
		{"nightly-batch", `{"name":"nightly-batch","expires_at":4102444800}`},
		{"laptop", `{"name":"laptop","scopes":["responses","connectors"]}`},
	} {
		d.made[key.name] = d.post(t, "/v1/organization/api_keys", key.body)
	}
	d.request(t, http.MethodDelete, "/v1/organization/api_keys/"+d.made["old"], "")
	d.connect(t)
	d.run(t)
	d.batch(t)
	return d
}

// batch makes a batch that completes, with a line that fails.
func (d *demoScene) batch(t *testing.T) {
	t.Helper()
	var lines strings.Builder
	for i, prompt := range []string{"What is a durable workflow?", "Use Orders: which are late?", "What is a heartbeat?", "What is a task queue?"} {
		tools := ""
		if i == 1 {
			tools = fmt.Sprintf(`,"tools":[{"type":"mcp","server_label":"orders","server_url":%q}]`, d.api+"/orders/mcp") // where nothing is
		}
		fmt.Fprintf(&lines, `{"custom_id":"question-%d","method":"POST","url":"/v1/responses","body":{"model":"demo/scripted","input":%q%s}}`+"\n", i+1, prompt, tools)
	}
	body, contentType := fileForm(t, "questions.jsonl", lines.String())
	a, err := send(t.Context(), http.MethodPost, d.api+"/v1/files", d.key, body, "Content-Type", contentType)
	var file struct{ ID string }
	if err != nil || json.Unmarshal(a.body, &file) != nil || file.ID == "" {
		t.Fatalf("no file: %v, status %d: %s", err, a.status, a.body)
	}
	d.made["completed batch"] = d.post(t, "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"}`, file.ID))
	d.await(t, "/v1/batches/"+d.made["completed batch"], "completed")
	d.await(t, "/v1/responses/"+d.made["failed run"], "failed")
}

// await waits until something has a status.
func (d *demoScene) await(t *testing.T, path, status string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*startTimeout)
	defer cancel()
	for {
		var is struct{ Status string }
		if err := json.Unmarshal(d.request(t, http.MethodGet, path, ""), &is); err != nil {
			t.Fatal(err)
		}
		if is.Status == status {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is %s, not %s", path, is.Status, status)
		case <-time.After(pollEvery):
		}
	}
}

// named is the body of a request that makes something, with what it is called here.
type named struct{ name, body string }

// connect adds connectors in the states that they may be in.
func (d *demoScene) connect(t *testing.T) {
	t.Helper()
	github := strings.TrimSuffix(d.mcp, "/mcp") + "/github/mcp"
	for _, c := range []named{
		{"tickets", `{"name":"Tickets","description":"Questions of customers","url":"https://tickets.invalid/mcp","acknowledged":true,"auth":{"type":"none"}}`},
		{"crm", fmt.Sprintf(`{"name":"Acme CRM","description":"Customers and deals","url":%q,"acknowledged":true,"auth":{"type":"oauth"}}`, github)},
		{"github", fmt.Sprintf(`{"name":"GitHub","description":"Issues and pull requests","url":%q,"acknowledged":true,"auth":{"type":"api_key","api_key":"any-token"}}`, github)},
		{"deepwiki", fmt.Sprintf(`{"name":"DeepWiki","description":"Documentation of public repositories","url":%q,"scope":"organization","acknowledged":true,"auth":{"type":"none"}}`, d.mcp)},
	} {
		d.made[c.name] = d.post(t, "/v1/connectors", c.body)
	}
	for _, path := range []string{d.made["github"] + "/enable", d.made["deepwiki"] + "/enable", d.made["deepwiki"] + "/share"} {
		d.post(t, "/v1/connectors/"+path, "")
	}
}

// run makes runs as they come: some complete, one fails, one is cut short, one takes its time.
func (d *demoScene) run(t *testing.T) {
	t.Helper()
	connector := func(label string) string {
		return fmt.Sprintf(`{"type":"mcp","server_label":%q,"connector_id":%q}`, label, d.made[label])
	}
	server := func(label, url string) string {
		return fmt.Sprintf(`{"type":"mcp","server_label":%q,"server_url":%q}`, label, url)
	}
	const request = `{"model":%q,"input":%q,"tools":[%s]%s}`
	for _, r := range []named{
		{"plain run", fmt.Sprintf(request, "demo/scripted", "What is a durable workflow?", "", "")},
		{"failed run", fmt.Sprintf(request, "demo/scripted", "Which orders are late?", server("orders", d.api+"/orders/mcp"), `,"background":true`)},
		{"other run", fmt.Sprintf(request, "openai/gpt-5.5", "Use GitHub to find open issues about authentication in perplexityai/perplexity-py.", connector("github"), "")},
		{"cut run", fmt.Sprintf(request, "demo/scripted", "Use DeepWiki to read the structure of the facebook/react wiki.", connector("deepwiki"), `,"max_steps":1`)},
		{"completed run", fmt.Sprintf(request, "openai/gpt-5.5", "Use DeepWiki to explain what the perplexityai/perplexity-py repository does.", connector("deepwiki"), "")},
		{"running run", fmt.Sprintf(request, "demo/scripted", "Use the tool slow, then say what it answered.", server("slow", d.tools.URL()), `,"background":true`)},
	} {
		d.made[r.name] = d.post(t, "/v1/responses", r.body)
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
