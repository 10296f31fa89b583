package page

import (
	"mime"
	"net/http"
	"strconv"
)

// WriteFile answers with something that is not a page, and that no browser is to take for one. With a name it is to be saved.
func WriteFile(w http.ResponseWriter, contentType, name string, content []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	if name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	_, err := w.Write(content)
	return err
}
