// Package cfaccess knows Cloudflare Access from outside: the two headers that carry a service token, and the answers by which Access,
// standing before a server, turns away a request without a valid one.
package cfaccess

import (
	"net/http"
	"net/url"
	"strings"
)

// The headers of a service token. Access asks for both.
const (
	ClientIDHeader     = "Cf-Access-Client-Id"
	ClientSecretHeader = "Cf-Access-Client-Secret"
)

// What to say to people about an answer that is [Refused].
const (
	missing = "Cloudflare Access guards this server: give its network access a service token (CF-Access-Client-Id and CF-Access-Client-Secret)"
	refused = "the Cloudflare Access token was refused: check CF-Access-Client-Id and CF-Access-Client-Secret, and that the policy admits the token"
)

// Refused reports whether an answer is that of Cloudflare Access to a request without valid credentials: a redirect to the team's login
// page, or a challenge that names Access.
func Refused(resp *http.Response) bool {
	if challenges := resp.Header.Values("WWW-Authenticate"); resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		for _, c := range challenges {
			if strings.Contains(c, "cloudflare-access-protected-resource") {
				return true
			}
		}
		return false
	}
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return false
	}
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return false
	}
	// The login page is on the team's own host, or on the guarded one.
	return strings.HasSuffix(strings.ToLower(u.Hostname()), ".cloudflareaccess.com") || strings.HasPrefix(u.Path, "/cdn-cgi/access/login")
}

// Explain says, to a person, what to do about a Refused answer to a request with these headers.
func Explain(sent http.Header) string {
	if sent.Get(ClientIDHeader) == "" && sent.Get(ClientSecretHeader) == "" {
		return missing
	}
	return refused
}
