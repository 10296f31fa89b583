package starter

import (
	"net/http"
	"strconv"
	"time"

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
	png, err := s.Store.Icon(r.Context(), who.Organization, c.ID)
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
	return s.switched(connector.Edit, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		if r.ContentLength > connector.MaxIconBytes {
			return iconTooLarge()
		}
		m := s.metered(r.Body, who)
		defer m.done()
		// One byte more shows that there is more, whatever the client has announced.
		file, err := s.readUpTo(w, r, m, connector.MaxIconBytes+1)
		if err != nil {
			return err
		}
		if len(file) > connector.MaxIconBytes {
			return iconTooLarge()
		}
		icon, err := connector.NewIcon(file)
		if err != nil {
			return err
		}
		return s.Store.SetIcon(r.Context(), by, c.ID, icon)
	})(w, r, who)
}

func (s *Starter) deleteIcon() tenantHandler {
	return s.switched(connector.Edit, func(r *http.Request, by identity.Actor, c connector.Connector) error {
		return s.Store.SetIcon(r.Context(), by, c.ID, connector.Icon{})
	})
}

func iconTooLarge() error {
	return &responses.Error{
		Status: http.StatusRequestEntityTooLarge, Type: responses.ErrPayloadTooLarge, Param: "icon",
		Message: "the icon is larger than " + bytesInWords(connector.MaxIconBytes) + " (128 KB): make it smaller",
	}
}
