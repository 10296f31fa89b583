package connector

import (
	"maps"
	"slices"
	"strings"

	"perdure/internal/secret"
)

// A SecretName names a secret of a connector, as the API's members do. It is stored and part of what a sealed value is bound to: it
// never changes.
type SecretName string

// The secrets besides the values of headers.
const (
	APIKey           SecretName = "auth.api_key"
	ClientSecret     SecretName = "auth.oauth.client_secret"
	CloudflareID     SecretName = "network.client_id"
	CloudflareSecret SecretName = "network.client_secret"
)

const headerSecret = "headers."

// HeaderValue names the secret that is the value of a header.
func HeaderValue(header string) SecretName { return SecretName(headerSecret + canonicalHeader(header)) }

// Header returns the header whose value the secret is, and false for other secrets.
func (n SecretName) Header() (string, bool) { return strings.CutPrefix(string(n), headerSecret) }

// Secrets are values by their names.
type Secrets map[SecretName]secret.String

// names returns the secrets that the settings have a use for.
func (s Settings) names() []SecretName {
	var names []SecretName
	switch s.Auth.Type {
	case AuthAPIKey:
		names = append(names, APIKey)
	case AuthOAuth:
		if s.Auth.OAuth.ClientID != "" {
			names = append(names, ClientSecret)
		}
	}
	if s.Network == CloudflareAccess {
		names = append(names, CloudflareID, CloudflareSecret)
	}
	for _, header := range s.Headers {
		names = append(names, HeaderValue(header))
	}
	return names
}

// optional reports whether the settings do without a secret that they have a use for.
func (s Settings) optional(name SecretName) bool { return name == ClientSecret }

// canonical gives headers their one spelling, and drops empty values, which are none.
func (s Secrets) canonical() Secrets {
	out := Secrets{}
	for name, value := range s {
		if value.IsZero() {
			continue
		}
		if header, ok := name.Header(); ok {
			name = HeaderValue(header)
		}
		out[name] = value
	}
	return out
}

func (s Secrets) sorted() []SecretName { return slices.Sorted(maps.Keys(s)) }
