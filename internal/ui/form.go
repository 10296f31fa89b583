package ui

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"perdure/internal/responses"
)

const (
	// maxSmallForm bounds forms of a few short fields, in bytes.
	maxSmallForm = 16 << 10
	// smallFormTimeout bounds how long a browser may take to send one.
	smallFormTimeout = 30 * time.Second
)

// smallForm reads a form of a few short fields.
func smallForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(smallFormTimeout)); err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxSmallForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, responses.Invalid("", "the form cannot be read: go back and send it again")
	}
	return r.PostForm, nil
}

// refusal is what a form has to say of an error, and the field that it is about; false: it is no affair of a form.
func refusal(err error) (shown *responses.Error, ok bool) {
	if !errors.As(err, &shown) {
		return nil, false
	}
	return shown, shown.Status == http.StatusBadRequest || shown.Status == http.StatusForbidden && shown.Param != ""
}
