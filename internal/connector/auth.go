package connector

import "strings"

// AuthType is how the connector identifies itself to the server.
type AuthType string

// The types of authentication.
const (
	AuthNone   AuthType = "none"
	AuthAPIKey AuthType = "api_key"
	AuthOAuth  AuthType = "oauth"
)

// Auth is how the connector identifies itself to the server. Its secrets are [APIKey] and [ClientSecret].
type Auth struct {
	Type AuthType `json:"type"`
	// Header and Prefix say how the API key is sent; they are for AuthAPIKey. With neither it is "Authorization: Bearer KEY"; with a
	// header other than Authorization, the prefix is empty unless it is given. A space follows a prefix.
	Header string `json:"header,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// OAuth is for AuthOAuth.
	OAuth OAuth `json:"oauth,omitzero"`
}

// GrantMode says whose authorization an organization connector works with.
type GrantMode string

// The modes. An individual connector has GrantEach: its only user is its owner.
const (
	GrantShared GrantMode = "shared" // an admin authorizes once for all
	GrantEach   GrantMode = "each"   // each member authorizes for themselves
)

// OAuth is what a person may set where discovery does not do. All of it is optional.
type OAuth struct {
	Grants GrantMode `json:"grants,omitempty"`

	// ClientID is a client that someone made at the authorization server, for servers without registration. A public client has no
	// secret.
	ClientID string `json:"client_id,omitempty"`
	// ClientAuth is how the client sends its secret: client_secret_basic, client_secret_post, none, or empty for what the server says.
	ClientAuth string `json:"client_auth,omitempty"`
	// Issuer is the authorization server that the client was made at. If set, no other is sent its secret.
	Issuer string `json:"issuer,omitempty"`

	Scopes []string `json:"scopes,omitempty"` // in the place of those that the server asks for
	// Resource is in the place of the server's URL as the name of what tokens are for; OmitResource names none, for authorization
	// servers that refuse the parameter.
	Resource     string `json:"resource,omitempty"`
	OmitResource bool   `json:"omit_resource,omitempty"`
	// Endpoints are in the place of discovery.
	Endpoints Endpoints `json:"endpoints,omitzero"`
	// AllowNoPKCE accepts an authorization server whose metadata does not name PKCE. It is used nevertheless.
	AllowNoPKCE bool `json:"allow_no_pkce,omitempty"`
}

// Endpoints are those of an authorization server that has no metadata. The first two are given together or not at all.
type Endpoints struct {
	Authorization string `json:"authorization,omitempty"`
	Token         string `json:"token,omitempty"`
	Registration  string `json:"registration,omitempty"`
	Revocation    string `json:"revocation,omitempty"`
}

func (a Auth) normalize(scope Scope) Auth {
	orDefault(&a.Type, AuthNone)
	if a.Type == AuthAPIKey {
		if a.Header == "" {
			a.Header = authorization
			orDefault(&a.Prefix, "Bearer")
		}
		a.Header = canonicalHeader(a.Header)
		a.Prefix = strings.TrimSpace(a.Prefix)
	}
	if a.Type == AuthOAuth {
		if scope == Individual {
			orDefault(&a.OAuth.Grants, GrantEach)
		} else {
			orDefault(&a.OAuth.Grants, GrantShared)
		}
	}
	return a
}

// SharesGrant reports whether one authorization serves all users of the connector.
func (s Settings) SharesGrant() bool {
	return s.Auth.Type == AuthOAuth && s.Scope == Organization && s.Auth.OAuth.Grants == GrantShared
}

// GrantOf returns the user whose grant a caller works with: empty for the one that all share.
func (s Settings) GrantOf(user string) string {
	if s.SharesGrant() {
		return ""
	}
	return user
}

// SendsAPIKey returns the header that carries an API key, and its value.
func (a Auth) SendsAPIKey(key string) (header, value string) {
	if a.Prefix == "" {
		return a.Header, key
	}
	return a.Header, a.Prefix + " " + key
}
