package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"perdure/internal/mcptest"
	"perdure/internal/oauthtest"
)

// TestConnectorPages walks what people do with connectors in a browser.
func TestConnectorPages(t *testing.T) {
	t.Parallel()
	s := newConnectorStage(t)
	for name, test := range map[string]func(*testing.T, *connectorStage){
		"add":          testAddConnectors,
		"reconfigure":  testReconfigure,
		"access":       testCloudflareAccess,
		"oauth":        testOAuthRoundTrip,
		"organization": testOrganizationConnectors,
		"members":      testMembersConnectors,
		"edit":         testEditConnector,
		"icon":         testConnectorIcon,
		"drift":        testChangedTools,
		"keyboard":     testKeyboardOnly,
		"no script":    testWithoutScript,
		"foreign text": testForeignNames,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// testAddConnectors adds connectors with each authentication that needs no browser, over both transports, and enables them by a click.
func testAddConnectors(t *testing.T, s *connectorStage) {
	ada, _ := s.organization(t, "add")
	ada.goTo(t, connectorsPath)
	ada.do(t, "see that there are none", chromedp.WaitVisible(`//h2[normalize-space()="No connectors yet"]`))
	const key = "canary-of-the-api-key"
	for _, tt := range []struct {
		name    string
		server  mcptest.ServerOptions
		entered entered
		tags    []string
	}{
		{"Open", mcptest.ServerOptions{}, entered{"auth.type": "none", "transport": "streamable_http", "description": "Everything & more"}, []string{"Streamable HTTP", "No authentication"}},
		{"Old", mcptest.ServerOptions{SSE: true}, entered{"auth.type": "none", "transport": "sse"}, []string{"SSE", "No authentication"}},
		{"Keyed", mcptest.ServerOptions{Bearer: key}, entered{"auth.type": "api_key", "auth.api_key": key}, []string{"Streamable HTTP", "API Key"}},
		{
			"Old and keyed",
			mcptest.ServerOptions{SSE: true, Bearer: key},
			entered{"auth.type": "api_key", "auth.api_key": "Bearer-is-a-word", "auth.header": "X-Api-Key", "transport": "sse"},
			[]string{"SSE", "API Key"},
		},
	} {
		server := tools(t, tt.server)
		tt.entered["name"], tt.entered["url"] = tt.name, server.URL()
		ada.add(t, connectorsPath, tt.entered)
		for _, tag := range append(tt.tags, "Individual", "Disabled") {
			ada.awaitTag(t, tt.name, tag)
		}
		if tt.entered["auth.header"] != "" { // the server wants another header
			ada.awaitTag(t, tt.name, "Error")
			ada.awaitText(t, tt.name, "Failed at auth")
			continue
		}
		ada.clickCard(t, tt.name)
		ada.awaitFlash(t, tt.name+" is enabled.")
		ada.awaitTag(t, tt.name, "Connected")
		ada.choose(t, tt.name, "Verify")
		ada.awaitFlash(t, tt.name+" was verified: it has 6 tools.")
	}
	if html := s.html(t, ada, connectorsPath); !strings.Contains(html, "Everything &amp; more") || strings.Contains(html, key) {
		t.Error("the page lacks a description, or has a key")
	}
	// A card that has all it needs leads to what is known of the connector.
	ada.clickCard(t, "Open")
	ada.awaitHeading(t, "Open")
	ada.do(t, "see a tool", chromedp.WaitVisible(`//table//code[normalize-space()="lookup"]`))
	ada.goTo(t, connectorsPath)
	ada.choose(t, "Open", "Disable")
	ada.awaitFlash(t, "Open is disabled.")
	ada.awaitTag(t, "Open", "Disabled")
	ada.choose(t, "Open", "Remove…")
	ada.do(t, "confirm", chromedp.WaitVisible(`//dialog[@open]//h2[normalize-space()="Remove Open?"]`), chromedp.Click(chromedp.CSS("#sheet .danger")))
	ada.awaitFlash(t, "Open was removed.")
	if names := ada.names(t); names != "Old and keyed, Keyed, Old" {
		t.Errorf("there are %s", names)
	}
}

// html is a page as it is served to a person.
func (s *connectorStage) html(t *testing.T, c *manager, path string) string {
	t.Helper()
	resp, body := s.ask(t, http.MethodGet, path, c.token, "", "Accept", "text/html")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: status %d", path, resp.StatusCode)
	}
	return body
}

// testReconfigure: a server that does not work as it was entered shows an error with what to do, and is put right.
func testReconfigure(t *testing.T, s *connectorStage) {
	ada, _ := s.organization(t, "reconfigure")
	server := tools(t, mcptest.ServerOptions{SSE: true})
	ada.add(t, connectorsPath, entered{"name": "Wiki", "url": server.URL(), "auth.type": "none"})
	ada.awaitFlash(t, "Reconfigure it.")
	ada.awaitTag(t, "Wiki", "Error")
	ada.awaitText(t, "Wiki", "set the transport to SSE")
	ada.clickCard(t, "Wiki")
	ada.do(t, "see the form", chromedp.WaitVisible(`//dialog[@open]//h2[normalize-space()="Edit connector"]`))
	ada.fill(t, entered{"transport": "sse"})
	ada.save(t, "Wiki was saved. Click its card to enable it.")
	ada.clickCard(t, "Wiki")
	ada.awaitTag(t, "Wiki", "Connected")
	if ada.has(t, ".tag.bad") {
		t.Error("there still is an error")
	}
}

// testCloudflareAccess: a server behind Cloudflare Access that wants OAuth as well. A wrong service token fails with the first look,
// before anybody is asked to authorize.
func testCloudflareAccess(t *testing.T, s *connectorStage) {
	ada, _ := s.organization(t, "access")
	const id, secret = "canary-of-access.access", "canary-of-access-secret"
	as, inner := oauthtest.NewServer(oauthtest.Options{}), tools(t, mcptest.ServerOptions{Stateless: true})
	resource, err := oauthtest.NewResource(as, inner.URL(), oauthtest.ResourceOptions{AccessID: id, AccessSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		resource.Close()
		if err := as.Close(); err != nil {
			t.Error(err)
		}
	})
	ada.add(t, connectorsPath, entered{
		"name": "Vault", "url": resource.URL(), "auth.type": "oauth", "network.type": "cloudflare_access", "network.client_id": id, "network.client_secret": "wrong",
	})
	ada.awaitTag(t, "Vault", "Error")
	ada.awaitTag(t, "Vault", "Cloudflare Access")
	ada.awaitText(t, "Vault", "Cloudflare Access token was refused")
	ada.clickCard(t, "Vault")
	ada.do(t, "see that both are set", chromedp.WaitVisible(`//label[@for="f-network-client-id"]/span[normalize-space()="set"]`),
		chromedp.WaitVisible(`//label[@for="f-network-client-secret"]/span[normalize-space()="set"]`))
	ada.fill(t, entered{"network.client_secret": secret})
	ada.save(t, "Vault was saved. Click its card to authorize it.")
	ada.awaitTag(t, "Vault", "Authorize")
	ada.clickCard(t, "Vault") // whose authorization server asks no questions
	ada.awaitFlash(t, "Vault is authorized and connected.")
	ada.awaitTag(t, "Vault", "Connected")
	for _, path := range []string{connectorsPath, connectorsPath + "/" + ada.idOf(t, "Vault"), connectorsPath + "/" + ada.idOf(t, "Vault") + "/edit", permissionsPath} {
		if html := s.html(t, ada, path); strings.Contains(html, "canary-of-access") {
			t.Errorf("%s has a secret", path)
		}
	}
}

// testOAuthRoundTrip authorizes at an authorization server that we did not write, refuses there, and disconnects.
func testOAuthRoundTrip(t *testing.T, s *connectorStage) {
	ada, _ := s.organization(t, "oauth")
	ada.add(t, connectorsPath, entered{"name": "Acme CRM", "url": s.resource.url(), "auth.type": "oauth"})
	ada.awaitTag(t, "Acme CRM", "Authorize")
	ada.awaitTag(t, "Acme CRM", "OAuth 2.0")

	ada.clickCard(t, "Acme CRM")
	ada.do(t, "change one's mind", chromedp.Click(`//a[contains(., "Cancel")]`))
	ada.awaitHeading(t, "Authorization failed")
	ada.do(t, "see the stage and the way back", chromedp.WaitVisible(`//p[contains(., "Stage:")]/code`), chromedp.Click(`//a[normalize-space()="Back to the connectors"]`))
	ada.awaitTag(t, "Acme CRM", "Authorize")

	ada.clickCard(t, "Acme CRM")
	ada.logIn(t, "ada")
	ada.consent(t, resourceScope)
	ada.awaitFlash(t, "Acme CRM is authorized and connected.")
	ada.awaitTag(t, "Acme CRM", "Connected")
	ada.choose(t, "Acme CRM", "Verify")
	ada.awaitFlash(t, "Acme CRM was verified: it has 6 tools.")
	ada.goTo(t, connectorsPath)
	if ada.has(t, ".flash") {
		t.Error("the message is there twice")
	}

	ada.choose(t, "Acme CRM", "Disconnect")
	ada.awaitFlash(t, "Acme CRM was disconnected")
	ada.awaitTag(t, "Acme CRM", "Authorize")
	if entries := ada.entries(t, "Acme CRM"); slices.Contains(entries, "Disconnect") {
		t.Errorf("what is not connected can be disconnected: %q", entries)
	}
	token := s.resource.token(t)
	for _, path := range []string{connectorsPath, connectorsPath + "/" + ada.idOf(t, "Acme CRM")} {
		if strings.Contains(s.html(t, ada, path), token) {
			t.Errorf("%s has a token", path)
		}
	}
}

// testOrganizationConnectors: an admin adds a connector for the organization, which others see and use once it is shared.
func testOrganizationConnectors(t *testing.T, s *connectorStage) {
	ada, bob := s.organization(t, "organization")
	bob.goTo(t, permissionsPath)
	bob.awaitHeading(t, "Not allowed")
	ada.goTo(t, permissionsPath)
	redirect := evaluated[string](t, ada.browser, "read the redirect URL", `document.getElementById('redirect-url').textContent`)
	if redirect != s.url+"/rest/connections/oauth_callback" {
		t.Errorf("the redirect URL is %q", redirect)
	}
	ada.add(t, permissionsPath, entered{"name": "CRM", "url": s.resource.url(), "auth.type": "oauth", "auth.oauth.grants": "each"})
	ada.add(t, permissionsPath, entered{"name": "Search", "url": tools(t, mcptest.ServerOptions{}).URL(), "auth.type": "none"})
	ada.awaitTag(t, "Search", "Not shared")
	ada.awaitTag(t, "Search", "Organization")
	ada.clickCard(t, "Search")
	ada.awaitTag(t, "Search", "Connected")
	search := ada.idOf(t, "Search")

	bob.goTo(t, connectorsPath)
	if names := bob.names(t); names != "" {
		t.Errorf("bob sees %s", names)
	}
	if resp, _ := s.ask(t, http.MethodGet, connectorsPath+"/"+search, bob.token, ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("bob gets status %d for what is not shared", resp.StatusCode)
	}
	for _, name := range []string{"Search", "CRM"} {
		ada.choose(t, name, "Share with the organization")
		ada.awaitFlash(t, name+" is shared with the organization.")
	}
	ada.choose(t, "CRM", "Enable")
	ada.awaitFlash(t, "CRM is enabled")

	bob.goTo(t, connectorsPath)
	bob.awaitTag(t, "Search", "Connected")
	bob.awaitTag(t, "CRM", "Authorize") // each member does
	if got := fmt.Sprint(bob.entries(t, "Search"), bob.entries(t, "CRM")); got != "[Details] [Details Authorize]" {
		t.Errorf("bob may %s", got)
	}
	for _, action := range []string{"edit", "probe", "enable", "disable", "share", "unshare", "remove", "review"} {
		if status := bob.post(t, connectorsPath+"/"+search+"/"+action, ""); status != http.StatusForbidden {
			t.Errorf("bob sends %s: status %d", action, status)
		}
	}
	for _, action := range []string{"edit", "restrict", "unrestrict", "vet", "remove", "share"} {
		if status := bob.post(t, permissionsPath+"/"+search+"/"+action, ""); status != http.StatusForbidden {
			t.Errorf("bob sends %s of the permissions: status %d", action, status)
		}
	}
	bob.clickCard(t, "Search")
	bob.awaitHeading(t, "Search")

	ada.choose(t, "Search", "Stop sharing")
	ada.awaitFlash(t, "Search is not shared any more.")
	bob.goTo(t, connectorsPath)
	if names := bob.names(t); names != "CRM" {
		t.Errorf("bob sees %s", names)
	}
}

// testMembersConnectors: members add connectors once they may, and an admin looks at them.
func testMembersConnectors(t *testing.T, s *connectorStage) {
	ada, bob := s.organization(t, "members")
	bob.goTo(t, connectorsPath)
	bob.do(t, "read why", chromedp.WaitVisible(`//p[contains(., "does not let members add connectors: ask an admin to allow it")]`))
	if bob.has(t, `a[href$="/new"]`) {
		t.Error("there is a button that bob may not use")
	}
	for _, path := range []string{connectorsPath + "/new", permissionsPath + "/new", permissionsPath + "/members"} {
		if status := bob.post(t, path, "name=Mine&url=https://mcp.example.com&acknowledged=on&members=may"); status != http.StatusForbidden {
			t.Errorf("bob sends %s: status %d", path, status)
		}
	}
	ada.goTo(t, permissionsPath)
	ada.do(t, "let members add", chromedp.WaitVisible(`//button[@role="switch"][@aria-checked="false"]`), chromedp.Click(`//button[@role="switch"]`))
	ada.awaitFlash(t, "Members may add custom connectors now.")
	ada.do(t, "see that it is on", chromedp.WaitVisible(`//button[@role="switch"][@aria-checked="true"]`))

	server := tools(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true})
	bob.add(t, connectorsPath, entered{"name": "Mine", "url": server.URL(), "auth.type": "none"})
	bob.clickCard(t, "Mine")
	bob.awaitTag(t, "Mine", "Connected")

	ada.goTo(t, connectorsPath)
	if names := ada.names(t); names != "" {
		t.Errorf("ada's own connectors are %s", names)
	}
	ada.goTo(t, permissionsPath)
	ada.do(t, "see what is to review", chromedp.WaitVisible(`//span[normalize-space()="1 to review"]`))
	if got := strings.Join(ada.entries(t, "Mine"), ", "); got != "Details, Mark as reviewed, Restrict…, Remove…" {
		t.Errorf("ada may %s", got)
	}
	ada.choose(t, "Mine", "Mark as reviewed")
	ada.awaitTag(t, "Mine", "Reviewed")
	if ada.has(t, "h2 .tag.warn") {
		t.Error("it is still to be reviewed")
	}

	ada.choose(t, "Mine", "Restrict…")
	ada.do(t, "say why", chromedp.SendKeys(chromedp.CSS("#sheet textarea"), "sends <b>data</b> away"), chromedp.Click(chromedp.CSS("#sheet .danger")))
	ada.awaitFlash(t, "Mine is restricted.")
	bob.goTo(t, connectorsPath)
	bob.awaitTag(t, "Mine", "Restricted")
	bob.awaitText(t, "Mine", "An admin has restricted it: sends <b>data</b> away.")
	seen := len(server.Requests())
	if status := bob.post(t, connectorsPath+"/"+bob.idOf(t, "Mine")+"/probe", ""); status != http.StatusForbidden || len(server.Requests()) != seen {
		t.Errorf("bob looks at a restricted server: status %d", status)
	}
	ada.choose(t, "Mine", "Lift the restriction")
	ada.awaitFlash(t, "Mine is not restricted any more.")
	bob.goTo(t, connectorsPath)
	bob.awaitTag(t, "Mine", "Connected")

	// What has become another one is to be reviewed again.
	bob.choose(t, "Mine", "Edit")
	bob.fill(t, entered{"url": server.URL() + "?tenant=7"})
	bob.save(t, "Mine was saved.")
	ada.goTo(t, permissionsPath)
	ada.do(t, "see what is to review", chromedp.WaitVisible(`//span[normalize-space()="1 to review"]`))

	ada.do(t, "keep members from it", chromedp.Click(`//button[@role="switch"]`))
	ada.awaitFlash(t, "Those that they have stay.")
	bob.goTo(t, connectorsPath)
	if bob.has(t, `a[href$="/new"]`) || bob.names(t) != "Mine" {
		t.Error("bob may still add connectors, or has lost his own")
	}
	bob.choose(t, "Mine", "Edit")
	bob.fill(t, entered{"url": tools(t, mcptest.ServerOptions{}).URL()})
	bob.do(t, "lead it elsewhere", chromedp.Click(submitAnswer),
		chromedp.WaitVisible(`//p[@id="f-url-error"][contains(., "cannot be changed to another server")]`))

	ada.choose(t, "Mine", "Remove…")
	ada.do(t, "confirm", chromedp.WaitVisible(`//dialog[@open]//p[contains(., "It belongs to bob.")]`), chromedp.Click(chromedp.CSS("#sheet .danger")))
	ada.awaitFlash(t, "Mine was removed.")
	bob.goTo(t, connectorsPath)
	if names := bob.names(t); names != "" {
		t.Errorf("bob has %s", names)
	}
}
