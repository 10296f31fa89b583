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
	"time"

	"go.temporal.io/sdk/client"

	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/model"
	"perdure/internal/secret"
	"perdure/workflows"
)

// Options are what a starter needs. All fields are required, but for Network, whose zero value is the strictest policy.
type Options struct {
	Temporal  client.Client
	TaskQueue string
	Blobs     *blob.Store
	Sealer    *secret.Sealer
	Catalog   *model.Catalog
	Keys      *identity.Keyring
	Network   mcpclient.NetworkPolicy
	Limits    Limits
	Logger    *slog.Logger
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
	// RunTimeout bounds a whole run.
	RunTimeout time.Duration
	// ReadHeaderTimeout bounds how long a client may take to send its headers.
	ReadHeaderTimeout time.Duration
	// Grace is how long requests under way may go on after the starter was told to stop.
	Grace time.Duration
}

// Starter serves the API.
type Starter struct {
	Options
	// stopping ends when no more requests are welcome, and closing when those that wait for their run must let go of it.
	stopping, closing context.Context
	// bodyTimeout bounds how long a client may take to send its body, and answerTimeout to read the answer.
	bodyTimeout, answerTimeout time.Duration
}

func newStarter(stopping, closing context.Context, o Options) *Starter {
	return &Starter{Options: o, stopping: stopping, closing: closing, bodyTimeout: 2 * time.Minute, answerTimeout: 2 * time.Minute}
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
		return server.Close()
	}
	return err
}
