package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/blob"
	"perdure/internal/mcpclient"
	"perdure/internal/model"
)

// Types of the errors that activities return. Workflows and starters classify by them, and old histories contain them: they
// never change.
const (
	// ErrTypeDiscovery: an MCP server's tools could not be listed. The message is fit for the client.
	ErrTypeDiscovery = "mcp_discovery"
	// ErrTypeMCPCall: an MCP call was not made and may be tried again.
	ErrTypeMCPCall = "mcp_call"
	// ErrTypeModel: the model's provider failed. The message is fit for the client. The details are for [Throttled].
	ErrTypeModel = "model"
	// ErrTypeDeletion: what is to be removed is not gone yet.
	ErrTypeDeletion = "deletion"
	// ErrTypeStorage: a large value could not be read or written.
	ErrTypeStorage = "storage"
	// ErrTypeConversationFull: a conversation takes no more. The message is fit for the client.
	ErrTypeConversationFull = "conversation_full"
	// ErrTypeStopped: the worker was stopped before the step had ended. Nothing is wrong with the step. The details are the number of
	// the attempt, an int.
	ErrTypeStopped = "worker_stopped"
	// ErrTypeBroken: the run can never go on, because of its configuration rather than its input.
	ErrTypeBroken = "broken"
)

// maxEmptyAnswers is how often a model may answer with nothing before that is its answer.
const maxEmptyAnswers = 3

// broken is for what no retry mends: a keyset that cannot open what it should, a provider that is gone from the configuration.
func broken(err error) error {
	return temporal.NewApplicationErrorWithOptions(err.Error(), ErrTypeBroken, temporal.ApplicationErrorOptions{NonRetryable: true})
}

// storageError says whether a failure of the blob store may pass. A blob that is missing may still be on its way to a
// replicated file system, so only what can never become right is final. A step that was cancelled is not a failure, and what has a type
// already keeps it.
func storageError(err error) error {
	var typed *temporal.ApplicationError
	if errors.Is(err, context.Canceled) || errors.As(err, &typed) {
		return err
	}
	final := errors.Is(err, blob.ErrTooLarge) || errors.Is(err, blob.ErrCorrupt)
	return temporal.NewApplicationErrorWithOptions(err.Error(), ErrTypeStorage, temporal.ApplicationErrorOptions{NonRetryable: final})
}

func discoveryError(ctx context.Context, label string, err error) error {
	if activityCancelled(ctx) {
		return ctx.Err()
	}
	message := fmt.Sprintf("MCP server %q could not be initialized", label)
	options := temporal.ApplicationErrorOptions{NonRetryable: true}
	var fault *mcpclient.Error
	if errors.As(err, &fault) {
		message += fmt.Sprintf(" (stage %s): %s", fault.Stage, fault.Message)
		options.NonRetryable = !fault.Temporary
		options.NextRetryDelay = min(fault.RetryAfter, maxRetryAfter)
	}
	return temporal.NewApplicationErrorWithOptions(message, ErrTypeDiscovery, options)
}

// modelError classifies why the model gave no answer. A provider that is away, or too busy to take the turn, is asked as long as there
// are attempts. One that takes the turn and then fails at it costs tokens and time each time, and is asked in.Attempts times.
func (a *Activities) modelError(ctx context.Context, in ModelTurnInput, beat *step, err error) error {
	if activityCancelled(ctx) {
		return ctx.Err()
	}
	var fault *model.Error
	options := temporal.ApplicationErrorOptions{}
	message, most := "the model could not be asked", in.Attempts
	switch {
	case errors.As(err, &fault):
		message = fault.Error()
		options.NonRetryable, options.NextRetryDelay = !fault.Temporary, min(fault.RetryAfter, maxRetryAfter)
		if fault.Kind == model.KindEmpty {
			most = min(cmp.Or(most, maxEmptyAnswers), maxEmptyAnswers)
		}
	case errors.Is(err, context.DeadlineExceeded):
		message = fmt.Sprintf("the model %q did not answer within %v", in.Model, a.ModelTimeout)
	}
	if !options.NonRetryable && !notTaken(fault) && most > 0 {
		failed := activity.GetInfo(ctx).Attempt // of a run that began when all attempts were the same
		if in.Attempts > 0 {
			failed = beat.spend(ctx)
		}
		options.NonRetryable = failed >= most
	}
	throttled := beat.throttled()
	if fault != nil && fault.Kind == model.KindRateLimited {
		throttled = beat.throttle(ctx)
	}
	if throttled > 0 {
		options.Details = []any{throttled}
	}
	return temporal.NewApplicationErrorWithOptions(message, ErrTypeModel, options)
}

// Throttled returns how many attempts at a model turn the provider refused because there were too many, of the error with which the turn
// ended.
func Throttled(err error) (times int) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.Type() == ErrTypeModel && app.HasDetails() && app.Details(&times) == nil {
		return times
	}
	return 0
}

// notTaken reports whether a provider did not even begin with a turn: it could not be reached, or refused the turn with a status that
// says that it is no fault of the turn's.
func notTaken(fault *model.Error) bool {
	if fault == nil {
		return false
	}
	switch fault.Kind {
	case model.KindNetwork, model.KindRateLimited:
		return true
	case model.KindServer:
		return fault.Status > 0 // else it had begun to answer
	default:
		return false
	}
}

// maxRetryAfter bounds how long a server or provider may make a run wait between two attempts.
const maxRetryAfter = 5 * time.Minute

// activityCancelled reports whether the step was cancelled. Its time being over is not that, but a failure like others.
func activityCancelled(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.Canceled)
}
