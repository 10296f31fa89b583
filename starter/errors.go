package starter

import (
	"errors"
	"net/http"
	"strings"

	"go.temporal.io/api/serviceerror"

	"perdure/internal/blob"
	"perdure/internal/responses"
)

// wireError returns the error as a client may see it, or nil for one that is not for clients.
func wireError(err error) *responses.Error {
	var shown *responses.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &shown):
		return shown
	case errors.As(err, &tooLarge):
		return tooLargeError(tooLarge.Limit)
	case temporalAway(err):
		return unavailable("the workflow service cannot be reached; try again")
	case errors.Is(err, blob.ErrUnavailable):
		return unavailable("the storage of large values cannot be reached; try again")
	default:
		return nil
	}
}

func tooLargeError(limit int64) *responses.Error {
	return &responses.Error{
		Status: http.StatusRequestEntityTooLarge, Type: responses.ErrPayloadTooLarge,
		Message: "the request body is larger than " + bytesInWords(limit),
	}
}

func unavailable(message string) *responses.Error {
	return &responses.Error{Status: http.StatusServiceUnavailable, Type: responses.ErrUnavailable, Message: message}
}

// temporalAway reports whether Temporal could not be reached or was too busy, as opposed to having answered.
func temporalAway(err error) bool {
	var (
		away      *serviceerror.Unavailable
		late      *serviceerror.DeadlineExceeded
		exhausted *serviceerror.ResourceExhausted
		cancelled *serviceerror.Canceled
	)
	return errors.As(err, &away) || errors.As(err, &late) || errors.As(err, &exhausted) || errors.As(err, &cancelled)
}

func responseNotFound(id string) *responses.Error {
	return &responses.Error{
		Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "Response with id '" + clip(id) + "' not found.",
	}
}

// clip bounds what an error repeats of a client's own words.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
