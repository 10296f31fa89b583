package ui

import (
	"net/http"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/starter"
)

// frame is a page around its content.
func (u *ui) frame(w http.ResponseWriter, r *http.Request, who identity.Principal, title, section string, content any) page.Frame {
	forgetShownKey(w, r)
	return page.Frame{
		Title: title, Section: section, Content: content,
		Account: starter.AccountOf(who), Flash: page.TakeFlash(w, r), Theme: page.Theme(r), Path: r.URL.RequestURI(),
	}
}

// answerTimeout bounds how long a browser may take to read a page.
const answerTimeout = 2 * time.Minute

// show answers with a page.
func (u *ui) show(w http.ResponseWriter, name string, f page.Frame) error {
	return u.showStatus(w, http.StatusOK, name, f)
}

// showStatus is show for a page that is not the one that was wanted, such as a form with something to correct.
func (u *ui) showStatus(w http.ResponseWriter, status int, name string, f page.Frame) error {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	return pages.Render(w, status, name, f)
}

// showPart answers a script with a part of a page.
func (u *ui) showPart(w http.ResponseWriter, name, part string, content any) error {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	return pages.RenderPart(w, name, part, content)
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
