package ui

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/page"
)

// home leads to the page that people come for most.
func (u *ui) home(w http.ResponseWriter, r *http.Request, _ identity.Principal) error {
	http.Redirect(w, r, "/runs", http.StatusSeeOther)
	return nil
}

// setTheme remembers how the person wants pages to look, and goes back to the one that they came from.
func (u *ui) setTheme(w http.ResponseWriter, r *http.Request, _ identity.Principal) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	page.SetTheme(w, r, form.Get("theme"))
	return seeOther(w, r, page.LocalPath(form.Get("return")), "")
}
