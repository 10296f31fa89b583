package ui

import "html/template"

// functions are those of our templates alone. Those that any page may need are internal/page's.
var functions = template.FuncMap{}
