package oauth

import (
	"encoding/json"
	"fmt"
	"time"

	"perdure/internal/secret"
)

// A Pending is an authorization for which a browser is under way. Store it sealed, by StateHash, until Expires.
type Pending struct {
	StateHash string        `json:"state_hash"` // of the state in the browser's URL; the state itself is kept nowhere
	Verifier  secret.String `json:"verifier"`   // of PKCE
	Expires   time.Time     `json:"expires"`

	Client             Registration `json:"client"`
	Resource           string       `json:"resource,omitempty"`
	Scopes             []string     `json:"scopes,omitempty"`
	TokenEndpoint      string       `json:"token_endpoint"`
	RevocationEndpoint string       `json:"revocation_endpoint,omitempty"`
	IssuerInCallback   bool         `json:"issuer_in_callback,omitempty"`
	StepUps            int          `json:"step_ups,omitempty"`
}

// A Grant is what a person, or an admin for all, has authorized. Store it sealed.
type Grant struct {
	Issuer             string        `json:"issuer"`
	Client             Registration  `json:"client"`
	Resource           string        `json:"resource,omitempty"`
	Asked              []string      `json:"asked,omitempty"`  // scopes asked for
	Scopes             []string      `json:"scopes,omitempty"` // scopes granted
	TokenEndpoint      string        `json:"token_endpoint"`
	RevocationEndpoint string        `json:"revocation_endpoint,omitempty"`
	Access             secret.String `json:"access"`
	Refresh            secret.String `json:"refresh,omitzero"`      // empty: the grant ends with the access token
	Expires            time.Time     `json:"expires,omitzero"`      // of the access token; zero: not known
	RefreshFrom        time.Time     `json:"refresh_from,omitzero"` // from when on to renew it; zero: when it is refused
	StepUps            int           `json:"step_ups,omitempty"`    // in a row
}

// Stale reports whether the access token is to be renewed before it is used.
func (g Grant) Stale(now time.Time) bool {
	return !g.RefreshFrom.IsZero() && !now.Before(g.RefreshFrom)
}

// In the types above secrets redact themselves, in JSON too. The types below are the same with their secrets in clear, which is what
// sealing takes. A field of the outer struct hides the one of the same name inside.
type (
	registrationText struct {
		Registration
		Secret string `json:"secret,omitempty"`
	}
	pendingText struct {
		Pending
		Verifier string           `json:"verifier"`
		Client   registrationText `json:"client"`
	}
	grantText struct {
		Grant
		Client  registrationText `json:"client"`
		Access  string           `json:"access"`
		Refresh string           `json:"refresh,omitempty"`
	}
)

func textOf(r Registration) registrationText { return registrationText{r, r.Secret.Reveal()} }

func (t registrationText) value() Registration {
	r := t.Registration
	r.Secret = secret.New(t.Secret)
	return r
}

// Plaintext is the registration with its secret in clear, to be sealed and for nothing else.
func (r Registration) Plaintext() ([]byte, error) { return json.Marshal(textOf(r)) }

// ParseRegistration reads what Plaintext wrote.
func ParseRegistration(text []byte) (Registration, error) {
	var t registrationText
	if err := json.Unmarshal(text, &t); err != nil {
		return Registration{}, fmt.Errorf("oauth: stored registration: %w", redactJSON(err))
	}
	return t.value(), nil
}

// Plaintext is the value with its secrets in clear, to be sealed and for nothing else.
func (p Pending) Plaintext() ([]byte, error) {
	return json.Marshal(pendingText{Pending: p, Verifier: p.Verifier.Reveal(), Client: textOf(p.Client)})
}

// ParsePending reads what Plaintext wrote.
func ParsePending(text []byte) (Pending, error) {
	var t pendingText
	if err := json.Unmarshal(text, &t); err != nil {
		return Pending{}, fmt.Errorf("oauth: stored authorization: %w", redactJSON(err))
	}
	p := t.Pending
	p.Verifier, p.Client = secret.New(t.Verifier), t.Client.value()
	return p, nil
}

// Plaintext is the grant with its secrets in clear, to be sealed and for nothing else.
func (g Grant) Plaintext() ([]byte, error) {
	return json.Marshal(grantText{Grant: g, Client: textOf(g.Client), Access: g.Access.Reveal(), Refresh: g.Refresh.Reveal()})
}

// ParseGrant reads what Plaintext wrote.
func ParseGrant(text []byte) (Grant, error) {
	var t grantText
	if err := json.Unmarshal(text, &t); err != nil {
		return Grant{}, fmt.Errorf("oauth: stored grant: %w", redactJSON(err))
	}
	g := t.Grant
	g.Access, g.Refresh, g.Client = secret.New(t.Access), secret.New(t.Refresh), t.Client.value()
	return g, nil
}

// redactJSON keeps the kind of an error: the text of a syntax error quotes the input.
func redactJSON(err error) error { return fmt.Errorf("%T (text withheld)", err) }
