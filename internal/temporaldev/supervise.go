package temporaldev

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxFailures is how many starts in a row may fail: by then the cause is no longer passing.
	maxFailures = 5

	superviseStopTimeout = 20 * time.Second
)

// Supervisor keeps a server running on the same addresses.
type Supervisor struct {
	Address string // see Server.Address
	UI      string // see Server.UI

	mu     sync.Mutex
	server *Server
}

// Supervise starts a server under supervision. Run must follow.
func Supervise(ctx context.Context, opts Options) (*Supervisor, error) {
	s, err := Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &Supervisor{Address: s.Address, UI: s.UI, server: s}, nil
}

// Run restarts the server whenever it dies, until ctx ends; then it stops the server and returns nil. It returns
// an error when the server cannot be started any more. Workers and starters fail their calls to Temporal when it
// is gone, so end ctx after they have drained.
func (s *Supervisor) Run(ctx context.Context) error {
	backoff := minBackoff
	for {
		server := s.current()
		began := time.Now()
		select {
		case <-ctx.Done():
			return stop(ctx, server)
		case <-server.ended:
		}
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		next, err := revive(ctx, server, &backoff)
		if err != nil || next == nil {
			return err
		}
		s.mu.Lock()
		s.server = next
		s.mu.Unlock()
	}
}

func (s *Supervisor) current() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// revive starts a dead server again, waiting *backoff before each attempt and doubling it. It returns nil and no error when
// ctx ends.
func revive(ctx context.Context, dead *Server, backoff *time.Duration) (*Server, error) {
	cause := dead.ending()
	for range maxFailures {
		dead.log(fmt.Appendf(nil, "the Temporal server ended (%v); starting it again in %v\n", cause, *backoff))
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(*backoff):
		}
		*backoff = min(2**backoff, maxBackoff)

		next, err := dead.Restart(ctx)
		if err == nil {
			return next, nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		cause = err
	}
	return nil, fmt.Errorf("the Temporal server did not start again in %d attempts: %w", maxFailures, cause)
}

func stop(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), superviseStopTimeout)
	defer cancel()
	return s.Stop(ctx)
}
