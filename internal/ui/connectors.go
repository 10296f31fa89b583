package ui

import (
	"net/http"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/store"
	"perdure/starter"
)

// connectorsShown is how many connectors of a kind a page shows.
const connectorsShown = 60

// connectorsRoutes are the pages about connectors, in both places.
func (u *ui) connectorsRoutes(handle func(pattern string, h starter.PageHandler)) {
	handle("GET "+accountSection.Path, u.accountConnectors)
	u.connectorRoutes(handle, accountSection)
	handle("GET "+enterpriseSection.Path, admins(u.connectorsPermissions))
	handle("POST "+enterpriseSection.Path+"/members", admins(u.letMembersAdd))
	u.connectorRoutes(func(pattern string, h starter.PageHandler) { handle(pattern, admins(h)) }, enterpriseSection)
}

// connectorRoutes are the pages of a section, and what their forms are sent to. Where a page can be shown in a dialog, a script asks for
// it as a part.
func (u *ui) connectorRoutes(handle func(pattern string, h starter.PageHandler), s section) {
	one := s.Path + "/{id}"
	handle("GET "+s.Path+"/new", u.newConnector(s))
	handle("POST "+s.Path+"/new", u.createConnector(s))
	handle("GET "+one, u.showConnector(s))
	handle("GET "+one+"/edit", u.editConnector(s))
	handle("POST "+one+"/edit", u.updateConnector(s))
	handle("GET "+one+"/remove", u.askRemoval(s))
	handle("POST "+one+"/remove", u.removeConnector(s))
	handle("POST "+one+"/probe", u.connectorAct(s, u.probeConnector))
	handle("POST "+one+"/disconnect", u.connectorAct(s, u.disconnectConnector))
	handle("POST "+one+"/enable", u.connectorAct(s, u.enableConnector))
	handle("POST "+one+"/disable", u.connectorAct(s, u.disableConnector))
	handle("POST "+one+"/share", u.connectorAct(s, u.shareConnector))
	handle("POST "+one+"/unshare", u.connectorAct(s, u.unshareConnector))
	handle("POST "+one+"/review", u.connectorAct(s, u.reviewConnector))
	if s == enterpriseSection {
		handle("GET "+one+"/restrict", u.askRestriction)
		handle("POST "+one+"/restrict", u.restrictConnector)
		handle("POST "+one+"/unrestrict", u.connectorAct(s, u.unrestrictConnector))
		handle("POST "+one+"/vet", u.connectorAct(s, u.vetConnector))
	}
}

// connectorGroup is a part of a list of connectors.
type connectorGroup struct {
	Title, Text, Name string
	Cards             []connectorCard
	Next              string // where the rest of them is; empty: there is no more
}

type connectorsContent struct {
	Groups []connectorGroup
	MayAdd bool
	Add    string // the path of the form
	WhyNot string // why the person may not add any, and what to do
	Empty  bool
}

// accountConnectors lists what the person can use: their own connectors and those of the organization.
func (u *ui) accountConnectors(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	by := u.api.Caller(r, who)
	own, err := u.connectorGroup(r, by, accountSection, "own", store.ConnectorFilter{Scope: connector.Individual, Owner: who.User})
	if err != nil {
		return err
	}
	own.Title, own.Text = "Your connectors", "Individual: private to you. Nobody else can see or use them."
	shared, err := u.connectorGroup(r, by, accountSection, "organization", store.ConnectorFilter{Scope: connector.Organization})
	if err != nil {
		return err
	}
	shared.Title, shared.Text = "From your organization", "Organization: added by admins."
	c := connectorsContent{Add: accountSection.Path + "/new", Empty: len(own.Cards)+len(shared.Cards) == 0}
	for _, g := range []connectorGroup{own, shared} {
		if len(g.Cards) > 0 {
			c.Groups = append(c.Groups, g)
		}
	}
	if c.WhyNot, err = whyNot(u.api.Connections.MayAdd(r.Context(), by, connector.Individual)); err != nil {
		return err
	}
	c.MayAdd = c.WhyNot == ""
	return u.show(w, "connectors", u.connectorsFrame(w, r, who, accountSection.Title, accountSection, c))
}

