package contract

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
)

// MaxResponse is how many bytes of JSON [Outcome.Response] has at most.
const MaxResponse = 1 << 20

// Outcome is what a run came to. There is more in its JSON, which only Perdure can read.
type Outcome struct {
	// Status is the response's: completed, incomplete, failed or cancelled; queued or in_progress in the answer to a query.
	Status string `json:"status"`
	// Reason is set when Status is incomplete: max_output_tokens, max_steps or content_filter.
	Reason string `json:"reason,omitempty"`
	// Model is the one that served the last turn, as "provider/model".
	Model string    `json:"model"`
	Usage Usage     `json:"usage"`
	Error *RunError `json:"error,omitempty"`
	// Throttled is how many times a model's provider refused a turn because there were too many.
	Throttled   int       `json:"throttled,omitempty"`
	CompletedAt time.Time `json:"completed_at"`
	// PendingCalls are the call IDs of function calls that the caller has to answer, and PendingApprovals the IDs of approval requests.
	PendingCalls     []string `json:"pending_calls,omitempty"`
	PendingApprovals []string `json:"pending_approvals,omitempty"`
	// Response is what GET /v1/responses/{id} answers, if the request wanted it.
	Response JSON `json:"response,omitempty"`
	// ResponseOmitted is set in place of Response when it has more than [MaxResponse] bytes, or could not be read, or the time of the run was
	// over: it is to be had by GET /v1/responses/{id}, unless it was not to be stored.
	ResponseOmitted bool `json:"response_omitted,omitempty"`
}

// OutcomeOf returns what a run came to that ended with an error: that of its handle, or that of a child workflow. It is false for an
// error of which the run could not say anything, such as that somebody terminated it.
func OutcomeOf(err error) (Outcome, bool) {
	var out Outcome
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		switch app.Type() {
		case ErrTypeFailed, ErrTypeDiscovery, ErrTypeInvalid:
			return out, app.Details(&out) == nil
		}
		return out, false
	}
	var cancelled *temporal.CanceledError
	if errors.As(err, &cancelled) && cancelled.HasDetails() {
		return out, cancelled.Details(&out) == nil
	}
	return out, false
}
