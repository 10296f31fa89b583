package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// fetchEvents and fetchBytes bound what a reader fetches at once.
	fetchEvents = 128
	fetchBytes  = 1 << 20
	// fetchesAtOnce bounds the requests of all readers. The server works on those of a connection one after another, and on what is
	// published there after them.
	fetchesAtOnce = 4

	directGet     = "$JS.API.DIRECT.GET." + streamName
	pendingHeader = "Nats-Num-Pending"
)

// batchRequest asks for the messages of one subject from a number on. Servers know it from version 2.11 on.
type batchRequest struct {
	From     uint64 `json:"seq"`
	Subject  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// fetch reads the events after the last one from the stream. It stops early when the log's state changes.
func (r *Reader) fetch(ctx context.Context, changed <-chan struct{}) error {
	select {
	case r.log.fetching <- struct{}{}:
		defer func() { <-r.log.fetching }()
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	// What came before the request is stored, and so among what is fetched.
	for drained := false; !drained; {
		select {
		case m := <-r.live:
			r.known = max(r.known, headerNumber(m, jetstream.SequenceHeader))
		default:
			drained = true
		}
	}
	request, err := json.Marshal(batchRequest{From: r.last + 1, Subject: r.subject, Batch: fetchEvents, MaxBytes: fetchBytes})
	if err != nil {
		return err
	}
	conn := r.log.conn
	answers := make(chan *nats.Msg, fetchEvents+1)
	inbox := conn.NewInbox()
	sub, err := conn.ChanSubscribe(inbox, answers)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails when the connection is closed, and then it is done
	if err := conn.PublishRequest(directGet, inbox, request); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	timer := time.NewTimer(askTimeout)
	defer timer.Stop()
	for {
		select {
		case m := <-answers:
			if done, err := r.answer(m); done || err != nil {
				return err
			}
		case <-changed:
			return nil
		case <-timer.C:
			return fmt.Errorf("%w: no answer within %v", ErrUnavailable, askTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer takes one message of a batch.
func (r *Reader) answer(m *nats.Msg) (done bool, err error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		if number := headerNumber(m, jetstream.SequenceHeader); number > r.last {
			r.append(m, number)
		}
		return false, nil
	case "204", "404": // the end of the batch; nothing there
		r.behind = headerNumber(m, pendingHeader) > 0
		if !r.behind && r.last < r.known {
			// Of several servers, one was asked that has not heard of the event yet. Or it was deleted.
			r.known, r.look = 0, soon
		}
		return true, nil
	default: // 503: nobody has the stream
		r.log.look()
		return true, fmt.Errorf("%w: status %.3s", ErrUnavailable, status)
	}
}
