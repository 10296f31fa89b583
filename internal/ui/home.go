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

// maxSmallForm bounds forms of a few short fields, in bytes.
const maxSmallForm = 16 << 10

// setTheme remembers how the person wants pages to look, and goes back to the one that they came from.
func (u *ui) setTheme(w http.ResponseWriter, r *http.Request, _ identity.Principal) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxSmallForm)
	if err := r.ParseForm(); err != nil {
		return err
	}
	page.SetTheme(w, r, r.PostForm.Get("theme"))
	return seeOther(w, r, page.LocalPath(r.PostForm.Get("return")), "")
}
