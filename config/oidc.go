package config

import (
	"fmt"
	"strings"

	"perdure/internal/secret"
)

// OIDC is the OpenID Connect provider at which people sign in with a browser. Without an issuer there is none. The client secret is given
// in one of three ways, or not at all for a public client.
type OIDC struct {
	Issuer   string `mapstructure:"issuer"` // as the provider's metadata names it
	ClientID string `mapstructure:"client_id"`

	ClientSecret     secret.String `mapstructure:"client_secret"`      // Load fills it from ClientSecretEnv or ClientSecretFile
	ClientSecretEnv  string        `mapstructure:"client_secret_env"`  // name of an environment variable that holds it
	ClientSecretFile string        `mapstructure:"client_secret_file"` // path of a file that holds it

	Scopes        []string           `mapstructure:"scopes"`       // besides openid, email and profile
	GroupsClaim   string             `mapstructure:"groups_claim"` // of the ID token
	Organizations []OIDCOrganization `mapstructure:"organizations"`
}

// OIDCOrganization says who belongs to an organization, and who is an admin of it.
type OIDCOrganization struct {
	Name        string   `mapstructure:"name"`
	Domains     []string `mapstructure:"domains"`      // of verified e-mail addresses
	Groups      []string `mapstructure:"groups"`       // likewise members
	Admins      []string `mapstructure:"admins"`       // e-mail addresses
	AdminGroups []string `mapstructure:"admin_groups"` // likewise admins
}

func (o *OIDC) resolve(env environment) error {
	return secretSource{path: "auth.oidc.client_secret", value: &o.ClientSecret, env: o.ClientSecretEnv, file: o.ClientSecretFile}.resolve(env)
}

func (o OIDC) validate(v *validation, publicURL string) {
	const path = "auth.oidc"
	if o.Issuer == "" {
		if o.ClientID != "" || !o.ClientSecret.IsZero() || len(o.Organizations) > 0 {
			v.report(path+".issuer", "is empty, and other keys of auth.oidc are set: name the provider, for example https://login.example.com")
		}
		return
	}
	v.baseURL(path+".issuer", o.Issuer)
	if o.ClientID == "" {
		v.report(path+".client_id", "is missing: register Perdure at the provider and enter what it is called there")
	}
	if publicURL == "" {
		v.report("http.public_url", "is missing: auth.oidc needs the address under which browsers come back")
	}
	if o.GroupsClaim == "" {
		v.report(path+".groups_claim", `is empty: remove the key for the default, "groups"`)
	}
	if len(o.Organizations) == 0 {
		v.report(path+".organizations", "is empty, so nobody could sign in: name at least one")
	}
	names := map[string]bool{}
	for i, organization := range o.Organizations {
		at := fmt.Sprintf("%s.organizations[%d]", path, i)
		if names[organization.Name] {
			v.report(at+".name", "is the name of another one already: put their rules together")
		}
		names[organization.Name] = true
		organization.validate(v, at)
	}
}

func (o OIDCOrganization) validate(v *validation, path string) {
	v.identity(path+".name", o.Name)
	if len(o.Domains)+len(o.Groups)+len(o.AdminGroups) == 0 {
		v.report(path, "takes nobody: set domains, groups or admin_groups")
	}
	for i, domain := range o.Domains {
		if domain == "" || strings.ContainsAny(domain, "@/ *") {
			v.report(fmt.Sprintf("%s.domains[%d]", path, i), "must be a domain of e-mail addresses such as example.com")
		}
	}
	for i, admin := range o.Admins {
		if !strings.Contains(admin, "@") {
			v.report(fmt.Sprintf("%s.admins[%d]", path, i), "must be an e-mail address")
		}
	}
}
