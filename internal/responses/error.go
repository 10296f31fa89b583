package responses

import (
	"fmt"
	"net/http"
)

// The values of [Error.Type].
const (
	ErrInvalidRequest    = "invalid_request"
	ErrUnauthorized      = "unauthorized"
	ErrForbidden         = "forbidden"
	ErrNotFound          = "not_found"
	ErrMethodNotAllowed  = "method_not_allowed"
	ErrPayloadTooLarge   = "payload_too_large"
	ErrRateLimited       = "request_rate_limit_exceeded"
	ErrExternalConnector = "external_connector_error"
	ErrModel             = "model_error"
	ErrBadGateway        = "bad_gateway"
	ErrUnavailable       = "service_unavailable"
	ErrInternal          = "internal_error"
)

// Error is a failure as a client sees it. Its text is safe to show to the caller of the request.
type Error struct {
	// Status is the HTTP status; it is also rendered as the code of the Agent API's error envelope.
	Status  int    `json:"code"`
	Type    string `json:"type"`
	Message string `json:"message"`
	// Param names the place in the request, such as "tools[0].server_url"; empty when there is none.
	Param string `json:"param,omitempty"`
}

func (e *Error) Error() string {
	if e.Param == "" {
		return e.Message
	}
	return e.Param + ": " + e.Message
}

// Invalid returns the error for a request that names param wrongly: HTTP 400.
func Invalid(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: ErrInvalidRequest, Param: param, Message: fmt.Sprintf(format, args...)}
}

// notSupported is the answer to a field or value that one of the three APIs defines and this server lacks.
func notSupported(param, what string) *Error {
	return Invalid(param, "%s is not supported yet; leave it out", what)
}

// RunError is the error inside a response object whose run failed. It has no HTTP status: such a response is a 200.
type RunError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Type    string `json:"type"`
}
