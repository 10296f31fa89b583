package ui

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"perdure/internal/connection"
	"perdure/internal/connector"
)

// section is one of the two places where connectors are managed. Both have the same pages, below its path.
type section struct {
	Path  string
	Title string
	// Scope is that of connectors that are added there.
	Scope connector.Scope
}

var (
	accountSection    = section{Path: connection.PagePath, Title: "Connectors", Scope: connector.Individual}
	enterpriseSection = section{Path: "/enterprise/connectors", Title: "Connectors permissions", Scope: connector.Organization}
)

// act is something to do with a connector: a page to go to, or something to send.
type act struct {
	Text, Path string
	Post       bool   // it is sent rather than opened
	Sheet      bool   // the page can be shown in a dialog
	Danger     bool   // it is not to be hit by mistake
	Primary    bool   // it is what the person came for
	Confirm    string // the question that is asked first
	Of         string // the name of what it is done to, for those who do not see where the button is
	Version    string // of the connector as the person saw it
	Found      string // when its tools were found that the person saw
}

// tag is a word or two about a connector.
type tag struct{ Text, Kind string }

// connectorCard is a connector as lists show it.
type connectorCard struct {
	connection.View
	section section

	Tags    []tag
	Message string // what is the matter; empty if nothing is
	Failed  bool   // the message is of a failure
	Act     act
	Menu    []act
}

func (s section) card(v connection.View) connectorCard {
	c := connectorCard{View: v, section: s}
	c.Tags = c.tags()
	c.Message, c.Failed = c.message()
	c.Act = c.firstAct()
	c.Menu = c.menu()
	return c
}

func (s section) cards(views []connection.View) []connectorCard {
	cards := make([]connectorCard, len(views))
	for i, v := range views {
		cards[i] = s.card(v)
	}
	return cards
}

func (c connectorCard) may(a connector.Action) bool { return slices.Contains(c.May, a) }

// Address is where the server is. Queries are where people put keys, and not for others to see.
func (c connectorCard) Address() string {
	base, query, _ := strings.Cut(c.Settings.URL, "?")
	if query != "" {
		base += "?…"
	}
	return base
}

// IconPath is the path of the icon; empty: there is none.
func (c connectorCard) IconPath() string { return iconPath(c.Connector) }

func iconPath(c connector.Connector) string {
	if c.Icon == "" {
		return ""
	}
	return "/v1/connectors/" + c.ID + "/icon?v=" + c.Icon[:min(len(c.Icon), 16)]
}

// Letter stands where there is no icon.
func (c connectorCard) Letter() string {
	for _, r := range c.Settings.Name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "•"
}

// Shade is one of six colors for the letter, the same one each time.
func (c connectorCard) Shade() int {
	sum := 0
	for _, b := range []byte(c.ID) {
		sum += int(b)
	}
	return sum % 6
}

// ShowOwner reports whether it need be said who has added it: in the list of one's own connectors it need not.
func (c connectorCard) ShowOwner() bool {
	return c.section == enterpriseSection || c.Settings.Scope == connector.Organization
}

// Path is the path of the connector's own page.
func (c connectorCard) Path() string { return c.section.Path + "/" + c.ID }

var (
	transports = map[connector.Transport]string{connector.StreamableHTTP: "Streamable HTTP", connector.SSE: "SSE"}
	authTypes  = map[connector.AuthType]string{
		connector.AuthNone: "No authentication", connector.AuthAPIKey: "API Key", connector.AuthOAuth: "OAuth 2.0",
	}
	scopes   = map[connector.Scope]string{connector.Individual: "Individual", connector.Organization: "Organization"}
	tagKinds = map[connector.Tag]string{
		connector.TagRestricted: "bad", connector.TagNeedsReauth: "warn", connector.TagNeedsAuth: "warn", connector.TagError: "bad",
		connector.TagChanged: "warn", connector.TagConnected: "good",
	}
)

// lacks are the tags of what keeps a connector from being used besides that nobody has enabled it.
var lacks = map[connector.State]connector.Tag{
	connector.Failed: connector.TagError, connector.NeedsAuth: connector.TagNeedsAuth, connector.NeedsReauth: connector.TagNeedsReauth,
}

// tags begin with how things stand.
func (c connectorCard) tags() []tag {
	tags := []tag{{string(c.Tag), tagKinds[c.Tag]}}
	// Whoever has just added one is to see what it needs first, rather than that it is not enabled yet.
	if first, ok := lacks[c.Status.State]; ok && c.Tag == connector.TagDisabled {
		tags = append([]tag{{string(first), tagKinds[first]}}, tags...)
	}
	if c.Tag != connector.TagChanged && len(c.Drift) > 0 {
		tags = append(tags, tag{string(connector.TagChanged), "warn"})
	}
	if c.Settings.Scope == connector.Organization && !c.Shared {
		tags = append(tags, tag{"Not shared", ""})
	}
	if c.isMembers() && c.section == enterpriseSection && c.IsVetted() {
		tags = append(tags, tag{"Reviewed", "good"})
	}
	tags = append(tags, tag{scopes[c.Settings.Scope], ""}, tag{transports[c.Settings.Transport], ""}, tag{authTypes[c.Settings.Auth.Type], ""})
	if c.Settings.Network == connector.CloudflareAccess {
		tags = append(tags, tag{"Cloudflare Access", ""})
	}
	return tags
}

