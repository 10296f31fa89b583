package starter

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// getIcon answers with the icon of a connector: a PNG that we drew ourselves, and nothing that a browser would run.
func (s *Starter) getIcon(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.seen(r, who)
	if err != nil {
		return err
	}
	png, err := s.Connections.Icon(r.Context(), caller(r, who), c.ID)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Content-Length", strconv.Itoa(len(png)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Disposition", `inline; filename="icon.png"`)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Etag", strconv.Quote(c.Icon))
	if r.Header.Get("If-None-Match") == h.Get("Etag") {
		h.Del("Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.answerTimeout)); err != nil {
		return err
	}
	if _, err := w.Write(png); err != nil {
		s.Logger.DebugContext(r.Context(), "answer not delivered", "request", requestID(w), "error", err)
	}
	return nil
}

// setIcon takes the file of an icon as the body of the request.
func (s *Starter) setIcon(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	return s.acted(func(ctx context.Context, by connection.Caller, v connection.View) (connection.View, error) {
		if r.ContentLength > connector.MaxIconBytes {
			return v, iconTooLarge()
		}
		m := s.metered(r.Body, who)
		defer m.done()
		// One byte more shows that there is more, whatever the client has announced.
		file, err := s.readUpTo(w, r, m, connector.MaxIconBytes+1)
		switch {
		case err != nil:
			return v, err
		case len(file) > connector.MaxIconBytes:
			return v, iconTooLarge()
		case len(file) == 0:
			return v, responses.Invalid("icon", "is missing: send the file as the body")
		}
		return s.Connections.SetIcon(ctx, by, v.ID, file)
	})(w, r, who)
}

func iconTooLarge() error {
	return &responses.Error{
		Status: http.StatusRequestEntityTooLarge, Type: responses.ErrPayloadTooLarge, Param: "icon",
		Message: "the icon is larger than " + bytesInWords(connector.MaxIconBytes) + " (128 KB): make it smaller",
	}
}
