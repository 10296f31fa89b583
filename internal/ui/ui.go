package ui

import (
	"embed"
	"net/http"

	"perdure/internal/page"
	"perdure/starter"
)

//go:embed all:templates
var templateFiles embed.FS

var pages = page.MustParse(templateFiles, functions)

// Options are what the pages need besides the API.
type Options struct {
	// TemporalUI is the base URL of the Temporal Web UI; empty: there is none to link to.
	TemporalUI string
	// Namespace is that of the runs.
	Namespace string
	// DemoMCP is the URL of an MCP server that newcomers can try; empty: there is none.
	DemoMCP string
}

// Pages returns the pages, for [starter.Options].
func Pages(o Options) starter.Pages {
	return func(api *starter.Starter, handle func(pattern string, h http.Handler)) {
		u := &ui{Options: o, api: api}
		u.routes(func(pattern string, h starter.PageHandler) { handle(pattern, api.Page(h, u.fail)) })
	}
}

// ui has the handlers.
type ui struct {
	Options
	api *starter.Starter
}

// routes are all pages and what their forms are sent to.
func (u *ui) routes(handle func(pattern string, h starter.PageHandler)) {
	handle("GET /{$}", u.home)
	handle("POST /theme", u.setTheme)
	u.runRoutes(handle)
	u.connectorsRoutes(handle)
	u.playRoutes(handle)
	u.batchRoutes(handle)
	u.settingsRoutes(handle)
	u.enterpriseRoutes(handle)
}

// runRoutes are runs, for all members.
func (u *ui) runRoutes(handle func(pattern string, h starter.PageHandler)) {
	handle("GET "+runsPath, u.listRuns)
	handle("GET "+runsPath+"/{id}", u.showRun)
	handle("GET "+runsPath+"/{id}/events", u.runEvents)
	handle("GET "+runsPath+"/{id}/json", u.runJSON)
	handle("GET "+runsPath+"/{id}/steps/{execution}/{event}/{part}", u.stepContent)
	handle("POST "+runsPath+"/{id}/cancel", u.cancelRun)
	handle("GET "+runsPath+"/{id}/delete", u.confirmDeletion)
	handle("POST "+runsPath+"/{id}/delete", u.deleteRun)
}

// settingsRoutes are what a person sees of what is theirs.
func (u *ui) settingsRoutes(handle func(pattern string, h starter.PageHandler)) {
	handle("GET /settings/account", u.account)
	handle("POST /settings/sessions/{id}/end", u.endSession)
	handle("POST /settings/sessions/end-others", u.endOtherSessions)
	handle("GET "+keysPath, u.keys)
	handle("POST "+keysPath, u.createKey)
	handle("GET "+keysPath+"/new", u.newKey)
	handle("GET "+keysPath+"/{id}/created", u.createdKey)
	handle("GET "+keysPath+"/{id}/revoke", u.confirmRevoke)
	handle("POST "+keysPath+"/{id}/revoke", u.revokeKey)
}

// enterpriseRoutes are for admins, which the API insists on.
func (u *ui) enterpriseRoutes(handle func(pattern string, h starter.PageHandler)) {
	handle("GET /enterprise/organization", u.organization)
	handle("GET "+membersPath, u.members)
	handle("POST "+membersPath, u.addMember)
	handle("GET "+membersPath+"/new", u.newMember)
	handle("POST "+membersPath+"/{id}/role", u.setRole)
	handle("GET "+membersPath+"/{id}/remove", u.confirmRemove)
	handle("POST "+membersPath+"/{id}/remove", u.removeMember)
	handle("GET "+auditPath, u.auditLog)
}

// Routes lists the patterns of all pages, and of what their forms are sent to. It is for tests, which have to leave none out.
func Routes() []string {
	var patterns []string
	(&ui{}).routes(func(pattern string, _ starter.PageHandler) { patterns = append(patterns, pattern) })
	return patterns
}
