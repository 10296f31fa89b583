package starter

import (
	"errors"
	"net/http"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/responses"
	"perdure/workflows"
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

// runError splits the error with which a run ended: into what it had come to, and what the caller must be told with an HTTP
// status of its own. Both are nil when the error says nothing of the run.
func runError(err error) (*workflows.Outcome, *responses.Error) {
	var app *temporal.ApplicationError
	var cancelled *temporal.CanceledError
	var out workflows.Outcome
	switch {
	case errors.As(err, &app):
		switch app.Type() {
		case workflows.ErrTypeDiscovery:
			return nil, &responses.Error{
				Status: http.StatusFailedDependency, Type: responses.ErrExternalConnector, Param: "tools", Message: app.Message(),
			}
		case workflows.ErrTypeInvalid:
			return nil, responses.Invalid("tools", "%s", app.Message())
		case workflows.ErrTypeFailed:
			if app.Details(&out) == nil {
				return &out, nil
			}
		}
	case errors.As(err, &cancelled):
		if cancelled.Details(&out) == nil {
			return &out, nil
		}
	}
	return nil, nil
}
