package starter

import "net/http"

const (
	connectorsPath   = "/v1/connectors"
	organizationPath = "/v1/organization"
)

// managedRoutes are those of what the database has. docs/openapi.yaml has each, and TestStrangers a case for each.
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
}

// browserRoutes are pages, and what leads to them.
func (s *Starter) browserRoutes(handle func(pattern string, h http.Handler)) {
	handle("GET "+signInPath, s.handle(s.signIn))
	handle("GET "+authPath+"/callback", s.handle(s.signInCallback))
	handle("GET "+linkPath, s.handle(s.useLink))
	handle("POST "+signOutPath, s.handle(s.signOut))
}
