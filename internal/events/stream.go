package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// duplicateWindow is how long the server knows the ID of an event. It keeps all of them in memory, and nothing is published again
	// later than its own acknowledgement is waited for.
	duplicateWindow = 20 * time.Second
	streamTimeout   = 5 * time.Second

	firstStreamRetry = 100 * time.Millisecond
	lastStreamRetry  = 5 * time.Second
)

// watchStream makes sure of the stream each time that it is asked to, and tries until it succeeds.
func (l *Log) watchStream() {
	var failure string
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.check:
		}
		for wait := firstStreamRetry; l.conn.IsConnected(); wait = min(2*wait, lastStreamRetry) {
			err := l.ensureStream(l.ctx)
			if err == nil {
				failure = ""
				l.setReady()
				break
			}
			// The same failure is told once.
			if text := err.Error(); text != failure && l.ctx.Err() == nil {
				failure = text
				l.options.Logger.WarnContext(l.ctx, "event log has no usable stream, trying again", "error", err)
			}
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

func (l *Log) setReady() {
	if l.set(true) {
		l.options.Logger.InfoContext(l.ctx, "event log is ready", "dropped_events", l.publisher.takeDropped())
	}
	// The connection may have ended since the look at the stream, and its handler may have come before this.
	if !l.conn.IsConnected() {
		l.setAway(l.conn.LastError())
	}
}

// ensureStream creates the stream, or gives it the settings of this process.
func (l *Log) ensureStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		config := jetstream.StreamConfig{
			// The numbers of a stream that takes the place of a lost one are higher than those that readers have seen.
			FirstSeq: uint64(time.Now().UnixMicro()),
		}
		l.configure(&config)
		_, err = l.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return l.ensureStream(ctx) // another process was faster
		}
		return describe("create", err)
	}
	if err != nil {
		return describe("look up", err)
	}
	config := stream.CachedInfo().Config
	before := config
	l.configure(&config)
	if config.MaxAge == before.MaxAge && config.Replicas == before.Replicas && config.Duplicates == before.Duplicates &&
		config.AllowDirect == before.AllowDirect && before.RePublish != nil && *config.RePublish == *before.RePublish {
		return nil
	}
	_, err = l.js.UpdateStream(ctx, config)
	return describe("update", err)
}

func (l *Log) configure(c *jetstream.StreamConfig) {
	c.Name = streamName
	c.Description = "What the steps of Perdure's runs tell while they work"
	c.Subjects = []string{eventPrefix + "*"}
	c.Storage = jetstream.FileStorage
	c.Retention = jetstream.LimitsPolicy
	c.Discard = jetstream.DiscardOld
	c.MaxAge = l.options.MaxAge
	c.Replicas = l.options.Replicas
	c.Duplicates = min(duplicateWindow, l.options.MaxAge)
	// Readers read what is stored by direct requests, and get what comes as plain messages: see Reader.
	c.AllowDirect = true
	c.RePublish = &jetstream.RePublish{Source: eventPrefix + "*", Destination: livePrefix + "{{wildcard(1)}}"}
}

func describe(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("events: %s the stream %s: %w", what, streamName, err)
}

// End stores the [Ended] event of a response. To call it again does no harm: what comes after the first one does not count. Its
// error is ErrInvalidID, ErrUnavailable, or ctx's.
func (l *Log) End(ctx context.Context, responseID string) error {
	if err := checkID(responseID); err != nil {
		return err
	}
	m := nats.NewMsg(eventPrefix + responseID)
	m.Header.Set(jetstream.MsgIDHeader, responseID+"/ended")
	if err := l.fill(m, Event{Kind: Ended}); err != nil {
		return err
	}
	return l.ask(ctx, func(ctx context.Context) error { return l.publisher.store(ctx, m) })
}

// Delete removes the events of a response. Its error is as that of End.
func (l *Log) Delete(ctx context.Context, responseID string) error {
	if err := checkID(responseID); err != nil {
		return err
	}
	return l.ask(ctx, func(ctx context.Context) error {
		stream, err := l.js.Stream(ctx, streamName)
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject(eventPrefix+responseID))
	})
}

// askTimeout bounds a request, and patience how long one waits for a log that is away.
const (
	askTimeout = 2 * time.Second
	patience   = time.Second
)

// ask makes a request of the server. All of its failures are ErrUnavailable, but for that of ctx.
func (l *Log) ask(ctx context.Context, request func(context.Context) error) error {
	if err := l.await(ctx, patience); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := request(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		l.look()
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
