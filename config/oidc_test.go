package config

import (
	"strings"
	"testing"
)

func TestOIDC(t *testing.T) {
	t.Parallel()
	good := func() Config {
		c := Default()
		c.HTTP.PublicURL = "https://agents.example.com"
		c.Auth.OIDC = OIDC{
			Issuer: "https://login.example.com", ClientID: "perdure", GroupsClaim: "groups",
			Organizations: []OIDCOrganization{{Name: "acme", Domains: []string{"acme.example"}}},
		}
		return c
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*Config){
		"http.public_url: is missing":                    func(c *Config) { c.HTTP.PublicURL = "" },
		"auth.oidc.issuer: is empty, and other keys":     func(c *Config) { c.Auth.OIDC.Issuer = "" },
		"auth.oidc.issuer":                               func(c *Config) { c.Auth.OIDC.Issuer = "login" },
		"auth.oidc.client_id: is missing":                func(c *Config) { c.Auth.OIDC.ClientID = "" },
		"auth.oidc.groups_claim: is empty":               func(c *Config) { c.Auth.OIDC.GroupsClaim = "" },
		"auth.oidc.organizations: is empty":              func(c *Config) { c.Auth.OIDC.Organizations = nil },
		"auth.oidc.organizations[0].name":                func(c *Config) { c.Auth.OIDC.Organizations[0].Name = "a b" },
		"auth.oidc.organizations[0]: takes nobody":       func(c *Config) { c.Auth.OIDC.Organizations[0].Domains = nil },
		"auth.oidc.organizations[0].domains[0]: must be": func(c *Config) { c.Auth.OIDC.Organizations[0].Domains[0] = "*@acme.example" },
		"auth.oidc.organizations[0].admins[0]: must be":  func(c *Config) { c.Auth.OIDC.Organizations[0].Admins = []string{"ann"} },
		"auth.oidc.organizations[1].name: is the name of another": func(c *Config) {
			c.Auth.OIDC.Organizations = append(c.Auth.OIDC.Organizations, c.Auth.OIDC.Organizations[0])
		},
	} {
		c := good()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want %q", err, says)
		}
	}
}
