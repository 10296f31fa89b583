// Package page is how Perdure's pages look and how they reach a browser: the layout around each, the templates' functions, the static
// files, and the headers that keep a page from doing harm. It knows nothing of what a page shows; internal/ui does, and the starter
// uses it for what it has to tell a person who is not signed in.
//
// Everything that did not come from this program is text: html/template escapes it, and the function foreign makes visible what a
// browser would act upon in silence, such as control and bidirectional characters. No page has a script or a style of its own in its
// HTML, which the Content-Security-Policy of [Set.Render] insists on.
package page
