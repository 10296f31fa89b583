package ui

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/page"
)

// frame is a page around its content.
func (u *ui) frame(w http.ResponseWriter, r *http.Request, who identity.Principal, title, section string, content any) page.Frame {
	return page.Frame{
		Title: title, Section: section, Content: content,
		Account: &page.Account{Organization: who.Organization, User: who.User, Role: string(who.Role), Admin: who.Role == identity.Admin},
		Flash:   page.TakeFlash(w, r), Theme: page.Theme(r), Path: r.URL.RequestURI(),
	}
}

// show answers with a page.
func (u *ui) show(w http.ResponseWriter, name string, f page.Frame) error {
	return pages.Render(w, http.StatusOK, name, f)
}

// seeOther sends the browser on after a form, with a message for the page that it comes to.
func seeOther(w http.ResponseWriter, r *http.Request, path, message string) error {
	if message != "" {
		page.SetFlash(w, r, page.Flash{Text: message})
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}

// isPart reports whether a script of ours asks for a part of a page rather than a person for all of it.
func isPart(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }
