package ui

import (
	"html/template"
	"time"

	"perdure/internal/identity"
)

// functions are those of our templates alone. Those that any page may need are internal/page's.
var functions = template.FuncMap{
	"day": func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
	"add": func(a, b int) int { return a + b },
	"sub": func(a, b int) int { return a - b },
	// keyName is what a person calls the key of a run: what stands for the sessions of a user is a name of ours.
	"keyName": func(key string) string {
		if identity.IsSession(key) {
			return "a browser"
		}
		return key
	},
}
