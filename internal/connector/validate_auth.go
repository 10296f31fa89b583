package connector

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

func (c Checks) validateAuth(v *Invalid, s Settings) {
	a := s.Auth
	switch a.Type {
	case AuthNone:
	case AuthAPIKey:
		c.validateAPIKey(v, a)
	case AuthOAuth:
		c.validateOAuth(v, s)
	default:
		v.report("auth.type", "must be %s, %s or %s", AuthNone, AuthAPIKey, AuthOAuth)
	}
	if a.Type != AuthAPIKey && (a.Header != "" || a.Prefix != "") {
		v.report("auth.header", "and auth.prefix are for authentication by API key: remove them")
	}
	if a.Type != AuthOAuth && !a.OAuth.isZero() {
		v.report("auth.oauth", "is for authentication by OAuth: remove it")
	}
}

func (c Checks) validateAPIKey(v *Invalid, a Auth) {
	if err := c.header(a.Header, "value"); err != nil {
		v.report("auth.header", "%s", err)
	}
	if a.Prefix != "" && (!isVisible(a.Prefix) || len(a.Prefix) > MaxPrefix) {
		v.report("auth.prefix", "must be at most %d visible ASCII characters without spaces, such as Bearer", MaxPrefix)
	}
}

func (c Checks) validateOAuth(v *Invalid, s Settings) {
	o := s.Auth.OAuth
	if o.Grants != GrantShared && o.Grants != GrantEach {
		v.report("auth.oauth.grants", "must be %s or %s", GrantShared, GrantEach)
	} else if o.Grants == GrantShared && s.Scope == Individual {
		v.report("auth.oauth.grants", "must be %s: an individual connector has only one user", GrantEach)
	}
	if o.ClientID == "" && (o.ClientAuth != "" || o.Issuer != "") {
		v.report("auth.oauth.client_id", "is missing: client_auth and issuer say something of a client that was made by hand")
	}
	if len(o.ClientID) > MaxClientID || o.ClientID != "" && strings.ContainsFunc(o.ClientID, func(r rune) bool { return r < ' ' || r > '~' }) {
		v.report("auth.oauth.client_id", "must be at most %d characters of printable ASCII", MaxClientID)
	}
	switch o.ClientAuth {
	case "", "none", "client_secret_basic", "client_secret_post":
	default:
		v.report("auth.oauth.client_auth", "must be none, client_secret_basic or client_secret_post")
	}
	if o.Issuer != "" {
		c.address(v, "auth.oauth.issuer", o.Issuer)
	}
	validateScopes(v, o.Scopes)
	validateResource(v, o)
	c.validateEndpoints(v, o)
}

func validateScopes(v *Invalid, scopes []string) {
	if len(scopes) > MaxScopes {
		v.report("auth.oauth.scopes", "has %d scopes; name at most %d", len(scopes), MaxScopes)
	}
	for i, scope := range scopes {
		switch {
		case !isVisible(scope) || len(scope) > MaxScope || strings.ContainsAny(scope, `"\`):
			v.report("auth.oauth.scopes", `has one that cannot be a scope: at most %d visible ASCII characters without spaces, " and \`, MaxScope)
		case slices.Index(scopes, scope) < i:
			v.report("auth.oauth.scopes", "%q is listed twice: remove one", scope)
		}
	}
}

// A resource is a name, which nobody dials: it need not be https. Entra has api://….
func validateResource(v *Invalid, o OAuth) {
	switch u, err := url.Parse(o.Resource); {
	case o.Resource == "":
	case o.OmitResource:
		v.report("auth.oauth.resource", "is set beside omit_resource: keep one")
	case err != nil || u.Scheme == "" || strings.Contains(o.Resource, "#") || len(o.Resource) > MaxClientID || !isVisible(o.Resource):
		v.report("auth.oauth.resource", "must be an absolute URI without a fragment, such as https://mcp.example.com/mcp")
	}
}

func (c Checks) validateEndpoints(v *Invalid, o OAuth) {
	e := o.Endpoints
	if (e.Authorization == "") != (e.Token == "") || e.Authorization == "" && (e.Registration != "" || e.Revocation != "") {
		v.report("auth.oauth.endpoints", "must have authorization and token: they take the place of discovery together")
	}
	if e.Authorization != "" && e.Registration == "" && o.ClientID == "" {
		v.report("auth.oauth.client_id", "is missing: without discovery and without a registration endpoint there is no other way to a client")
	}
	for _, endpoint := range []struct{ name, url string }{
		{"authorization", e.Authorization}, {"token", e.Token}, {"registration", e.Registration}, {"revocation", e.Revocation},
	} {
		if endpoint.url != "" {
			c.address(v, "auth.oauth.endpoints."+endpoint.name, endpoint.url)
		}
	}
}

// validateHeaders checks static headers, and that no header has two values: what a person meant by that nobody can know.
func (c Checks) validateHeaders(v *Invalid, s Settings, given Secrets) {
	if len(s.Headers) > MaxHeaders {
		v.report("headers", "has %d headers; send at most %d", len(s.Headers), MaxHeaders)
	}
	for i, name := range s.Headers {
		param := string(HeaderValue(name))
		value := "value"
		if entered, ok := given[HeaderValue(name)]; ok {
			value = entered.Reveal()
		}
		err := c.header(name, value)
		switch {
		case err != nil:
			v.report(param, "%s", err)
		case slices.Index(s.Headers, name) < i:
			v.report(param, "is given twice; names differ only in case")
		case s.Auth.Type == AuthAPIKey && name == s.Auth.Header:
			v.report(param, "carries the API key already: keep one")
		case s.Auth.Type == AuthOAuth && name == authorization:
			v.report(param, "carries the OAuth token already: remove it, or choose another authentication")
		}
	}
}

// header adds to the rules for all servers that Cloudflare Access has its own place.
func (c Checks) header(name, value string) error {
	if strings.HasPrefix(name, cloudflarePrefix) {
		return errCloudflareHeader
	}
	return c.Header(name, value)
}

func (o OAuth) isZero() bool {
	return o.Grants == "" && o.ClientID == "" && o.ClientAuth == "" && o.Issuer == "" && len(o.Scopes) == 0 &&
		o.Resource == "" && !o.OmitResource && o.Endpoints == (Endpoints{}) && !o.AllowNoPKCE
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
