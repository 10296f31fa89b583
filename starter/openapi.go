package starter

import (
	_ "embed"
	"net/http"
	"time"
)

// openAPI describes the routes of the API.
//
//go:embed openapi.yaml
var openAPI []byte

func (s *Starter) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.answerTimeout)); err != nil {
		return err
	}
	if _, err := w.Write(openAPI); err != nil {
		s.Logger.DebugContext(r.Context(), "answer not delivered", "request", requestID(w), "error", err)
	}
	return nil
}
