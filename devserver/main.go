// Command perdure-temporal is Perdure's Temporal development server: the Temporal server, its Web UI and a
// SQLite store in one process, tuned for the latency of short steps.
//
//	perdure-temporal --db temporal.db            serve until SIGINT or SIGTERM
//	perdure-temporal -- go test ./...            serve while a command runs
//
// When the server is ready it prints one line of JSON on standard output and nothing else:
//
//	{"address":"127.0.0.1:7233","ui":"http://127.0.0.1:8233"}
//
// Everything else, logs and errors, goes to standard error. The exit code is 0 after an orderly stop, 1 when
// the server could not start, 2 for wrong usage, and the command's own code in the second form.
//
// It has no authentication and no TLS, and is one process on one file: for development and tests. In
// production, give Perdure the address of a Temporal cluster.
//
// This is a module of its own, so that Perdure's does not inherit the server's dependencies and their
// minutes of compilation.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	readyTimeout = 45 * time.Second
	// stopTimeout bounds an orderly stop. The store survives a kill, so waiting longer buys nothing.
	stopTimeout = 15 * time.Second
)

func main() {
	// Libraries of the server print to standard output; that stream belongs to the ready line.
	stdout := os.Stdout
	os.Stdout = os.Stderr

	code, err := run(os.Args[1:], os.Stdin, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		code = 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "perdure-temporal:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(args []string, stdin io.Reader, stdout io.Writer) (code int, err error) {
	opts, err := parseOptions(args, os.Stderr)
	if err != nil {
		return 2, err
	}
	parent := context.Background()
	if opts.exitWithParent {
		parent = untilEOF(parent, stdin)
	}
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	defer stop()

	s, err := startServer(opts)
	if err != nil {
		return 1, err
	}
	defer func() {
		stop() // A second signal ends the process at once.
		time.AfterFunc(stopTimeout, func() {
			fmt.Fprintf(os.Stderr, "perdure-temporal: not stopped after %v, exiting\n", stopTimeout)
			os.Exit(1)
		})
		err = errors.Join(err, s.stop())
	}()

	readyCtx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("not ready in time"))
	defer cancel()
	if err := s.awaitReady(readyCtx); err != nil {
		if ctx.Err() != nil {
			return 0, nil // Told to stop while starting.
		}
		return 1, err
	}

	if len(opts.command) > 0 {
		return runCommand(parent, opts.command, s.environ(), stdout)
	}
	if err := json.NewEncoder(stdout).Encode(s.endpoints); err != nil {
		return 1, fmt.Errorf("print the ready line: %w", err)
	}
	<-ctx.Done()
	return 0, nil
}

// untilEOF ends the returned context at the end of r. A parent that holds the other end of our standard
// input need not live long enough to signal us: the kernel closes the pipe when it dies.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, r)
	}()
	return ctx
}
