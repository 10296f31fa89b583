// Package ui is the pages that people see in a browser: runs, playground, batches, connectors, keys, members. They are rendered here,
// from templates that are in the program, and work without JavaScript except where something streams.
//
// ui.go has all routes on one screen. Each area has its files: AREA.go with the handlers, templates/AREA.html with what they show, and
// static files of internal/page if it needs any. A handler gets the person who is signed in, works with the API in this process as that
// person — so that what a page may do is what the API lets them do — and returns its error, which meets the person in error.go. A form is
// answered with a redirect to a page ([ui.seeOther], with a message for it), or, if something in it is wrong, with the form once more
// and the problem at its field. How pages look, which headers they have, and how foreign text is shown is internal/page's.
package ui
