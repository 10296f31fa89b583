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
	ErrBadGateway        = "bad_gateway"
	ErrGatewayTimeout    = "gateway_timeout"
	ErrConflict          = "conflict"
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
	// Code is the word that [DialectOpenAI] has for this error; empty when it has none.
	Code string `json:"-"`
}

// The values of [Error.Code].
const (
	CodeUnknownParameter         = "unknown_parameter"
	CodePreviousResponseNotFound = "previous_response_not_found"
	CodeHTTPError                = "http_error"
)

func (e *Error) Error() string {
	if e.Param == "" {
		return e.Message
	}
	return e.Param + ": " + e.Message
}

// MarshalWire renders the whole body of the HTTP answer: {"error":{…}}.
func (e *Error) MarshalWire(d Dialect) ([]byte, error) {
	if d != DialectOpenAI {
		return encode(struct {
			Error *Error `json:"error"`
		}{e})
	}
	shown := struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}{e.Message, e.Type, nullIfEmpty(e.Param), nullIfEmpty(e.Code)}
	if word, ok := openAIErrors[e.Type]; ok {
		shown.Type = word
	}
	return encode(map[string]any{"error": shown})
}

// openAIErrors are OpenAI's words for types of error. It has one for all that is the client's fault.
var openAIErrors = map[string]string{
	ErrInvalidRequest:   "invalid_request_error",
	ErrUnauthorized:     "invalid_request_error",
	ErrForbidden:        "invalid_request_error",
	ErrNotFound:         "invalid_request_error",
	ErrMethodNotAllowed: "invalid_request_error",
	ErrPayloadTooLarge:  "invalid_request_error",
	ErrConflict:         "invalid_request_error",
	ErrRateLimited:      "rate_limit_exceeded",
	ErrInternal:         "server_error",
	ErrUnavailable:      "server_error",
	ErrBadGateway:       "server_error",
	ErrGatewayTimeout:   "server_error",
}

func nullIfEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
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
	// Param names the place in the request that the run failed for, if it is one.
	Param string `json:"param,omitempty"`
}
