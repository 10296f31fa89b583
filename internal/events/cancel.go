package events

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// NudgeCancelled tells all workers that a run was cancelled, so that they need not wait for their next heartbeat to hear of it.
// It is best effort.
func (l *Log) NudgeCancelled(responseID string) {
	if checkID(responseID) != nil {
		return
	}
	if err := l.conn.Publish(cancelPrefix+responseID, nil); err != nil {
		l.options.Logger.Debug("workers are not told of a cancellation", "response", responseID, "error", err)
	}
}

// OnCancelled calls f with the ID of each response for which NudgeCancelled is called anywhere, until the log is closed. Calls come
// one after another.
func (l *Log) OnCancelled(f func(responseID string)) error {
	_, err := l.conn.Subscribe(cancelPrefix+"*", func(m *nats.Msg) {
		if id := strings.TrimPrefix(m.Subject, cancelPrefix); checkID(id) == nil {
			f(id)
		}
	})
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return nil
}
