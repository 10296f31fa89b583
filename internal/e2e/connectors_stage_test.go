package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"perdure/internal/identity"
	"perdure/internal/mcptest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const (
	connectorsPath  = "/settings/connectors"
	permissionsPath = "/enterprise/connectors"
)

// connectorStage is a starter whose people manage connectors in their browsers, each test as an organization of its own. No run is made, so
// there is no worker.
type connectorStage struct {
	*pageStage
	as       *oidcServer
	resource *oidcResource // that takes the tokens of the server
}

func newConnectorStage(t *testing.T) *connectorStage {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := &connectorStage{
		pageStage: &pageStage{made: map[string]string{}, visitors: map[person]*visitor{}},
		resource:  newOIDCResource(t),
	}
	s.as = startOIDC(t, s.resource.url(), "http://"+address+"/rest/auth/callback", email)
	s.resource.start(s.as.issuer)
	var err error
	s.stack, err = prepareStack(stackOptions{
		Temporal: temporaldevtest.Address(t), Model: "http://127.0.0.1:1/v1", Settings: "http:\n  public_url: http://" + address + "\n",
	})
	if err == nil {
		t.Cleanup(func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
		err = s.startStarterAt(t.Context(), address)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.starter.showOnFailure(t)
	s.openStore(t)
	s.browser = newBrowser(t)
	return s
}

// organization founds one with an admin, ada, and a member, bob, who are signed in.
func (s *connectorStage) organization(t *testing.T, name string) (ada, bob *manager) {
	t.Helper()
	by := identity.Operator(name)
	_, err := s.store.Bootstrap(t.Context(), name, "ada")
	if err == nil {
		_, err = s.store.AddMember(t.Context(), by, "bob", "", identity.Member)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.manager(t, person{name, "ada"}), s.manager(t, person{name, "bob"})
}

// manager is a person at the pages about connectors.
type manager struct {
	*visitor
	person
	url, token string // of the site, and of the person's session
	noScript   bool   // the browser runs none
}

func (s *connectorStage) manager(t *testing.T, p person) *manager {
	t.Helper()
	c := &manager{visitor: s.browser.visitor(t), person: p, url: s.url, token: s.session(t, p)}
	c.setSession(t, s.url, c.token)
	c.resize(t, 1280, 900)
	t.Cleanup(func() {
		if _, complaints := c.noted(); len(complaints) > 0 {
			t.Errorf("the browser of %s complains: %q", p, complaints)
		}
	})
	return c
}

func (c *manager) goTo(t *testing.T, path string) {
	t.Helper()
	c.open(t, c.url+path)
}

// entered is what a person fills into the form: values by the names of fields. Of a choice it is the value of what is chosen.
type entered map[string]string

// fill fills in the form that is open, and acknowledges the risks.
func (c *manager) fill(t *testing.T, values entered) {
	t.Helper()
	// What is chosen shows the fields that belong to it.
	for _, name := range []string{"auth.type", "transport", "auth.oauth.grants"} {
		if value := values[name]; value != "" {
			c.do(t, "choose "+value, chromedp.Click(chromedp.CSS(fmt.Sprintf(`form.connector-form [name=%q][value=%q]`, name, value))))
		}
	}
	if value := values["network.type"]; value != "" {
		c.do(t, "choose "+value, chromedp.SendKeys(chromedp.CSS("#f-network-type"), map[string]string{"none": "N", "cloudflare_access": "C"}[value]))
	}
	for name, value := range values {
		switch name {
		case "auth.type", "transport", "auth.oauth.grants", "network.type":
		case "icon":
			c.do(t, "choose an icon", chromedp.SetUploadFiles(chromedp.CSS("#f-icon"), []string{value}))
		default:
			field := fmt.Sprintf(`form.connector-form [name=%q]`, name)
			c.do(t, "enter "+name, chromedp.WaitVisible(chromedp.CSS(field)),
				discard(chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q).value = ''`, field))),
				chromedp.SendKeys(chromedp.CSS(field), value))
		}
	}
	if !evaluated[bool](t, c.browser, "look whether the risks are acknowledged", `document.querySelector('[name=acknowledged]').checked`) {
		c.do(t, "acknowledge the risks", chromedp.Click(chromedp.CSS("[name=acknowledged]")))
	}
}

const (
	addButton    chromedp.CSS = ".page-head a.primary"
	submitAnswer chromedp.CSS = "form.connector-form .submit"
)

// add adds a connector in the dialog of a page, and waits for the next page.
func (c *manager) add(t *testing.T, path string, values entered) {
	t.Helper()
	c.goTo(t, path)
	c.do(t, "open the dialog", chromedp.Click(addButton), chromedp.WaitVisible(chromedp.CSS("dialog#sheet[open] form.connector-form")))
	c.fill(t, values)
	c.do(t, "add "+values["name"], chromedp.Click(submitAnswer))
	c.awaitFlash(t, values["name"]+" was added")
	c.do(t, "see the card", chromedp.WaitVisible(card(values["name"])))
}

// card is the card of a connector.
func card(name string) string {
	return fmt.Sprintf(`//li[contains(@class, "connector")][.//h3[normalize-space()=%q]]`, name)
}

// awaitScript waits for the dialog that the script of the page adds. Before that, links that open it lead to pages.
func (c *manager) awaitScript(t *testing.T) {
	t.Helper()
	if !c.noScript {
		c.do(t, "wait for the script", chromedp.WaitReady(chromedp.CSS("dialog#sheet")))
	}
}

// clickCard clicks on the card: on its name, as people do.
func (c *manager) clickCard(t *testing.T, name string) {
	t.Helper()
	c.awaitScript(t)
	c.do(t, "click on "+name, chromedp.Click(card(name)+"//h3"))
}

// choose takes an entry of a connector's menu.
func (c *manager) choose(t *testing.T, name, entry string) {
	t.Helper()
	c.awaitScript(t)
	c.do(t, entry+" "+name, chromedp.Click(card(name)+`//summary`),
		chromedp.Click(fmt.Sprintf(`%s//details[@open]//li/*[normalize-space()=%[2]q] | %[1]s//details[@open]//form[normalize-space()=%[2]q]/button`,
			card(name), entry+" "+name)))
}

// entries are those of a connector's menu.
func (c *manager) entries(t *testing.T, name string) []string {
	t.Helper()
	all := evaluated[[]string](t, c.browser, "read the menu of "+name, fmt.Sprintf(`[...document.querySelectorAll('li.connector')]
		.filter(c => c.querySelector('h3').textContent.trim() === %q).flatMap(c => [...c.querySelectorAll('.menu li')].map(l => l.textContent.trim()))`, name))
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], " "+name)
	}
	return all
}

// awaitTag waits for a tag of a connector.
func (c *manager) awaitTag(t *testing.T, name, tag string) {
	t.Helper()
	c.do(t, name+" is "+tag, chromedp.WaitVisible(fmt.Sprintf(`%s//li[contains(@class, "tag")][normalize-space()=%q]`, card(name), tag)))
}

// awaitText waits for words somewhere on a card.
func (c *manager) awaitText(t *testing.T, name, words string) {
	t.Helper()
	c.do(t, name+" says "+words, chromedp.WaitVisible(fmt.Sprintf(`%s//p[contains(., %q)]`, card(name), words)))
}

// awaitFlash waits for the message of the last action.
func (b *browser) awaitFlash(t *testing.T, words string) {
	t.Helper()
	b.do(t, "wait for the message "+words, chromedp.WaitVisible(fmt.Sprintf(`//p[contains(@class, "flash")][contains(., %q)]`, words)))
}

// save sends the form of a connector that is there, and waits for the message of the next page: the one before may have had the same.
func (c *manager) save(t *testing.T, words string) {
	t.Helper()
	c.do(t, "save", discard(chromedp.Evaluate[string](`document.documentElement.dataset.before = 'yes'`)), chromedp.Click(submitAnswer),
		chromedp.WaitVisible(fmt.Sprintf(`//html[not(@data-before)]//p[contains(@class, "flash")][contains(., %q)]`, words)))
}

// has reports whether something is on the page.
func (c *manager) has(t *testing.T, selector string) bool {
	t.Helper()
	return evaluated[bool](t, c.browser, "look for "+selector, fmt.Sprintf(`document.querySelector(%q) !== null`, selector))
}

// names are those of the connectors on the page.
func (c *manager) names(t *testing.T) string {
	t.Helper()
	return strings.Join(evaluated[[]string](t, c.browser, "read the names", `[...document.querySelectorAll('.connector h3')].map(h => h.textContent.trim())`), ", ")
}

// post sends a form as the person's browser would, without the page that has it.
func (c *manager) post(t *testing.T, path, body string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: c.token})
	resp, err := withoutRedirects.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// idOf is the ID of a connector on the page.
func (c *manager) idOf(t *testing.T, name string) string {
	t.Helper()
	return evaluated[string](t, c.browser, "read the ID of "+name, fmt.Sprintf(`[...document.querySelectorAll('li.connector')]
		.find(c => c.querySelector('h3').textContent.trim() === %q).id`, name))
}

// tools starts an MCP server.
func tools(t *testing.T, o mcptest.ServerOptions) *mcptest.Server {
	t.Helper()
	s := mcptest.NewServer(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
