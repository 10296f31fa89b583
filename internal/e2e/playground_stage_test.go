package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"perdure/internal/identity"
	"perdure/internal/linktest"
	"perdure/internal/modeltest"
	"perdure/internal/store"
	"perdure/internal/temporaldev/temporaldevtest"
)

// playSecret is the authorization of a server that stands in a request alone. It goes to that server and shows nowhere else.
const playSecret = "p77p-cnry-play-authorization-0a9b8c7d"

// playStage is a stack with OpenAI's dialect, which has approvals, and a person at its playground, whose connection can be cut. The MCP
// server is one that we did not write.
type playStage struct {
	*stack
	link    *linktest.Link
	address string // of the starter itself
	model   *modeltest.Server
	held    chan struct{} // closed when the model goes on
	mcp     string
	v       *visitor
	b       *browser // the visitor's
}

func newPlayStage(t *testing.T) *playStage {
	t.Helper()
	p := &playStage{held: make(chan struct{}), mcp: startEverything(t), v: newBrowser(t).visitor(t)}
	p.b = p.v.browser
	p.model = modeltest.NewFunc(p.reply)
	p.address = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	var err error
	if p.link, err = linktest.New(p.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.link.Close()
		if err := p.model.Close(); err != nil {
			t.Error(err)
		}
	})
	p.stack, err = prepareStack(stackOptions{Temporal: temporaldevtest.Address(t), Model: p.model.URL(), OneModel: true, Settings: "api:\n  dialect: openai\n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
		for _, process := range p.processes {
			if t.Failed() {
				t.Logf("%s wrote:\n%s", process.name, process.output.since(0))
			}
		}
	})
	if err := p.startWorker(); err != nil {
		t.Fatal(err)
	}
	if err := p.startStarterAt(t.Context(), p.address); err != nil {
		t.Fatal(err)
	}
	p.v.setSession(t, p.page("/"), signInAs(t, p.stack, organization, user))
	return p
}

// signInAs makes a member who has a session, and returns what their browser has for it.
func signInAs(t *testing.T, s *stack, organization, user string) string {
	t.Helper()
	database, err := store.Open(t.Context(), store.Options{File: filepath.Join(s.dataDir(), "perdure.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	by := identity.Operator(organization)
	if _, err := database.EnsureOrganization(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	if _, err := database.AddMember(t.Context(), by, user, "", identity.Member); err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	session, token := identity.NewSession(organization, user, time.Now())
	if err := database.AddSession(t.Context(), identity.Actor{Organization: organization, User: user, Key: "test"}, session); err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

// reply does what the person's last words name. Its calls are in the first answer to them.
func (p *playStage) reply(r modeltest.Request) modeltest.Reply {
	at := len(r.Messages) - 1
	for r.Messages[at].Role != "user" {
		at--
	}
	asked, first := r.Messages[at].Content, at == len(r.Messages)-1
	switch {
	case asked == "add" && first:
		return modeltest.Calls(modeltest.Call{Name: "everything__get-sum", Arguments: `{"a": 2, "b": 40}`}).WithReasoning("I should add.")
	case asked == "add":
		return modeltest.Text("The sum that the tool says is forty-two, and that took a while.").HoldAfter(4, p.held)
	case asked == "echo" && first:
		return modeltest.Calls(modeltest.Call{Name: "everything__echo", Arguments: `{"message": "hello"}`})
	case asked == "evil" && first:
		return modeltest.Calls(modeltest.Call{Name: "evil__t", Arguments: `{"x": ` + jsonString(hostile) + `}`})
	case asked == "wait":
		return modeltest.Text("Nobody waits for the end of this.").HoldAfter(2, make(chan struct{}))
	case asked == "refuse":
		return modeltest.Empty().WithRefusal("I would rather not.")
	case strings.HasPrefix(asked, "say "):
		return modeltest.Text(strings.TrimPrefix(asked, "say "))
	default:
		return modeltest.Text("You said " + asked + " after " + fmt.Sprint(at) + " messages.")
	}
}

// open opens a page through the link, signed in.
func (p *playStage) open(t *testing.T, path string) {
	t.Helper()
	p.b.open(t, p.page(path))
}

func (p *playStage) page(path string) string { return "http://" + p.link.Address() + path }

// fill enters a text in place of the one that is there.
func (b *browser) fill(t *testing.T, id, text string) {
	t.Helper()
	field := chromedp.CSS(`[id="` + id + `"]`)
	b.do(t, "look for "+id, chromedp.WaitVisible(field))
	evaluated[bool](t, b, "empty "+id, fmt.Sprintf(`document.getElementById(%q).value = "", true`, id))
	b.do(t, "fill in "+id, chromedp.SendKeys(field, text))
}

func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	b.do(t, "click "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// until waits until an expression is true in the page.
func (b *browser) until(t *testing.T, what, expression string) {
	t.Helper()
	b.do(t, what, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(pageTimeout))(ctx, target)
		return err
	}))
}

// says waits until the latest run of the page says how it stands.
func (p *playStage) says(t *testing.T, status string) {
	t.Helper()
	p.b.until(t, "wait for "+status, fmt.Sprintf(`[...document.querySelectorAll(".run-status")].at(-1)?.textContent === %q`, status))
}

// run asks the model something and waits for the end.
func (p *playStage) run(t *testing.T, prompt, status string) {
	t.Helper()
	before := evaluated[int](t, p.b, "read the page", `document.querySelectorAll(".exchange").length`)
	p.b.fill(t, "input", prompt)
	p.b.click(t, "#run")
	p.b.until(t, "wait for the run", fmt.Sprintf(`document.querySelectorAll(".exchange").length > %d`, before))
	p.says(t, status)
}

// runID is the latest of the page.
func (p *playStage) runID(t *testing.T) string {
	t.Helper()
	return evaluated[string](t, p.b, "read the page", `[...document.querySelectorAll("[data-run]")].at(-1).dataset.run`)
}

// stored returns a response as the API has it.
func (p *playStage) stored(t *testing.T, id string) response {
	t.Helper()
	a, err := request(t.Context(), http.MethodGet, "http://"+p.address+"/v1/responses/"+id, apiKey, "")
	if err != nil {
		t.Fatal(err)
	}
	return a.decode(t)
}

// checkSecret looks for the secret in the page, its address, what the browser keeps, the logs and all files of the stack; and for what
// the page must show, or the search is not worth anything.
func (p *playStage) checkSecret(t *testing.T, shown string) {
	t.Helper()
	seen := map[string]string{
		"the page": evaluated[string](t, p.b, "read the page", `document.documentElement.outerHTML`), "the address": evaluated[string](t, p.b, "read the page", `location.href`),
		"what the browser keeps": evaluated[string](t, p.b, "read the page", `JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])`),
		"what is requested":      evaluated[string](t, p.b, "read the page", `JSON.stringify(performance.getEntriesByType("resource").map(e => e.name))`),
	}
	for _, process := range p.processes {
		seen["the output of "+process.name] = string(process.output.since(0))
	}
	err := filepath.WalkDir(p.dataDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		seen[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range seen {
		if slices.ContainsFunc(forms(playSecret), func(form []byte) bool { return bytes.Contains([]byte(text), form) }) {
			t.Errorf("the secret is in %s", where)
		}
	}
	if !strings.Contains(html.UnescapeString(seen["the page"]), shown) || len(seen) < 8 {
		t.Errorf("the page does not show %s, or there are %d places only: the search is not worth anything", shown, len(seen))
	}
}
