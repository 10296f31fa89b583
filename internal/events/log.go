package events

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"perdure/internal/blob"
	"perdure/internal/secret"
)

// Options say where the log is and how it keeps events. Blobs and Logger are required, and one of URL and Dir.
type Options struct {
	// URL names one or several servers of a cluster, separated by commas. Empty: a server in this process, which keeps its files in
	// Dir and, if Listen is an address, lets other processes join there.
	URL         string
	Credentials string         // path of a NATS credentials file; optional
	RootCAs     *x509.CertPool // for servers at tls://; nil means the system's
	Dir         string
	Listen      string // host:port; port 0 takes a free one

	MaxAge   time.Duration // of an event; at least 1 s
	Replicas int           // of the stream
	Blobs    *blob.Stores  // for events that are too large for a message
	// Sealer opens events that are encrypted; without it they cannot be read. Encrypt has new ones encrypted.
	Sealer  *secret.Sealer
	Encrypt bool
	Logger  *slog.Logger
}

// Log is a connection to the event log. It is safe for concurrent use.
type Log struct {
	options   Options
	server    *server.Server // nil when it is not ours
	conn      *nats.Conn
	js        jetstream.JetStream
	publisher *publisher

	ctx     context.Context // ends when the log is closed
	cancel  context.CancelFunc
	working sync.WaitGroup
	check   chan struct{} // asks for a look at the stream

	fetching chan struct{} // has an element for each reader that fetches

	mu    sync.Mutex
	ready bool
	// epoch counts the changes of ready. changed is closed at the next one.
	epoch   uint64
	changed chan struct{}
	left    time.Time // when ready was last unset
}

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	connectTimeout  = 2 * time.Second
	pingEvery       = 10 * time.Second
	// writeTimeout is how long a server that has stopped reading may hold up a write.
	writeTimeout = 2 * time.Second
	// startWait is how long Connect waits for the stream of a server that answers, so that the first events are not lost. One in this
	// process has [serverStart]: without its stream, Connect fails.
	startWait = 2 * time.Second
	// closeWait is how long Close waits for what was published.
	closeWait = time.Second
)

// Connect returns the log. A cluster that is away is no error: the log connects once it is there. A server in this process must
// start. The log outlives ctx and must be closed.
func Connect(ctx context.Context, o Options) (*Log, error) {
	l := &Log{
		options: o, check: make(chan struct{}, 1), changed: make(chan struct{}), fetching: make(chan struct{}, fetchesAtOnce), left: time.Now(),
	}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.connect(); err != nil {
		l.cancel()
		l.stopServer()
		return nil, err
	}
	l.working.Go(l.watchStream)
	l.working.Go(l.publisher.run)
	if l.server == nil && !l.conn.IsConnected() {
		o.Logger.WarnContext(ctx, "event log is away: events are dropped until it is back", "error", l.conn.LastError())
		return l, nil
	}
	if l.server == nil {
		_ = l.await(ctx, startWait)
		return l, nil
	}
	if err := l.await(ctx, serverStart); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Log) connect() error {
	options := []nats.Option{
		nats.Name("perdure"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Nothing that was published during an outage may come after it: it would be stale.
		nats.ReconnectBufSize(-1),
		nats.Timeout(connectTimeout),
		nats.FlusherTimeout(writeTimeout),
		nats.PingInterval(pingEvery),
		// Credentials that are wrong today may be right tomorrow. To give up would take a restart.
		nats.IgnoreAuthErrorAbort(),
		nats.ConnectHandler(func(*nats.Conn) { l.look() }),
		nats.ReconnectHandler(func(*nats.Conn) { l.look() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.setAway(err) }),
		nats.ErrorHandler(l.report),
		func(o *nats.Options) error {
			o.TLSConfig = &tls.Config{RootCAs: l.options.RootCAs, MinVersion: tls.VersionTLS12}
			return nil
		},
	}
	if l.options.Credentials != "" {
		options = append(options, nats.UserCredentials(l.options.Credentials))
	}
	if l.options.URL == "" {
		var err error
		if l.server, err = startServer(l.options); err != nil {
			return err
		}
		options = append(options, nats.InProcessServer(inProcess{l.server}))
	}
	var err error
	if l.conn, err = nats.Connect(l.options.URL, options...); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	l.publisher = newPublisher(l)
	l.js, err = jetstream.New(l.conn,
		jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithPublishAsyncMaxPending(maxPending),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { l.publisher.settle(m, nil) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { l.publisher.settle(m, err) }),
	)
	if err != nil {
		l.conn.Close()
	}
	return err
}

// report gets what goes wrong beside the calls.
func (l *Log) report(_ *nats.Conn, _ *nats.Subscription, err error) {
	// A reader that is slow fetches what it has missed.
	if !errors.Is(err, nats.ErrSlowConsumer) {
		l.options.Logger.Warn("event log", "error", err)
	}
}

// look asks for a look at the stream.
func (l *Log) look() {
	select {
	case l.check <- struct{}{}:
	default:
	}
}

// state tells whether events can be published and read. changed is closed once that has changed, and epoch is then another.
func (l *Log) state() (ready bool, epoch uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready, l.epoch, l.changed
}

// set returns whether the state has changed.
func (l *Log) set(ready bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready == ready {
		return false
	}
	l.ready = ready
	if !ready {
		l.left = time.Now()
	}
	l.epoch++
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

func (l *Log) setAway(err error) {
	if l.set(false) && l.ctx.Err() == nil {
		l.options.Logger.Warn("event log is away: events are dropped until it is back", "error", err)
	}
}

// await waits until the log is ready, but not for long.
func (l *Log) await(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		ready, _, changed := l.state()
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return ErrUnavailable
		case <-l.ctx.Done():
			return ErrUnavailable
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Healthy reports whether the log can be reached.
func (l *Log) Healthy() bool {
	ready, _, _ := l.state()
	return ready
}

// Away returns for how long the log could not be reached, 0 when it can.
func (l *Log) Away() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready {
		return 0
	}
	return time.Since(l.left)
}

// Close publishes what is on its way, for a second at most, ends the connection, and stops the server if it is in this process.
func (l *Log) Close() error {
	l.cancel()
	l.working.Wait()
	if l.conn.IsConnected() {
		select {
		case <-l.js.PublishAsyncComplete():
		case <-time.After(closeWait):
		}
	}
	l.conn.Close()
	l.stopServer()
	return nil
}