// connectorGroup lists connectors from where the address says that the page begins.
func (u *ui) connectorGroup(r *http.Request, by connection.Caller, s section, name string, f store.ConnectorFilter) (connectorGroup, error) {
	views, next, err := u.api.Connections.List(r.Context(), by, f, store.Page{After: r.URL.Query().Get(name), Limit: connectorsShown})
	if err != nil {
		return connectorGroup{}, err
	}
	g := connectorGroup{Name: name, Cards: s.cards(views)}
	if next != "" {
		q := r.URL.Query()
		q.Set(name, next)
		g.Next = "?" + q.Encode()
	}
	return g, nil
}

// whyNot is what keeps a person from adding a connector, in words; other errors are returned.
func whyNot(err error) (string, error) {
	if denied := asDenied(err); denied != nil {
		return sentence(denied.Reason), nil
	}
	return "", err
}

// connectorsFrame is a page about connectors.
func (u *ui) connectorsFrame(w http.ResponseWriter, r *http.Request, who identity.Principal, title string, s section, content any) page.Frame {
	f := u.frame(w, r, who, title, s.Path, content)
	f.Styles, f.Scripts = []string{"connectors.css"}, []string{"connectors.js"}
	return f
}

// connectorContent is the page of one connector.
type connectorContent struct {
	Card connectorCard
	// Changes are the tools that are not what was reviewed.
	Changes  []connector.Drift
	Accept   *act // counts them as seen
	Facts    []fact
	BackPath string
	BackText string
}

type fact struct{ Name, Text string }

// showConnector shows what is known of a connector, and what has changed there.
func (u *ui) showConnector(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		v, err := u.api.Connections.Get(r.Context(), u.api.Caller(r, who), r.PathValue("id"))
		if err != nil {
			return err
		}
		card := s.card(v)
		c := connectorContent{Card: card, Changes: v.Drift, Facts: card.facts(), BackPath: s.Path, BackText: s.Title}
		if len(v.Drift) > 0 && card.may(connector.Review) {
			accept := card.send("Accept the changes", "/review")
			accept.Primary = true
			c.Accept = &accept
		}
		return u.show(w, "connector", u.connectorsFrame(w, r, who, v.Settings.Name, s, c))
	}
}

// facts are what there is to know, but for the status, the tools and anything secret.
func (c connectorCard) facts() []fact {
	facts := []fact{
		{"MCP Server URL", c.Address()}, {"Transport", transports[c.Settings.Transport]}, {"Authentication", authTypes[c.Settings.Auth.Type]},
	}
	add := func(name, text string) {
		if text != "" {
			facts = append(facts, fact{name, text})
		}
	}
	switch c.Settings.Auth.Type {
	case connector.AuthAPIKey:
		add("API key", set(isSet(c.Stored, connector.APIKey)))
	case connector.AuthOAuth:
		o := c.Settings.Auth.OAuth
		if c.Settings.Scope == connector.Organization {
			add("Authorized by", map[connector.GrantMode]string{
				connector.GrantShared: "an admin, once for the organization", connector.GrantEach: "each member individually",
			}[o.Grants])
		}
		add("Client ID", o.ClientID)
		if o.ClientID != "" {
			add("Client Secret", set(isSet(c.Stored, connector.ClientSecret)))
		}
	}
	if c.Settings.Network == connector.CloudflareAccess {
		add("Network access", "Cloudflare Access")
		add("CF-Access-Client-Id", set(isSet(c.Stored, connector.CloudflareID)))
		add("CF-Access-Client-Secret", set(isSet(c.Stored, connector.CloudflareSecret)))
	}
	for _, name := range c.Settings.Headers {
		add("Header "+name, set(isSet(c.Stored, connector.HeaderValue(name))))
	}
	add("Added by", c.Owner)
	if p := c.Probe; !p.At.IsZero() {
		server := p.ServerName
		if p.ServerVersion != "" {
			server += " " + p.ServerVersion
		}
		add("Server", server)
		add("Version of MCP", p.Protocol)
	}
	return facts
}

// set stands in the place of a secret.
func set(is bool) string {
	if is {
		return "set"
	}
	return "not set"
}
