// Package temporaldev finds, builds and runs Perdure's Temporal development server as a child process. The
// server is the program perdure-temporal, whose sources are the nested module devserver/; `perdure dev`, tests
// and benchmarks use it when no other Temporal is configured.
//
// A child ends with its parent, however the parent ends: it watches a pipe that the kernel closes. It runs in
// a process group of its own, so that a terminal's Ctrl-C reaches us alone and Temporal can be stopped last.
package temporaldev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second
	outputDelay  = time.Second
	maxReadyLine = 4 << 10
)

// Options says which server to run and where. The zero value runs an in-memory server on Temporal's usual
// ports.
type Options struct {
	Binary    string // the program; found or built by Locate when empty
	DB        string // SQLite file, created when absent; empty keeps everything in memory
	Listen    string // gRPC address; default 127.0.0.1:7233, port 0 picks a free one
	UI        string // Web UI address; default 127.0.0.1:8233, port 0 picks a free one, "off" for none
	Namespace string // created when absent; default "default"
	// SearchAttributes are the types, by name, of the custom search attributes that a new namespace gets. Those that are added
	// to a running server take seconds to be usable.
	SearchAttributes map[string]string

	Log      io.Writer // the server's log, one Write a line; discarded when nil
	LogLevel string    // the lowest level that is logged; default error
	Progress io.Writer // what Locate does; nothing when nil
}

func (o Options) args() []string {
	args := []string{"--exit-with-parent"}
	for _, f := range []struct{ name, value string }{
		{"--db", o.DB},
		{"--listen", o.Listen},
		{"--ui", o.UI},
		{"--namespace", o.Namespace},
		{"--log-level", o.LogLevel},
	} {
		if f.value != "" {
			args = append(args, f.name, f.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.SearchAttributes)) {
		args = append(args, "--search-attribute", name+"="+o.SearchAttributes[name])
	}
	return args
}

// Server is a running server.
type Server struct {
	Address string // HOST:PORT of the gRPC frontend, as a client dials it
	UI      string // URL of the Web UI, or ""

	opts  Options // with Binary and all ports settled
	cmd   *exec.Cmd
	ready *firstLine
	lines *lineWriter // of the log; its last one is read after ended is closed
	ended chan struct{}
	err   error // how the process ended; read after ended is closed
}

// Start runs a server and returns once clients can use it. ctx bounds the start (and a build, see Locate), not
// the server's life: one that has said that it is ready was started, even if it has ended since. The error says
// what the server complained about, such as a port that is taken.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Binary == "" {
		binary, err := Locate(ctx, opts.Progress)
		if err != nil {
			return nil, err
		}
		opts.Binary = binary
	}

	s, err := launch(opts)
	if err != nil {
		return nil, err
	}
	return s.awaitReady(ctx)
}

func launch(opts Options) (*Server, error) {
	s := &Server{
		opts: opts, cmd: exec.Command(opts.Binary, opts.args()...), ready: newFirstLine(maxReadyLine), ended: make(chan struct{}),
	}
	s.lines = &lineWriter{emit: s.log}
	s.cmd.Stdout, s.cmd.Stderr = s.ready, s.lines
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Once it has exited, do not wait for children of its own that hold its output open.
	s.cmd.WaitDelay = outputDelay
	// Never written to: while this end is open, the server knows that we live.
	if _, err := s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("run the Temporal server: %w", err)
	}
	go func() {
		err := s.cmd.Wait()
		s.lines.flush()
		s.err = err
		close(s.ended)
	}()
	return s, nil
}

func (s *Server) awaitReady(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	select {
	case line := <-s.ready.line:
		return s.started(line)
	case <-s.ended:
		// A program that prints its line and ends makes both cases ready. What comes of it must not be chance.
		select {
		case line := <-s.ready.line:
			return s.started(line)
		default:
		}
		if s.lines.last != "" {
			return nil, errors.New(s.lines.last) // Made for the user: it begins with the program's name.
		}
		return nil, fmt.Errorf("the Temporal server ended before it was ready: %w", s.ending())
	case <-ctx.Done():
		s.Kill()
		return nil, fmt.Errorf("start the Temporal server: %w", context.Cause(ctx))
	}
}

func (s *Server) started(line []byte) (*Server, error) {
	if err := s.settle(line); err != nil {
		s.Kill()
		return nil, fmt.Errorf("%s printed no ready line, is it perdure-temporal? %w", s.opts.Binary, err)
	}
	return s, nil
}

// Restart runs the server anew, after its end, with the same options and on the same addresses.
func (s *Server) Restart(ctx context.Context) (*Server, error) {
	<-s.ended
	return Start(ctx, s.opts)
}

// Wait returns when the process has ended; its error is nil after an orderly stop.
func (s *Server) Wait() error {
	<-s.ended
	return s.err
}

// Stop ends the server in an orderly way, or kills it when ctx ends first and returns ctx's error.
func (s *Server) Stop(ctx context.Context) error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		return s.err
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("stop the Temporal server: %w", context.Cause(ctx))
	}
}

// Kill ends the server with SIGKILL, as a crash would, and returns when it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

func (s *Server) log(line []byte) {
	if s.opts.Log != nil {
		_, _ = s.opts.Log.Write(line)
	}
}

// ending describes the end of a process that should not have ended.
func (s *Server) ending() error {
	if s.err == nil {
		return errors.New("exit status 0")
	}
	return s.err
}

// settle reads the ready line and fixes the ports for a restart.
func (s *Server) settle(line []byte) error {
	var ready struct {
		Address string `json:"address"`
		UI      string `json:"ui"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return err
	}
	var err error
	if s.opts.Listen, err = withPortOf(ready.Address, s.opts.Listen); err != nil {
		return err
	}
	if ready.UI != "" {
		u, err := url.Parse(ready.UI)
		if err != nil {
			return err
		}
		if s.opts.UI, err = withPortOf(u.Host, s.opts.UI); err != nil {
			return err
		}
	}
	s.Address, s.UI = ready.Address, ready.UI
	return nil
}

// withPortOf is the address asked for with the port that was found. The host stays as asked: a server on all
// interfaces reports a loopback address.
func withPortOf(found, asked string) (string, error) {
	host, port, err := net.SplitHostPort(found)
	if err != nil {
		return "", err
	}
	if askedHost, _, err := net.SplitHostPort(asked); err == nil {
		host = askedHost
	}
	return net.JoinHostPort(host, port), nil
}
