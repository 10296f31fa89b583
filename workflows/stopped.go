package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"perdure/activities"
)

// stoppedAfter reports whether a step has used up its attempts on workers that were told to stop, and how many those were. Temporal
// counts an attempt that was handed back like one that failed, and workers that are restarted one after another hand back what takes
// long several times. That is no reason for a run to fail: the step is begun anew.
func stoppedAfter(err error) (attempts int, stopped bool) {
	var timeout *temporal.TimeoutError // whose cause is the failure before it
	var app *temporal.ApplicationError
	if errors.As(err, &timeout) || !errors.As(err, &app) || app.Type() != activities.ErrTypeStopped {
		return 0, false
	}
	err = app.Details(&attempts)
	return attempts, err == nil
}
