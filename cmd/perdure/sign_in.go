package main

import (
	"time"

	"perdure/config"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/signin"
	"perdure/starter"
)

// signInOptions returns how people sign in with a browser.
func signInOptions(c config.Config) (starter.SignIn, error) {
	s := starter.SignIn{PublicURL: c.HTTP.PublicURL}
	o := c.Auth.OIDC
	if o.Issuer == "" {
		return s, nil
	}
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return s, err
	}
	var organizations []signin.Organization
	for _, organization := range o.Organizations {
		organizations = append(organizations, signin.Organization(organization))
	}
	s.OIDC = signin.New(signin.Options{
		Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret, PublicURL: c.HTTP.PublicURL, Scopes: o.Scopes,
		GroupsClaim: o.GroupsClaim, Organizations: organizations, RootCAs: roots,
	})
	return s, nil
}

// newSignInLink returns the link that signs the admin of "perdure dev" in.
func (d *devServer) newSignInLink(links *starter.SignInLinks) secret.String {
	return secret.New(d.config.HTTP.PublicURL + links.New(identity.DefaultOrganization, devUser, time.Now()).Reveal())
}
