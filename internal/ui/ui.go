package ui

import (
	"embed"
	"net/http"

	"perdure/internal/page"
	"perdure/starter"
)

//go:embed templates
var templateFiles embed.FS

var pages = page.MustParse(templateFiles, functions)

// Options are what the pages need besides the API.
type Options struct {
	// TemporalUI is the base URL of the Temporal Web UI; empty: there is none to link to.
	TemporalUI string
	// Namespace is that of the runs.
	Namespace string
}

// Pages returns the pages, for [starter.Options].
func Pages(o Options) starter.Pages {
	return func(api *starter.Starter, handle func(pattern string, h http.Handler)) {
		u := &ui{Options: o, api: api}
		handle("GET "+page.StaticPath, page.Static())
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
}
