package starter

import (
	"embed"
	"net/http"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
)

// notice is a page that tells a person one thing.
type notice struct {
	Title, Text, Remedy string
	Stage               string // at which something failed; optional
	Link, LinkText      string // to go on with; a path of ours
}

//go:embed templates
var templateFiles embed.FS

var notices = page.MustParse(templateFiles, nil)

// showPage answers a browser with a notice. Who is signed in finds the way on in the navigation around it.
func (s *Starter) showPage(w http.ResponseWriter, r *http.Request, status int, n notice) error {
	f := page.Frame{Title: n.Title, Theme: page.Theme(r), Path: "/", Content: n}
	if who, ok, err := s.signedIn(r); err == nil && ok && s.Pages != nil {
		f.Account = AccountOf(who)
	}
	return s.render(w, r, status, "notice", f)
}

// render answers with a page of ours.
func (s *Starter) render(w http.ResponseWriter, r *http.Request, status int, name string, f page.Frame) error {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.answerTimeout)); err != nil {
		return err
	}
	return s.delivered(r, notices.Render(w, status, name, f))
}

// AccountOf is a person as pages show them who is signed in.
func AccountOf(who identity.Principal) *page.Account {
	return &page.Account{Organization: who.Organization, User: who.User, Role: string(who.Role), Admin: who.Role == identity.Admin}
}

// wantsPage reports whether a person asks in a browser, rather than a program.
func (s *Starter) wantsPage(r *http.Request) bool {
	return s.Pages != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// sentence makes one of an error's words.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
