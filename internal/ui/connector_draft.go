package ui

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/secret"
)

// newHeaderRows is how many headers can be added to a connector with one form; a form that was saved has as many again.
const newHeaderRows = 2

// Which tools the model may be offered: all, or those that are chosen. The form has it once it is known which there are.
const (
	allTools  = "all"
	someTools = "some"
)

// secretFields are the fields of secrets, which are called as the API calls them.
var secretFields = []connector.SecretName{connector.APIKey, connector.ClientSecret, connector.CloudflareID, connector.CloudflareSecret}

// draftOf is what a person has entered over the settings of a connector, those of a new one are empty. Fields that belong to what was not
// chosen are left out: where the page shows them all, they may hold anything.
func draftOf(v url.Values, base connector.Settings, icon []byte) connection.Draft {
	s := base
	s.Name, s.URL = v.Get("name"), v.Get("url")
	s.Description = oneLineBreak(v.Get("description"))
	s.Transport = connector.Transport(v.Get("transport"))
	s.Network = connector.Network(v.Get("network.type"))
	s.Acknowledged = v.Has("acknowledged")
	s.Auth = authOf(v, base.Auth, s.Scope)
	switch v.Get("tools") {
	case allTools:
		s.AllowedTools = nil
	case someTools:
		s.AllowedTools = v["tool"]
	}
	d := connection.Draft{Icon: icon, Secrets: connector.Secrets{}}
	s.Headers = headersOf(v, d.Secrets)
	for _, name := range secretFields {
		if value := v.Get(string(name)); value != "" && chosen(s, name) {
			d.Secrets[name] = secret.New(value)
		}
	}
	d.Settings = s
	return d
}

// oneLineBreak undoes what forms do to line breaks.
func oneLineBreak(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// chosen reports whether a secret belongs to what was chosen.
func chosen(s connector.Settings, name connector.SecretName) bool {
	switch name {
	case connector.APIKey:
		return s.Auth.Type == connector.AuthAPIKey
	case connector.ClientSecret:
		return s.Auth.Type == connector.AuthOAuth
	default:
		return s.Network == connector.CloudflareAccess
	}
}

func authOf(v url.Values, base connector.Auth, scope connector.Scope) connector.Auth {
	a := connector.Auth{Type: connector.AuthType(v.Get("auth.type"))}
	switch a.Type {
	case connector.AuthAPIKey:
		a.Header, a.Prefix = v.Get("auth.header"), v.Get("auth.prefix")
	case connector.AuthOAuth:
		field := func(name string) string { return strings.TrimSpace(v.Get("auth.oauth." + name)) }
		a.OAuth = connector.OAuth{
			Grants: base.OAuth.Grants, ClientID: field("client_id"), ClientAuth: field("client_auth"), Issuer: field("issuer"),
			Scopes: strings.Fields(v.Get("auth.oauth.scopes")), Resource: field("resource"),
			OmitResource: v.Has("auth.oauth.omit_resource"), AllowNoPKCE: v.Has("auth.oauth.allow_no_pkce"),
			Endpoints: connector.Endpoints{
				Authorization: field("endpoints.authorization"), Token: field("endpoints.token"),
				Registration: field("endpoints.registration"), Revocation: field("endpoints.revocation"),
			},
		}
		if scope == connector.Organization {
			a.OAuth.Grants = connector.GrantMode(field("grants"))
		}
	}
	return a
}

// headersOf reads the rows of headers, and adds their values to the secrets. A row that says to remove it, or says nothing, is none.
func headersOf(v url.Values, secrets connector.Secrets) []string {
	var names []string
	for i := range connector.MaxHeaders + newHeaderRows {
		row := headerRow(i)
		name, value := strings.TrimSpace(v.Get(row+"name")), v.Get(row+"value")
		if name == "" && value == "" || v.Has(row+"remove") {
			continue
		}
		names = append(names, name)
		if value != "" {
			secrets[connector.HeaderValue(name)] = secret.New(value)
		}
	}
	return names
}

// headerRow begins the names of the fields of a row.
func headerRow(i int) string { return "header." + strconv.Itoa(i) + "." }

// isSet reports whether a secret is stored.
func isSet(stored []connector.SecretName, name connector.SecretName) bool {
	return slices.Contains(stored, name)
}
