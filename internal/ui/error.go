package ui

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
)

type errorContent struct {
	Message   string
	RequestID string // in the log
	Retry     bool   // it may go better in a moment
}

// fail shows a person what went wrong.
func (u *ui) fail(w http.ResponseWriter, r *http.Request, who *identity.Principal, shown *responses.Error) {
	f := page.Frame{Title: errorTitle(shown.Status), Theme: page.Theme(r)}
	if who != nil {
		f = u.frame(w, r, *who, f.Title, "", nil)
	}
	f.Content = errorContent{
		Message: shown.Message, RequestID: w.Header().Get("X-Request-Id"),
		Retry: shown.Status == http.StatusServiceUnavailable || shown.Status == http.StatusTooManyRequests,
	}
	if err := u.showStatus(w, shown.Status, "error", f); err != nil {
		u.api.Logger.DebugContext(r.Context(), "error page not delivered", "error", err)
	}
}

func errorTitle(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusServiceUnavailable:
		return "Not available at the moment"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusInternalServerError:
		return "Something went wrong"
	default:
		return "That did not work"
	}
}
