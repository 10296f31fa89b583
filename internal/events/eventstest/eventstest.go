// Package eventstest gives tests an event log, and a NATS server to stop and start.
package eventstest

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/linktest"
)

const maxAge = time.Hour

// New returns a log on a server in this process, which keeps its files as long as the test runs.
func New(tb testing.TB) *events.Log {
	tb.Helper()
	return connect(tb, events.Options{Dir: tb.TempDir()})
}

// Connect returns a log on the server at a URL, which may be away.
func Connect(tb testing.TB, url string) *events.Log {
	tb.Helper()
	return connect(tb, events.Options{URL: url})
}

func connect(tb testing.TB, o events.Options) *events.Log {
	tb.Helper()
	blobs, err := blob.Open(blob.Options{Dir: filepath.Join(tb.TempDir(), "blobs"), CacheBytes: 1 << 20})
	if err != nil {
		tb.Fatalf("eventstest: %v", err)
	}
	o.MaxAge, o.Replicas, o.Blobs, o.Logger = maxAge, 1, blobs, slog.New(slog.DiscardHandler)
	l, err := events.Connect(tb.Context(), o)
	if err != nil {
		tb.Fatalf("eventstest: %v", err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Errorf("eventstest: %v", err)
		}
	})
	return l
}

// Server is a NATS server with JetStream on 127.0.0.1, in this process.
type Server struct {
	options server.Options
	mu      sync.Mutex
	running *server.Server // nil while it is stopped
	url     string
}

// StartServer returns a server that is stopped at the test's end.
func StartServer(tb testing.TB) *Server {
	tb.Helper()
	port, err := linktest.Hold() // which is the server's also while it is stopped
	if err != nil {
		tb.Fatalf("eventstest: %v", err)
	}
	tb.Cleanup(port.Release)
	s, err := StartOn(tb.TempDir(), port.Number)
	if err != nil {
		tb.Fatalf("eventstest: %v", err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// Start returns a server that keeps its files in dir. It must be stopped.
func Start(dir string) (*Server, error) { return StartOn(dir, server.RANDOM_PORT) }

// StartOn is Start at a port, of which [linktest.Hold] gives one that stays the server's own over a restart; or at a free one for -1.
func StartOn(dir string, port int) (*Server, error) {
	s := &Server{options: server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	}}
	return s, s.Restart()
}

// URL is where clients find the server, also after a restart.
func (s *Server) URL() string { return s.url }

// Stop ends the server at once, with all of its connections.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
		s.running = nil
	}
}

// Restart starts a server that was stopped again, on its files and its address.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return errors.New("eventstest: the server has not been stopped")
	}
	options := s.options
	running, err := server.NewServer(&options)
	if err != nil {
		return err
	}
	running.Start()
	if !running.ReadyForConnections(20 * time.Second) {
		running.Shutdown()
		return errors.New("eventstest: the server did not start")
	}
	s.running = running
	s.url = running.ClientURL()
	if address, ok := running.Addr().(*net.TCPAddr); ok {
		s.options.Port = address.Port
	}
	return nil
}
