package starter

import (
	"errors"
	"net/http"
	"strings"

	"go.temporal.io/api/serviceerror"

	"perdure/internal/blob"
	"perdure/internal/connector"
	"perdure/internal/file"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/responses"
	"perdure/internal/store"
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
	case errors.Is(err, blob.ErrTooLarge):
		return &responses.Error{
			Status: http.StatusRequestEntityTooLarge, Type: responses.ErrPayloadTooLarge,
			Message: "a part of the request is larger than " + bytesInWords(blob.MaxBytes) + " as it is stored; send less",
		}
	case temporalAway(err):
		return unavailable("the workflow service cannot be reached; try again")
	case errors.Is(err, store.ErrUnavailable):
		return unavailable("the database cannot be reached; try again")
	case errors.Is(err, blob.ErrUnavailable):
		return unavailable("the storage of large values cannot be reached; try again")
	}
	if shown := fileError(err); shown != nil {
		return shown
	}
	return managedError(err)
}

// fileError is the error of an upload that is refused, and of a file that is needed; nil for others.
func fileError(err error) *responses.Error {
	var lines *file.Invalid
	var field *file.Field
	var held *store.HeldError
	switch {
	case errors.As(err, &lines):
		return responses.Invalid(fieldFile, "%s", lines)
	case errors.As(err, &field):
		return responses.Invalid(field.Name, "%s", field.Message)
	case errors.As(err, &held) && strings.HasPrefix(held.Holder, schedulePrefix):
		return conflict("the file is needed by " + held.Holder + ": give that schedule another file, or delete it")
	case errors.As(err, &held):
		return conflict("the file is needed by " + held.Holder + ": wait until that has ended, or cancel it")
	default:
		return nil
	}
}

// managedError is the error of what the database has and of the servers that connectors are for; nil for others.
func managedError(err error) *responses.Error {
	var invalid connector.Invalid
	var denied *connector.Denied
	var refused *oauth.Error
	var failed *mcpclient.Error
	switch {
	case errors.As(err, &invalid):
		return invalidConnector(invalid)
	case errors.As(err, &denied):
		return forbidden(denied.Reason)
	case errors.Is(err, connector.ErrHidden), errors.Is(err, store.ErrNotFound):
		return &responses.Error{Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "there is no such thing, or it is not yours"}
	case errors.Is(err, store.ErrLastAdmin):
		return conflict("the organization would have no admin: make another member an admin first")
	case errors.Is(err, store.ErrConflict):
		return conflict("another has it already, or changed it meanwhile: look at it again")
	case errors.Is(err, store.ErrCursor):
		return responses.Invalid("page", "must be the next_page of an earlier answer to the same query")
	case errors.As(err, &refused) && errors.Is(err, oauth.ErrState):
		return responses.Invalid("state", "%s", refused.Error())
	case errors.As(err, &refused):
		return failedDependency(string(refused.Stage), refused.Message, refused.Remedy)
	case errors.As(err, &failed):
		return failedDependency(string(failed.Stage), failed.Message, failed.Remedy)
	default:
		return nil
	}
}

func conflict(message string) *responses.Error {
	return &responses.Error{Status: http.StatusConflict, Type: responses.ErrConflict, Message: message}
}

// failedDependency names the stage at which a server failed us, and what a person can do.
func failedDependency(stage, message, remedy string) *responses.Error {
	if remedy != "" {
		message += ": " + remedy
	}
	return &responses.Error{Status: http.StatusFailedDependency, Type: responses.ErrExternalConnector, Message: stage + ": " + message}
}

// invalidConnector is one error of all problems. The place is that of the first.
func invalidConnector(problems connector.Invalid) *responses.Error {
	if len(problems) == 0 {
		return responses.Invalid("", "the connector is not valid")
	}
	text := problems[0].Message
	for _, p := range problems[1:] {
		text += "; " + p.Param + ": " + p.Message
	}
	return responses.Invalid(problems[0].Param, "%s", text)
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
