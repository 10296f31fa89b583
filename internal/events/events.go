// Package events is the log of what the runs' steps tell while they work, on NATS JetStream: the steps of a response publish to one
// subject, and any number of readers get the events of that subject in one and the same order, from the first one on.
//
// The log is there for streams, not for truth. While it is away, steps go on and their events are lost; who reads makes up for them
// when the run has ended. docs/decisions/0007-event-log.md says why it is built like this.
package events

import (
	"errors"
	"regexp"
)

// Errors of a [Log].
var (
	// ErrUnavailable: the log cannot be reached.
	ErrUnavailable = errors.New("events: the event log cannot be reached")
	// ErrInvalidID: a response ID would not be a single token of a subject.
	ErrInvalidID = errors.New("events: a response ID must be 1 to 128 letters, digits, - and _")
)

// The names in NATS. A permission file needs them: starters and workers publish to the first and the third and to $JS.API.>, and
// subscribe to the second, the third and _INBOX.>.
const (
	streamName   = "PERDURE_EVENTS"
	eventPrefix  = "perdure.events."
	livePrefix   = "perdure.live." // where the server sends what it has just stored
	cancelPrefix = "perdure.cancel."
)

var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func checkID(responseID string) error {
	if !token.MatchString(responseID) {
		return ErrInvalidID
	}
	return nil
}
