package events

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"perdure/internal/secret"
)

// sealedHeader is there when a message is encrypted. A large event is not: it is in the blob store, which does that itself.
const sealedHeader = "Perdure-Sealed"

var errNoSealer = errors.New("events: the event is encrypted, and there are no keys to open it")

// put puts an encoded event into a message. The end of a response is never encrypted: it says nothing, and a reader without keys must
// hear of it, too.
func (l *Log) put(m *nats.Msg, kind Kind, data []byte) error {
	m.Data = data
	if !l.options.Encrypt || kind == Ended {
		return nil
	}
	sealed, err := l.options.Sealer.Seal(data, eventBinding(m.Subject))
	if err != nil {
		return err
	}
	m.Data = sealed
	m.Header.Set(sealedHeader, "1")
	return nil
}

func (l *Log) open(data []byte, subject string) ([]byte, error) {
	if l.options.Sealer == nil {
		return nil, errNoSealer
	}
	return l.options.Sealer.Open(data, eventBinding(subject))
}

// eventBinding keeps an event from being shown to those who read another response.
func eventBinding(subject string) secret.Binding {
	return secret.Binding{Purpose: "event", ResponseID: strings.TrimPrefix(subject, eventPrefix)}
}
