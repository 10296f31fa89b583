package starter

import (
	"bytes"
	"html/template"
	"net/http"
	"strings"
	"time"
)

// notice is a page that tells a person one thing.
type notice struct {
	Title, Text, Remedy string
	Stage               string // at which something failed; optional
	Link, LinkText      string // to go on with; a path of ours
}

var noticePage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width">
<title>{{.Title}} - Perdure</title></head>
<body>
<h1>{{.Title}}</h1>
<p role="status">{{.Text}}</p>
{{with .Remedy}}<p>{{.}}</p>
{{end}}{{with .Stage}}<p>Stage: <code>{{.}}</code></p>
{{end}}{{with .Link}}<p><a href="{{.}}">{{$.LinkText}}</a></p>
{{end}}</body>
</html>
`))

// showPage answers a browser. The page runs nothing, loads nothing and cannot be framed.
func (s *Starter) showPage(w http.ResponseWriter, r *http.Request, status int, n notice) error {
	var page bytes.Buffer
	if err := noticePage.Execute(&page, n); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.answerTimeout)); err != nil {
		return err
	}
	w.WriteHeader(status)
	if _, err := w.Write(page.Bytes()); err != nil {
		s.Logger.DebugContext(r.Context(), "answer not delivered", "request", requestID(w), "error", err)
	}
	return nil
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
