// Package starter is the HTTP API. It authenticates, decodes and validates a request, seals its secrets, starts the run as a
// workflow whose ID is the response ID, and renders what the run came to. It holds no state of a run, so any starter can serve any
// request, and a starter that dies takes no run with it.
package starter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/semaphore"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/egress"
	"perdure/internal/events"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/workflows"
)

// Options are what a starter needs. All fields are required, but for Network, whose zero value is the strictest policy, Eager,
// Codec, Connections, Line, Files, SignIn and Pages.
type Options struct {
	Temporal client.Client
	// Eager is set where a worker shares the client: a run's first step then starts without a round trip through the server's queues.
	// It is for a client that has reached the server before: the SDK reads what the server can do without a lock.
	Eager     bool
	Namespace string // of the runs
	TaskQueue string
	Events    *events.Log
	Blobs     *blob.Stores
	Sealer    *secret.Sealer
	Payloads  converter.DataConverter // of Temporal's client
	Catalog   *model.Catalog
	Keys      *identity.Keyring
	// Connections are the saved connectors; without them runs cannot name any.
	Connections *connection.Service
	// Files are what batches are made of; without them there is no Files API and no Batch API. They need Connections, whose database they are in.
	Files *file.Service
	// KeyLimits are those of the keys and sessions of the database.
	KeyLimits identity.Limits
	SignIn    SignIn
	// Pages are what people see in a browser; nil: there are none. They need Connections.
	Pages   Pages
	Network egress.NetworkPolicy
	// Retry returns the retry policy of the MCP servers of an origin.
	Retry  func(origin string) activities.RetryPolicy
	Limits Limits
	Logger *slog.Logger
	// Dialect is what /v1/responses speaks; /v1/agent always speaks the Agent API's.
	Dialect responses.Dialect
	// Webhooks returns the names of the endpoints that hear of an organization's background runs.
	Webhooks func(organization string) []string
	// Line returns the body of the request that a line of an organization's file holds, counted from 1, for runs that were asked for so.
	// Without it there are no files.
	Line func(ctx context.Context, organization, file string, number int) (body []byte, err error)
	// Codec is the endpoint at which operators have payloads decrypted; optional.
	Codec Codec
	// EventAge is how long the event log keeps events.
	EventAge time.Duration
}

// Limits bound what a request may ask for.
type Limits struct {
	Body       int64 // bytes
	MCPServers int
	// MaxSteps and MaxToolCalls apply when the request names none; no MaxToolCalls, 0, is no limit.
	MaxSteps     int
	MaxToolCalls int
	// MaxStepsCap is the most that a request may name.
	MaxStepsCap int
	Run         workflows.Limits
	Batch       BatchLimits
	// OpenRequests is how many requests of one key are answered at the same time, BodyMemory how many bytes of bodies there are in
	// memory, of which one key may have half, and ConcurrentStarts how many starts Temporal is asked for at once, likewise. What is 0
	// has no limit.
	OpenRequests     int
	BodyMemory       int64
	ConcurrentStarts int
	// ToolOutput is how many bytes of one tool's output the model gets to see; 0 is the workers' default.
	ToolOutput int
	// Schedules is how many an organization may have.
	Schedules int
	// RunTimeout bounds a whole run.
	RunTimeout time.Duration
	// ReadHeaderTimeout bounds how long a client may take to send its headers.
	ReadHeaderTimeout time.Duration
	// Grace is how long requests under way may go on after the starter was told to stop.
	Grace time.Duration
}

// Starter serves the API.
type Starter struct {
	*Intake
	// stopping ends when no more requests are welcome, and closing when those that wait for their run must let go of it.
	stopping, closing context.Context
	// bodyTimeout bounds how long a client may take to send its body, answerTimeout to read the answer, and slowClient to take one
	// event of a stream.
	bodyTimeout, answerTimeout, slowClient time.Duration
	logPatience                            time.Duration
	// streamPing is how often a silent stream says that it is alive, socketPing how often a WebSocket's client is asked whether it is there,
	// and socketIdle how long it may want nothing.
	streamPing, socketPing, socketIdle time.Duration
	// sockets are the WebSockets, which the HTTP server does not know any more.
	sockets sync.WaitGroup
	// counting limits the requests that count tokens at the same time: it is work for the processor alone.
	counting *semaphore.Weighted
	callers  callers
	// lineNumbers are those of batches, for their pages.
	lineNumbers lineNumbers
	// crossOrigin refuses what pages of others send with a browser's session.
	crossOrigin *http.CrossOriginProtection
}

func newStarter(stopping, closing context.Context, o Options) *Starter {
	s := &Starter{
		Intake: NewIntake(closing, o), stopping: stopping, closing: closing,
		bodyTimeout: 2 * time.Minute, answerTimeout: 2 * time.Minute, slowClient: 30 * time.Second, logPatience: logPatience,
		streamPing: pingEvery, socketPing: pingEvery, socketIdle: time.Hour,
		counting: semaphore.NewWeighted(maxCounting),
	}
	s.callers = callers{configured: o.Keys, store: s.Store, limits: o.KeyLimits}
	s.crossOrigin = newCrossOrigin(o)
	return s
}

// newCrossOrigin trusts the pages under the public URL, whatever a proxy before us calls us.
func newCrossOrigin(o Options) *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	if o.SignIn.PublicURL != "" {
		if err := p.AddTrustedOrigin(o.SignIn.PublicURL); err != nil {
			o.Logger.Warn("http.public_url is no origin", "error", err)
		}
	}
	return p
}

// Run serves on l until ctx ends, then lets the requests under way finish within the grace period and returns nil. Runs whose
// clients still wait after that go on without them.
func Run(ctx context.Context, l net.Listener, o Options) error {
	closing, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	s := newStarter(ctx, closing, o)
	server := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: o.Limits.ReadHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	return s.shutdown(ctx, server, letGo)
}

const (
	// idleTimeout is how long a connection may wait for its next request: a little longer than the load balancers that keep
	// connections to us, so that it is they who close them.
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// lastWords is how long the answers of requests that were let go may take to reach their clients.
const lastWords = 2 * time.Second

func (s *Starter) shutdown(ctx context.Context, server *http.Server, letGo func()) error {
	timer := time.AfterFunc(s.Limits.Grace, letGo)
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.Grace+lastWords)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	s.awaitSockets(ctx)
	letGo()
	s.gates.temporal.Wait()
	return err
}