// isMembers reports whether an admin is to look at it.
func (c connectorCard) isMembers() bool { return c.may(connector.Vet) }

func (c connectorCard) message() (text string, failed bool) {
	status := c.Status
	switch {
	case c.Restricted != nil:
		return sentence(status.Message), true
	case status.State == connector.Failed:
		text = sentence(status.Message)
		if status.Stage != "" {
			text = "Failed at " + status.Stage + ": " + text
		}
		return text, true
	case status.State == connector.NeedsAuth && !c.may(connector.Authorize) && c.Settings.SharesGrant():
		return "An admin has to authorize it for the organization.", false
	case status.State == connector.NeedsAuth && c.Settings.SharesGrant():
		return "Authorize it once, for the whole organization.", false
	case status.State == connector.NeedsAuth && c.may(connector.Authorize):
		return "Authorize it to use it.", false
	case status.State == connector.NeedsReauth:
		return sentence(status.Message), true
	case !c.Enabled && c.may(connector.Enable):
		return "Enable it to use it.", false
	case !c.Enabled:
		return "It is disabled: nobody can use it now.", false
	case len(c.Drift) > 0 && c.may(connector.Review):
		return "Its tools are not what they were when somebody looked last: review them.", false
	default:
		return "", false
	}
}

// sentence makes one of a message.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// needsAuthorization reports whether the person can get on by authorizing.
func (c connectorCard) needsAuthorization() bool {
	return c.may(connector.Authorize) && c.Settings.Auth.Type == connector.AuthOAuth && c.Restricted == nil &&
		(c.Status.State == connector.NeedsAuth || c.Status.State == connector.NeedsReauth)
}

// firstAct is what a click on the card does: what the connector needs next.
func (c connectorCard) firstAct() act {
	switch {
	case c.Restricted == nil && c.Status.State == connector.Failed && c.may(connector.Edit):
		return c.open("Reconfigure", "/edit", true)
	case c.needsAuthorization() && c.Status.State == connector.NeedsReauth:
		return c.authorize("Authorize again")
	case c.needsAuthorization():
		return c.authorize("Authorize")
	case c.Restricted == nil && !c.Enabled && c.may(connector.Enable):
		return c.send("Enable", "/enable")
	case len(c.Drift) > 0 && c.may(connector.Review):
		return c.open("Review changes", "", false)
	default:
		return c.open("Details", "", false)
	}
}

// menu is all that the person may do. The server asks the same rules again.
func (c connectorCard) menu() []act {
	menu := []act{c.open("Details", "", false)}
	add := func(allowed bool, a act) {
		if allowed {
			menu = append(menu, a)
		}
	}
	oauth, granted := c.Settings.Auth.Type == connector.AuthOAuth, c.Grant != "" && c.Grant != connector.GrantMissing
	add(c.may(connector.Edit), c.open("Edit", "/edit", true))
	add(c.may(connector.Reprobe), c.send("Verify", "/probe"))
	add(oauth && c.may(connector.Authorize) && !granted, c.authorize("Authorize"))
	add(oauth && c.may(connector.Authorize) && granted, c.authorize("Authorize again"))
	add(oauth && c.may(connector.Authorize) && granted, c.send("Disconnect", "/disconnect"))
	add(c.may(connector.Enable) && !c.Enabled, c.send("Enable", "/enable"))
	add(c.may(connector.Enable) && c.Enabled, c.send("Disable", "/disable"))
	organization := c.Settings.Scope == connector.Organization
	add(organization && c.may(connector.Share) && !c.Shared, c.send("Share with the organization", "/share"))
	add(organization && c.may(connector.Share) && c.Shared, c.send("Stop sharing", "/unshare"))
	if c.section == enterpriseSection {
		add(c.may(connector.Vet) && !c.IsVetted(), c.send("Mark as reviewed", "/vet"))
		add(c.may(connector.Restrict) && c.Restricted == nil, c.danger(c.open("Restrict…", "/restrict", true)))
		add(c.may(connector.Restrict) && c.Restricted != nil, c.send("Lift the restriction", "/unrestrict"))
	}
	add(c.may(connector.Delete), c.danger(c.open("Remove…", "/remove", true)))
	return menu
}

func (c connectorCard) open(text, path string, sheet bool) act {
	return act{Text: text, Path: c.Path() + path, Sheet: sheet, Of: c.Settings.Name}
}

func (c connectorCard) danger(a act) act {
	a.Danger = true
	return a
}

// send names what the person saw: something else is not to be what they decided about.
func (c connectorCard) send(text, path string) act {
	return act{
		Text: text, Path: c.Path() + path, Post: true, Of: c.Settings.Name, Version: strconv.FormatInt(c.Version, 10), Found: stamp(c.Probe.At),
	}
}

// authorize is a link: a form could not be redirected to an authorization server, which the Content-Security-Policy keeps forms from.
func (c connectorCard) authorize(text string) act {
	return act{Text: text, Path: connection.AuthorizePath + "?connector=" + c.ID, Of: c.Settings.Name}
}

// stamp writes a time so that it can be read again exactly; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func readStamp(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, text)
}
