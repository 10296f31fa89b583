// Package signin signs people in at an OpenID Connect provider: the authorization code flow with PKCE, state and nonce. It keeps
// nothing between its two steps; what the second needs, the caller carries, sealed, in a cookie of the browser.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"perdure/internal/identity"
	"perdure/internal/secret"
)

// CallbackPath is where the provider sends browsers back to. It is entered there, so it never changes.
const CallbackPath = "/rest/auth/callback"

const (
	// PendingFor is how long a person may take at the provider.
	PendingFor = 10 * time.Minute
	timeout    = 10 * time.Second // one request to the provider
)

// Options configure a Provider. Issuer, ClientID, PublicURL and Organizations are required.
type Options struct {
	Issuer       string
	ClientID     string
	ClientSecret secret.String // empty for a public client
	PublicURL    string        // the origin under which browsers reach us
	Scopes       []string      // besides openid, email and profile
	GroupsClaim  string        // of the ID token, which lists the person's groups: "groups"
	// Organizations say who belongs where. The first that takes a person has them.
	Organizations []Organization
	RootCAs       *x509.CertPool // nil: the system's
}

// An Organization takes those whose verified e-mail address is of one of its domains, or who are in one of its groups.
type Organization struct {
	Name    string
	Domains []string
	Groups  []string
	// Admins are e-mail addresses, AdminGroups groups, whose people are admins. If there are any of both, everybody else is a member
	// from the next sign-in on; if there are none, roles are given here and not by the provider.
	Admins      []string
	AdminGroups []string
}

// A Person is somebody who has signed in.
type Person struct {
	Organization string
	Email        string        // verified, in lower case
	Role         identity.Role // empty: the provider does not say
}

// Pending is what the callback needs. It holds secrets: seal it.
type Pending struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Return   string    `json:"return"` // where the browser wanted to go
	Expires  time.Time `json:"expires"`
}

// A Refusal is why a person is not signed in, in words for them.
type Refusal struct{ Message, Remedy string }

// Error says what happened and what to do.
func (r *Refusal) Error() string { return r.Message + ": " + r.Remedy }

// A Provider signs people in. It reads the provider's metadata when it is first needed, so that we start without it.
type Provider struct {
	o    Options
	http *http.Client

	mu    sync.Mutex
	known *oidc.Provider
}

// New returns a provider.
func New(o Options) *Provider {
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // net/http's own
	transport.TLSClientConfig = &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	return &Provider{o: o, http: &http.Client{Transport: transport, Timeout: timeout}}
}

// errAway is for a provider that cannot be used just now.
var errAway = &Refusal{"the sign-in provider cannot be reached", "try again in a moment; the log has the reason"}

// IsAway reports whether the provider, and not the person, is why a sign-in failed.
func IsAway(err error) bool { return errors.Is(err, errAway) }

func (p *Provider) provider(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	// The keys are fetched again and again with the context of this call, so it must not end with the request.
	known, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.http), p.o.Issuer)
	if err != nil {
		return nil, errors.Join(errAway, err)
	}
	p.known = known
	return known, nil
}

func (p *Provider) oauth(known *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret.Reveal(), Endpoint: known.Endpoint(),
		RedirectURL: p.o.PublicURL + CallbackPath,
		Scopes:      append([]string{oidc.ScopeOpenID, "email", "profile"}, p.o.Scopes...),
	}
}

// Begin returns where to send the browser.
func (p *Provider) Begin(ctx context.Context, returnTo string, now time.Time) (string, Pending, error) {
	known, err := p.provider(ctx)
	if err != nil {
		return "", Pending{}, err
	}
	pending := Pending{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Return: returnTo, Expires: now.Add(PendingFor),
	}
	return p.oauth(known).AuthCodeURL(pending.State, oidc.Nonce(pending.Nonce), oauth2.S256ChallengeOption(pending.Verifier)), pending, nil
}

// Complete turns a callback into a person. An error that is a [Refusal] is for the person; it may wrap a cause for the log.
func (p *Provider) Complete(ctx context.Context, pending Pending, query url.Values, now time.Time) (Person, error) {
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(pending.State)) != 1 || pending.State == "" || now.After(pending.Expires) {
		return Person{}, &Refusal{"this sign-in was not begun in this browser, or it took too long", "sign in again"}
	}
	if query.Get("error") != "" {
		return Person{}, &Refusal{"the sign-in provider declined", "sign in again, or ask your administrator whether you may use Perdure"}
	}
	known, err := p.provider(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, p.http)
	token, err := p.oauth(known).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		// Its text has the provider's answer, which may have a token.
		return Person{}, &Refusal{"the sign-in provider did not take its own code", "sign in again; if it stays so, check auth.oidc.client_id and client_secret"}
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := known.Verifier(&oidc.Config{ClientID: p.o.ClientID, Now: func() time.Time { return now }}).Verify(ctx, raw)
	if err != nil {
		return Person{}, errors.Join(&Refusal{"the sign-in provider's answer could not be verified", "sign in again; the log has the reason"}, err)
	}
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(pending.Nonce)) != 1 {
		return Person{}, &Refusal{"the sign-in provider's answer is for another sign-in", "sign in again"}
	}
	return p.person(idToken)
}

func (p *Provider) person(token *oidc.IDToken) (Person, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Person{}, errors.Join(&Refusal{"the sign-in provider's answer cannot be read", "ask your administrator"}, err)
	}
	address, _ := claims["email"].(string)
	email, err := identity.ParseEmail(address)
	// Some providers write "true" in quotes. Without the claim nothing is verified.
	if verified := claims["email_verified"]; err != nil || email == "" || verified != true && verified != "true" {
		return Person{}, &Refusal{"the sign-in provider does not vouch for your e-mail address", "verify the address there, and sign in again"}
	}
	var groups []string
	if list, ok := claims[p.o.GroupsClaim].([]any); ok {
		for _, g := range list {
			if name, ok := g.(string); ok {
				groups = append(groups, name)
			}
		}
	}
	for _, o := range p.o.Organizations {
		if o.takes(email, groups) {
			return Person{Organization: o.Name, Email: email, Role: o.role(email, groups)}, nil
		}
	}
	return Person{}, &Refusal{"your account belongs to no organization here", "ask your administrator to add your domain or group to auth.oidc.organizations"}
}

func (o Organization) takes(email string, groups []string) bool {
	_, domain, _ := strings.Cut(email, "@")
	return slices.ContainsFunc(o.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) ||
		anyOf(o.Groups, groups) || anyOf(o.AdminGroups, groups)
}

func (o Organization) role(email string, groups []string) identity.Role {
	switch {
	case len(o.Admins) == 0 && len(o.AdminGroups) == 0:
		return ""
	case anyOf(o.AdminGroups, groups), slices.ContainsFunc(o.Admins, func(a string) bool { return strings.EqualFold(a, email) }):
		return identity.Admin
	default:
		return identity.Member
	}
}

func anyOf(wanted, have []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(have, w) })
}
