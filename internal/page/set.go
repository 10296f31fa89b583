package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed templates
var layoutFiles embed.FS

// Set is the templates of some pages. Each is in a file NAME.html, which defines "content" and may define parts. Files whose names begin
// with an underscore have parts for all pages.
type Set struct {
	pages map[string]*template.Template
}

// MustParse reads the templates below "templates" in files. It panics on one that is wrong: they are in the program.
func MustParse(files fs.FS, extra template.FuncMap) *Set {
	layout := template.Must(template.New("").Funcs(functions).Funcs(extra).ParseFS(layoutFiles, "templates/*.html"))
	shared, err := fs.Glob(files, "templates/_*.html")
	if err != nil {
		panic(err)
	}
	if len(shared) > 0 {
		template.Must(layout.ParseFS(files, shared...))
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	s := &Set{pages: map[string]*template.Template{}}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if strings.HasPrefix(name, "_") {
			continue
		}
		s.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, file))
	}
	return s
}

// ErrNotDelivered is the error of a page that was made and did not reach the browser, which has left.
var ErrNotDelivered = errors.New("page not delivered")

// Render answers with a page.
func (s *Set) Render(w http.ResponseWriter, status int, name string, f Frame) error {
	return s.execute(w, status, name, "layout", f)
}

// RenderPart answers with a part of a page, for a script to put in its place.
func (s *Set) RenderPart(w http.ResponseWriter, name, part string, content any) error {
	return s.execute(w, http.StatusOK, name, part, content)
}

func (s *Set) execute(w http.ResponseWriter, status int, name, part string, data any) error {
	t, ok := s.pages[name]
	if !ok {
		return fmt.Errorf("page: there is no template %q", name)
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, part, data); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	setHeaders(w.Header())
	w.WriteHeader(status)
	if _, err := w.Write(body.Bytes()); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDelivered, err)
	}
	return nil
}

// policy lets a page load what is ours, talk to us and send its forms to us, and nothing else. Pictures may also be what the browser
// made itself: the preview of an icon before it is sent.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
