package starter

import (
	"net/http"

	"perdure/internal/connection"
	"perdure/internal/oauth"
)

const (
	connectorsPath   = "/v1/connectors"
	organizationPath = "/v1/organization"
)

// managedRoutes are those of what the database has. openapi.yaml has each, and TestStrangers a case for each.
func (s *Starter) managedRoutes(handle func(pattern string, h http.Handler)) {
	handle("GET /v1/me", s.managed(s.getCaller))
	handle("GET "+organizationPath, s.managed(s.getOrganization))
	handle("POST "+organizationPath, s.managed(s.updateOrganization))
	handle("GET "+organizationPath+"/members", s.managed(s.listMembers))
	handle("POST "+organizationPath+"/members", s.managed(s.addMember))
	handle("POST "+organizationPath+"/members/{id}", s.managed(s.updateMember))
	handle("DELETE "+organizationPath+"/members/{id}", s.managed(s.removeMember))
	handle("GET "+organizationPath+"/api_keys", s.managed(s.listKeys))
	handle("POST "+organizationPath+"/api_keys", s.managed(s.createKey))
	handle("DELETE "+organizationPath+"/api_keys/{id}", s.managed(s.revokeKey))
	handle("GET "+organizationPath+"/audit_log", s.managed(s.listAuditLog))
	s.connectorRoutes(handle)
}

func (s *Starter) connectorRoutes(handle func(pattern string, h http.Handler)) {
	const one = connectorsPath + "/{id}"
	handle("GET "+connectorsPath, s.managed(s.listConnectors))
	handle("POST "+connectorsPath, s.managed(s.createConnector))
	handle("GET "+one, s.managed(s.getConnector))
	handle("POST "+one, s.managed(s.updateConnector))
	handle("PATCH "+one, s.managed(s.updateConnector))
	handle("DELETE "+one, s.managed(s.deleteConnector))
	handle("POST "+one+"/probe", s.managed(s.acted(s.probe)))
	handle("POST "+one+"/authorize", s.managed(s.authorizeConnector))
	handle("POST "+one+"/disconnect", s.managed(s.disconnectConnector))
	handle("POST "+one+"/share", s.managed(s.acted(s.share(true))))
	handle("POST "+one+"/unshare", s.managed(s.acted(s.share(false))))
	handle("POST "+one+"/enable", s.managed(s.acted(s.enable(true))))
	handle("POST "+one+"/disable", s.managed(s.acted(s.enable(false))))
	handle("POST "+one+"/restrict", s.managed(s.restrictConnector))
	handle("POST "+one+"/unrestrict", s.managed(s.acted(s.unrestrict)))
	handle("POST "+one+"/vet", s.managed(s.acted(s.vet)))
	handle("POST "+one+"/review", s.managed(s.reviewConnector))
	handle("GET "+one+"/icon", s.managed(s.getIcon))
	handle("PUT "+one+"/icon", s.managed(s.setIcon))
	handle("DELETE "+one+"/icon", s.managed(s.acted(s.deleteIcon)))
}

// browserRoutes are pages, and what leads to them.
func (s *Starter) browserRoutes(handle func(pattern string, h http.Handler)) {
	handle("GET "+signInPath, s.paged("Sign-in failed", s.signIn))
	handle("GET "+authPath+"/callback", s.paged("Sign-in failed", s.signInCallback))
	handle("GET "+linkPath, s.paged("Sign-in failed", s.useLink))
	handle("POST "+signOutPath, s.paged("Sign-out failed", s.signOut))
	handle("GET "+connection.AuthorizePath, s.paged(authorizationFailed, s.beginAuthorization))
	handle("GET "+oauth.CallbackPath, s.paged(authorizationFailed, s.oauthCallback))
	handle("GET "+oauth.ClientMetadataPath, s.handle(s.clientMetadata))
}
