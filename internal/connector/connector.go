package connector

import (
	"crypto/rand"
	"regexp"
	"strings"
	"time"
)

// IDPrefix begins the ID of every connector.
const IDPrefix = "conn_"

var idPattern = regexp.MustCompile(`^conn_[A-Z2-7]{26}$`)

// NewID returns the ID of a new connector. It cannot be guessed.
func NewID() string { return IDPrefix + rand.Text() }

// IsID reports whether an ID can be one of a connector. It need not exist.
func IsID(id string) bool { return idPattern.MatchString(id) }

// A Connector is a saved MCP server.
type Connector struct {
	ID           string
	Organization string
	Owner        string // the user who made it
	Settings     Settings
	// Stored names the secrets that are stored for it, sorted. Their values are nowhere in this type.
	Stored []SecretName
	// Icon is the hash of the stored icon, by which a page can tell that it has changed; empty: there is none.
	Icon string

	// Shared makes an organization connector everybody's to use. It means nothing for an individual one.
	Shared  bool
	Enabled bool
	// Restricted is set by an admin, and ends every use of the connector until an admin takes it back.
	Restricted *Restriction
	// Vetting is that of an admin; it may be of what the connector was before, see [Connector.IsVetted].
	Vetting *Vetting

	Status Status
	Probe  Probe

	Created time.Time
	Updated time.Time // of what a person changed: settings, icon, switches
	Version int64     // grows with each such change
}

// A Restriction says why nobody may use a connector.
type Restriction struct {
	By     string    `json:"by"` // an admin
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Scope says whose a connector is.
type Scope string

// The scopes.
const (
	Individual   Scope = "individual"
	Organization Scope = "organization"
)

// Transport is how messages travel to the server.
type Transport string

// The transports. SSE is that of MCP 2024-11-05, which many servers still have.
const (
	StreamableHTTP Transport = "streamable_http"
	SSE            Transport = "sse"
)

// Settings are what a person enters, but for secrets and the icon.
type Settings struct {
	Scope       Scope     `json:"scope"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	URL         string    `json:"url"`
	Transport   Transport `json:"transport"`
	Auth        Auth      `json:"auth"`
	Headers     []string  `json:"headers,omitempty"` // names of headers sent with each request; their values are secrets
	Network     Network   `json:"network"`
	// AllowedTools are those that the model may be offered; empty: all.
	AllowedTools []string `json:"allowed_tools,omitempty"`
	Retry        Retry    `json:"retry"`
	// Acknowledged says that the person knows the risks of a server that nobody here can vouch for.
	Acknowledged bool `json:"acknowledged"`
}

// Network is what stands in front of the server and wants to be satisfied before it.
type Network string

// The kinds of network access. Cloudflare Access takes two secrets, [CloudflareID] and [CloudflareSecret], with any kind of Auth.
const (
	NetworkNone      Network = "none"
	CloudflareAccess Network = "cloudflare_access"
)

// Retry says when a call whose answer was lost is made again, in the words of the configuration: RetrySafe, RetryAlways, RetryNever.
type Retry struct {
	Default string `json:"default,omitempty"` // empty: RetrySafe
	// Tools are the rules of tools for which the default does not hold, by their names.
	Tools map[string]string `json:"tools,omitempty"`
}

// The rules of Retry. Safe is: where the server declares its tool read-only or idempotent.
const (
	RetrySafe   = "safe"
	RetryAlways = "always"
	RetryNever  = "never"
)

// OffersTool reports whether the settings let the model be offered a tool.
func (s Settings) OffersTool(name string) bool {
	if len(s.AllowedTools) == 0 {
		return true
	}
	for _, allowed := range s.AllowedTools {
		if allowed == name {
			return true
		}
	}
	return false
}

// normalize makes equal settings look equal, and writes defaults out.
func (s Settings) normalize() Settings {
	s.Name = strings.TrimSpace(s.Name)
	s.Description = strings.TrimSpace(s.Description)
	s.URL = strings.TrimSpace(s.URL)
	orDefault(&s.Scope, Individual)
	orDefault(&s.Transport, StreamableHTTP)
	orDefault(&s.Network, NetworkNone)
	orDefault(&s.Retry.Default, RetrySafe)
	s.Auth = s.Auth.normalize(s.Scope)
	s.Headers = canonicalHeaders(s.Headers)
	return s
}

func orDefault[T ~string](value *T, otherwise T) {
	if *value == "" {
		*value = otherwise
	}
}
