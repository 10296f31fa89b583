package starter

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"perdure/internal/file"
	"perdure/internal/identity"
)

// getFileContent sends what a file has. One that grows has what there is of it; a client that comes again with a Range gets the rest.
func (s *Starter) getFileContent(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	return s.SendFile(w, r, who, r.PathValue("id"))
}

// SendFile answers with the content of a file of the caller's organization, or the range of it that is asked for.
func (s *Starter) SendFile(w http.ResponseWriter, r *http.Request, who identity.Principal, id string) error {
	content, err := s.Files.Content(r.Context(), who.Organization, id, 0)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/jsonl")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": content.File.Filename}))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if !content.File.Growing {
		h.Set("ETag", `"`+content.File.ID+`"`)
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // the whole is a good answer, too, and each range costs a part
	}
	reader := &contentReader{Content: content}
	http.ServeContent(&pacedWriter{w, http.NewResponseController(w), s.slowClient}, r, "", time.Time{}, reader)
	if reader.failed != nil {
		// The answer has begun. It is shorter than announced, so nobody takes it for the whole.
		s.Logger.ErrorContext(r.Context(), "a file was sent in part", "request", requestID(w), "file", id, "error", reader.failed)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// contentReader notes why a file could not be read to its end.
type contentReader struct {
	*file.Content
	failed error
}

func (c *contentReader) Read(p []byte) (int, error) {
	n, err := c.Content.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
		c.failed = err
	}
	return n, err
}

// pacedWriter gives a client time for each piece of a long answer.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.within)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}
