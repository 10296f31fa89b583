package ui

import (
	"slices"
	"strings"

	"perdure/internal/connector"
)

// connectorForm is the form of a connector: of a new one, of one that is there, or as a person has filled it in and has to correct it. It
// holds no secret, not even one that was just entered.
type connectorForm struct {
	section   section
	Settings  connector.Settings
	ID        string // empty: it is new
	Icon      string // the path of the icon that is there
	Redirect  string // the OAuth redirect URL
	Version   int64  // of the connector that the form shows
	Tools     []toolChoice
	SomeTools bool // the model is offered some of them only
	Problems  []problem

	stored []connector.SecretName
	wrong  connector.Invalid
}

// Title is the heading of the form.
func (f connectorForm) Title() string {
	switch {
	case f.ID != "":
		return "Edit connector"
	case f.section == enterpriseSection:
		return "Custom connector for the organization"
	default:
		return "Custom connector"
	}
}

// Action is where the form is sent to.
func (f connectorForm) Action() string {
	if f.ID == "" {
		return f.section.Path + "/new"
	}
	return f.section.Path + "/" + f.ID + "/edit"
}

// Back is the page to go back to.
func (f connectorForm) Back() string { return f.section.Path }

// problem is something to correct, with the field that it is in.
type problem struct {
	Field string // the ID of the field; empty: it is in none
	Text  string
}

// field is an input of a form.
type field struct {
	Name, Label, Value, Hint, Placeholder, Problem string
	// Type is that of the input; empty: text.
	Type     string
	Required bool
	Secret   bool
	Set      bool // a value is stored, and stays if none is entered
	Max      int  // characters; 0: no limit but the server's
}

// ID is what labels and hints refer to it by.
func (f field) ID() string { return fieldID(f.Name) }

func fieldID(name string) string { return "f-" + strings.NewReplacer(".", "-", "_", "-").Replace(name) }

// inputs are the fields of the form, by their names, which are the API's.
var inputs = map[string]field{
	"name": {Label: "Name", Required: true, Max: connector.MaxName, Placeholder: "Acme CRM"},
	"url": {
		Label: "MCP Server URL", Required: true, Type: "url", Placeholder: "https://mcp.example.com/mcp",
		Hint: "HTTPS is required.",
	},
	"description": {Label: "Description", Max: connector.MaxDescription, Hint: "Optional. What it is good for, in a sentence."},
	"icon":        {Label: "Icon", Hint: "Optional. PNG, JPEG, GIF or WebP. Maximum image size: 128 KB."},
	"auth.header": {Label: "Header", Placeholder: "Authorization", Hint: "The request header that carries the key."},
	"auth.prefix": {
		Label: "Scheme", Placeholder: "Bearer", Max: connector.MaxPrefix,
		Hint: "The word before the key. Left empty, it is Bearer for the header Authorization and none for others.",
	},
	"auth.api_key": {
		Label: "API key", Secret: true, Hint: "Stored encrypted, and never shown again.",
	},
	"auth.oauth.client_id": {
		Label: "Client ID", Max: connector.MaxClientID, Hint: "Only if the server does not support dynamic client registration.",
	},
	"auth.oauth.client_secret": {Label: "Client Secret", Secret: true, Hint: "Stored encrypted, and never shown again. Public clients have none."},
	"auth.oauth.scopes":        {Label: "Scopes", Placeholder: "read write", Hint: "Separated by spaces. Left empty, they are those that the server asks for."},
	"auth.oauth.issuer":        {Label: "Issuer", Type: "url", Hint: "The authorization server that the client was made at. No other is sent its secret."},
	"auth.oauth.resource":      {Label: "Resource", Hint: "In the place of the server's URL as the name of what tokens are for."},

	"auth.oauth.endpoints.authorization": {Label: "Authorization endpoint", Type: "url"},
	"auth.oauth.endpoints.token":         {Label: "Token endpoint", Type: "url"},
	"auth.oauth.endpoints.registration":  {Label: "Registration endpoint", Type: "url"},
	"auth.oauth.endpoints.revocation":    {Label: "Revocation endpoint", Type: "url"},

	"network.client_id":     {Label: "CF-Access-Client-Id", Secret: true, Hint: "Ends in .access."},
	"network.client_secret": {Label: "CF-Access-Client-Secret", Secret: true, Hint: "Both are sent with every request, the first one included."},
}

// choices are fields that a person does not type into.
var choices = map[string]string{
	"transport": "Transport", "auth.type": "Authentication", "network.type": "Network access", "acknowledged": "Acknowledgement",
	"auth.oauth.grants": "Who authorizes", "auth.oauth.client_auth": "Client authentication", "auth.oauth.endpoints": "Endpoints",
	"headers": "Headers", "allowed_tools": "Choice of tools",
}

// Input returns a field with what it holds.
func (f connectorForm) Input(name string) field {
	in := inputs[name]
	in.Name, in.Value, in.Problem = name, f.value(name), f.Problem(name)
	if in.Secret {
		in.Set = isSet(f.stored, connector.SecretName(name))
	}
	return in
}

