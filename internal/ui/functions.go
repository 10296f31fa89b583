package ui

import (
	"html/template"
	"time"
)

// functions are those of our templates alone. Those that any page may need are internal/page's.
var functions = template.FuncMap{
	"day": func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
	"add": func(a, b int) int { return a + b },
	"sub": func(a, b int) int { return a - b },
}
