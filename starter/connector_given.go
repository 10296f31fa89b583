package starter

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"perdure/internal/connector"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

// givenConnector is what a client says of a connector, to make one or to change one. What a change does not name stays.
type givenConnector struct {
	Name         string               `json:"name"`
	Description  string               `json:"description"`
	URL          string               `json:"url"`
	Transport    connector.Transport  `json:"transport"`
	Scope        connector.Scope      `json:"scope"`
	Auth         givenAuth            `json:"auth"`
	Headers      map[string]writeOnly `json:"headers"`
	Network      givenNetwork         `json:"network"`
	AllowedTools []string             `json:"allowed_tools"`
	Retry        givenRetry           `json:"retry"`
	Acknowledged bool                 `json:"acknowledged"`
}

type givenAuth struct {
	Type   connector.AuthType `json:"type"`
	Header string             `json:"header"`
	Prefix string             `json:"prefix"`
	APIKey writeOnly          `json:"api_key"`
	OAuth  givenOAuth         `json:"oauth"`
}

type givenOAuth struct {
	Grants       connector.GrantMode `json:"grants"`
	ClientID     string              `json:"client_id"`
	ClientSecret writeOnly           `json:"client_secret"`
	ClientAuth   string              `json:"client_auth"`
	Issuer       string              `json:"issuer"`
	Scopes       []string            `json:"scopes"`
	Resource     string              `json:"resource"`
	OmitResource bool                `json:"omit_resource"`
	Endpoints    givenEndpoints      `json:"endpoints"`
	AllowNoPKCE  bool                `json:"allow_no_pkce"`
}

type givenEndpoints struct {
	Authorization string `json:"authorization"`
	Token         string `json:"token"`
	Registration  string `json:"registration"`
	Revocation    string `json:"revocation"`
}

type givenNetwork struct {
	Type         connector.Network `json:"type"`
	ClientID     writeOnly         `json:"client_id"`
	ClientSecret writeOnly         `json:"client_secret"`
}

type givenRetry struct {
	Default string            `json:"default"`
	Tools   map[string]string `json:"tools"`
}

// writeOnly is a secret on its way in: a string, or what an answer showed in its place, which says to keep what is stored. So an answer
// can be changed and sent back.
type writeOnly struct {
	value   secret.String
	unclear bool
}

// UnmarshalJSON notes what it cannot make out, for the place to be named: encoding/json does not tell where it is.
func (v *writeOnly) UnmarshalJSON(data []byte) error {
	*v = writeOnly{}
	data = bytes.TrimSpace(data)
	var text string
	if json.Unmarshal(data, &text) == nil {
		v.value = secret.New(text) // null and "" are none
		return nil
	}
	var shown struct {
		Set *bool `json:"set"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	v.unclear = decoder.Decode(&shown) != nil || shown.Set == nil
	return nil
}

// given is the wire form of settings, without secrets, for a change to be laid over.
func given(s connector.Settings) givenConnector {
	o := s.Auth.OAuth
	return givenConnector{
		Name: s.Name, Description: s.Description, URL: s.URL, Transport: s.Transport, Scope: s.Scope,
		Auth: givenAuth{
			Type: s.Auth.Type, Header: s.Auth.Header, Prefix: s.Auth.Prefix,
			OAuth: givenOAuth{
				Grants: o.Grants, ClientID: o.ClientID, ClientAuth: o.ClientAuth, Issuer: o.Issuer, Scopes: o.Scopes, Resource: o.Resource,
				OmitResource: o.OmitResource, Endpoints: givenEndpoints(o.Endpoints), AllowNoPKCE: o.AllowNoPKCE,
			},
		},
		Network:      givenNetwork{Type: s.Network},
		AllowedTools: s.AllowedTools,
		Retry:        givenRetry{Default: s.Retry.Default, Tools: s.Retry.Tools},
		Acknowledged: s.Acknowledged,
	}
}

// decodeConnector reads a body that makes a connector.
func decodeConnector(body []byte) (connector.Settings, connector.Secrets, error) {
	return decodeOver(body, givenConnector{})
}

// decodeConnectorChange reads a body that changes one. Of headers, tools and scopes it names all or none. Another kind of
// authentication starts from nothing: the settings of the former are none of its.
func decodeConnectorChange(body []byte, now connector.Settings) (connector.Settings, connector.Secrets, error) {
	var change struct {
		Auth  *struct{ Type *connector.AuthType }
		Retry *struct{ Tools map[string]string }
	}
	over := given(now)
	// What is not an object of this form, decodeOver refuses in words.
	if json.Unmarshal(body, &change) == nil {
		if change.Auth != nil && change.Auth.Type != nil && *change.Auth.Type != now.Auth.Type {
			over.Auth = givenAuth{}
		}
		if change.Retry != nil && change.Retry.Tools != nil {
			over.Retry.Tools = nil
		}
	}
	s, secrets, err := decodeOver(body, over)
	if err == nil && s.Headers == nil && !hasMember(body, "headers") {
		s.Headers = now.Headers
	}
	return s, secrets, err
}

func hasMember(body []byte, name string) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return false
	}
	_, ok := members[name]
	return ok
}

func decodeOver(body []byte, over givenConnector) (connector.Settings, connector.Secrets, error) {
	if err := responses.DecodeStrict(body, &over); err != nil {
		return connector.Settings{}, nil, err
	}
	secrets, err := over.secrets()
	return over.settings(), secrets, err
}

func (g givenConnector) settings() connector.Settings {
	o := g.Auth.OAuth
	s := connector.Settings{
		Scope: g.Scope, Name: g.Name, Description: g.Description, URL: g.URL, Transport: g.Transport,
		Auth: connector.Auth{
			Type: g.Auth.Type, Header: g.Auth.Header, Prefix: g.Auth.Prefix,
			OAuth: connector.OAuth{
				Grants: o.Grants, ClientID: o.ClientID, ClientAuth: o.ClientAuth, Issuer: o.Issuer, Scopes: o.Scopes, Resource: o.Resource,
				OmitResource: o.OmitResource, Endpoints: connector.Endpoints(o.Endpoints), AllowNoPKCE: o.AllowNoPKCE,
			},
		},
		Network: g.Network.Type, AllowedTools: g.AllowedTools, Acknowledged: g.Acknowledged,
		Retry: connector.Retry{Default: g.Retry.Default, Tools: g.Retry.Tools},
	}
	if len(g.Headers) > 0 {
		s.Headers = slices.Sorted(maps.Keys(g.Headers))
	}
	return s
}

// secrets are those that were entered. What is empty, or the place of one that is stored, is none.
func (g givenConnector) secrets() (connector.Secrets, error) {
	entered := map[connector.SecretName]writeOnly{
		connector.APIKey:           g.Auth.APIKey,
		connector.ClientSecret:     g.Auth.OAuth.ClientSecret,
		connector.CloudflareID:     g.Network.ClientID,
		connector.CloudflareSecret: g.Network.ClientSecret,
	}
	for _, name := range slices.Sorted(maps.Keys(g.Headers)) {
		at := connector.HeaderValue(name)
		if _, twice := entered[at]; twice {
			return nil, responses.Invalid("headers."+clip(name), "is given twice; names differ only in case")
		}
		entered[at] = g.Headers[name]
	}
	secrets := connector.Secrets{}
	for name, v := range entered {
		if v.unclear {
			return nil, responses.Invalid(clip(string(name)), `must be a string, or {"set":true} to keep the one that is stored`)
		}
		if !v.value.IsZero() {
			secrets[name] = v.value
		}
	}
	return secrets, nil
}
