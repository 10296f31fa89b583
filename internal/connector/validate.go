package connector

import (
	"slices"
	"strings"

	"perdure/internal/secret"
)

// Bounds of what may be entered.
const (
	MaxName        = 100  // characters
	MaxDescription = 1000 // characters
	MaxHeaders     = 20
	MaxTools       = 128 // in AllowedTools, and in Retry.Tools
	MaxToolName    = 128 // bytes
	MaxSecret      = 8 << 10
	MaxScopes      = 64
	MaxScope       = 256 // bytes
	MaxPrefix      = 32  // bytes
	MaxClientID    = 2048
)

// Checks are the rules that connectors share with MCP servers which a request names itself. Both are required, and their errors are fit
// to show.
type Checks struct {
	// URL reports why an address may not be used: it has to be https, and public, unless the operator allows more.
	URL func(url string) error
	// Header reports why a header may not be sent.
	Header func(name, value string) error
}

// validate reports all problems of settings with the secrets given and the names of those that are stored and stay.
func (c Checks) validate(s Settings, given Secrets, kept []SecretName) Invalid {
	var v Invalid
	if s.Scope != Individual && s.Scope != Organization {
		v.report("scope", "must be %s or %s", Individual, Organization)
	}
	if s.Name == "" {
		v.report("name", "is missing: give the connector a name to show")
	}
	v.checkText("name", s.Name, MaxName, false)
	v.checkText("description", s.Description, MaxDescription, true)
	c.address(&v, "url", s.URL)
	if s.Transport != StreamableHTTP && s.Transport != SSE {
		v.report("transport", "must be %s or %s", StreamableHTTP, SSE)
	}
	c.validateAuth(&v, s)
	c.validateHeaders(&v, s, given)
	if s.Network != NetworkNone && s.Network != CloudflareAccess {
		v.report("network.type", "must be %s or %s", NetworkNone, CloudflareAccess)
	}
	validateSecrets(&v, s, given, kept)
	validateTools(&v, s)
	if !s.Acknowledged {
		v.report("acknowledged", "must be true: it says that you know the risks of a server that nobody here can vouch for")
	}
	return v
}

func (c Checks) address(v *Invalid, param, url string) {
	if url == "" {
		v.report(param, "is missing: it must be a URL such as https://mcp.example.com/mcp")
		return
	}
	if err := c.URL(url); err != nil {
		v.report(param, "%s", err)
	}
}

func validateSecrets(v *Invalid, s Settings, given Secrets, kept []SecretName) {
	wanted := s.names()
	for _, name := range wanted {
		value, ok := given[name]
		switch {
		case ok:
			validateSecret(v, name, value)
		case !s.optional(name) && !slices.Contains(kept, name):
			v.report(string(name), "is missing: %s", whyNeeded(name))
		}
	}
	for _, name := range given.sorted() {
		if !slices.Contains(wanted, name) {
			v.report(string(name), "is given, and the settings have no use for it: remove it")
		}
	}
}

func whyNeeded(name SecretName) string {
	switch name {
	case APIKey:
		return "authentication by API key needs the key"
	case CloudflareID, CloudflareSecret:
		return "Cloudflare Access needs the service token's client ID and its client secret, both"
	default:
		return "give its value"
	}
}

// validateSecret leaves the values of headers to Checks.Header.
func validateSecret(v *Invalid, name SecretName, value secret.String) {
	if _, ok := name.Header(); ok {
		return
	}
	switch text := value.Reveal(); {
	case len(text) > MaxSecret:
		v.report(string(name), "is longer than %d bytes", MaxSecret)
	case !isVisible(text):
		v.report(string(name), "must be visible ASCII without spaces and line breaks, to fit into an HTTP header")
	}
}

func validateTools(v *Invalid, s Settings) {
	if len(s.AllowedTools) > MaxTools {
		v.report("allowed_tools", "has %d tools; name at most %d", len(s.AllowedTools), MaxTools)
	}
	for i, tool := range s.AllowedTools {
		switch {
		case !isToolName(tool):
			v.report("allowed_tools", "has a name that no tool can have: 1 to %d bytes of visible text are allowed", MaxToolName)
		case slices.Index(s.AllowedTools, tool) < i:
			v.report("allowed_tools", "%q is listed twice: remove one", tool)
		}
	}
	if !isRule(s.Retry.Default) {
		v.report("retry.default", "must be %s, %s or %s", RetrySafe, RetryAlways, RetryNever)
	}
	if len(s.Retry.Tools) > MaxTools {
		v.report("retry.tools", "has %d tools; name at most %d", len(s.Retry.Tools), MaxTools)
	}
	for _, tool := range sortedKeys(s.Retry.Tools) {
		switch {
		case !isToolName(tool):
			v.report("retry.tools", "has a name that no tool can have: 1 to %d bytes of visible text are allowed", MaxToolName)
		case !isRule(s.Retry.Tools[tool]):
			v.report("retry.tools."+tool, "must be %s, %s or %s", RetrySafe, RetryAlways, RetryNever)
		}
	}
}

func isRule(rule string) bool { return rule == RetrySafe || rule == RetryAlways || rule == RetryNever }

func isToolName(name string) bool {
	var v Invalid
	v.checkText("", name, MaxToolName, false)
	return name != "" && len(name) <= MaxToolName && strings.TrimSpace(name) == name && len(v) == 0
}