func (f connectorForm) value(name string) string {
	s, o := f.Settings, f.Settings.Auth.OAuth
	switch name {
	case "name":
		return s.Name
	case "url":
		return s.URL
	case "description":
		return s.Description
	case "auth.header":
		return s.Auth.Header
	case "auth.prefix":
		return s.Auth.Prefix
	case "auth.oauth.client_id":
		return o.ClientID
	case "auth.oauth.scopes":
		return strings.Join(o.Scopes, " ")
	case "auth.oauth.issuer":
		return o.Issuer
	case "auth.oauth.resource":
		return o.Resource
	case "auth.oauth.endpoints.authorization":
		return o.Endpoints.Authorization
	case "auth.oauth.endpoints.token":
		return o.Endpoints.Token
	case "auth.oauth.endpoints.registration":
		return o.Endpoints.Registration
	case "auth.oauth.endpoints.revocation":
		return o.Endpoints.Revocation
	default:
		return "" // a secret, or the icon
	}
}

// Problem returns what is wrong with a field.
func (f connectorForm) Problem(name string) string {
	var all []string
	for _, p := range f.wrong {
		if p.Param == name {
			all = append(all, inWords(p))
		}
	}
	return strings.Join(all, " ")
}

// inWords is a problem as a sentence that begins with the name of its field.
func inWords(p connector.Problem) string {
	if p.Param == "acknowledged" {
		return "Confirm that you understand the risks of custom connectors."
	}
	label := p.Param
	if in, ok := inputs[p.Param]; ok {
		label = in.Label
	} else if choice, ok := choices[p.Param]; ok {
		label = choice
	} else if header, ok := connector.SecretName(p.Param).Header(); ok {
		label = "Header " + header
	}
	message := strings.TrimPrefix(strings.TrimSuffix(p.Message, ".")+".", "the URL ")
	verb, _, _ := strings.Cut(message, " ")
	if slices.Contains([]string{"is", "are", "must", "has", "have", "cannot", "carries", "belongs"}, verb) {
		return label + " " + message
	}
	return label + ": " + message
}

// header is a row of the form: a request header with a fixed value.
type header struct {
	Row, Name, Problem string
	Set, New           bool
}

// NameID and ValueID are the IDs of its fields.
func (h header) NameID() string  { return fieldID(h.Row + "name") }
func (h header) ValueID() string { return fieldID(h.Row + "value") }

// Headers are those of the connector, and rows for others.
func (f connectorForm) Headers() []header {
	var rows []header
	for i, name := range f.Settings.Headers {
		secret := connector.HeaderValue(name)
		set := isSet(f.stored, secret)
		rows = append(rows, header{Row: headerRow(i), Name: name, Problem: f.Problem(string(secret)), Set: set, New: !set})
	}
	for range newHeaderRows {
		if len(rows) < connector.MaxHeaders+newHeaderRows {
			rows = append(rows, header{Row: headerRow(len(rows)), New: true})
		}
	}
	return rows
}

// toolChoice is a tool that the model may be offered.
type toolChoice struct {
	Name    string
	Offered bool
	Gone    bool // the server does not have it any more
}

// offer fills in which tools the model is offered: those of the server, and those that were chosen and are gone.
func (f *connectorForm) offer(probe connector.Probe, some bool) {
	f.SomeTools, f.Tools = some, nil
	known := map[string]bool{}
	for _, tool := range probe.Tools {
		known[tool.Name] = true
		f.Tools = append(f.Tools, toolChoice{Name: tool.Name, Offered: !some || slices.Contains(f.Settings.AllowedTools, tool.Name)})
	}
	for _, name := range f.Settings.AllowedTools {
		if !known[name] {
			f.Tools = append(f.Tools, toolChoice{Name: name, Offered: true, Gone: true})
		}
	}
}

// refuse fills in what is wrong with the form.
func (f *connectorForm) refuse(wrong connector.Invalid) {
	f.wrong = wrong
	for _, p := range wrong {
		f.Problems = append(f.Problems, problem{Field: f.place(p.Param), Text: inWords(p)})
	}
}

// place is the ID of the field that a problem is in.
func (f connectorForm) place(param string) string {
	_, typed := inputs[param]
	_, chosen := choices[param]
	if param == "allowed_tools" && len(f.Tools) == 0 {
		return "" // they can be chosen once it is known which there are
	}
	if typed || chosen {
		return fieldID(param)
	}
	for _, row := range f.Headers() {
		if row.Name != "" && string(connector.HeaderValue(row.Name)) == param {
			return fieldID(row.Row + "value")
		}
	}
	return ""
}

// MoreOAuth reports whether the fields that few people need are to be open.
func (f connectorForm) MoreOAuth() bool {
	o := f.Settings.Auth.OAuth
	return o.Issuer != "" || o.Resource != "" || o.OmitResource || o.AllowNoPKCE || o.ClientAuth != "" || o.Endpoints != (connector.Endpoints{}) ||
		f.wrongBelow("auth.oauth.endpoints", "auth.oauth.issuer", "auth.oauth.resource", "auth.oauth.client_auth")
}

// MoreHeaders is the same for headers.
func (f connectorForm) MoreHeaders() bool {
	return len(f.Settings.Headers) > 0 || f.wrongBelow("headers")
}

func (f connectorForm) wrongBelow(params ...string) bool {
	for _, p := range f.wrong {
		for _, param := range params {
			if p.Param == param || strings.HasPrefix(p.Param, param+".") {
				return true
			}
		}
	}
	return false
}
