// Package temporaldevtest gives tests a Temporal development server.
package temporaldevtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"perdure/internal/linktest"
	"perdure/internal/temporaldev"
)

const (
	addressEnv  = "PERDURE_TEST_TEMPORAL"
	stopTimeout = 20 * time.Second
)

// searchAttributes returns those of Perdure's runs, which "perdure migrate" would add. A namespace that has them from the start saves
// every test the seconds until the server's caches notice.
func searchAttributes() map[string]string {
	return map[string]string{
		"PerdureOrganization": "Keyword", "PerdureUser": "Keyword", "PerdureModel": "Keyword", "PerdureServers": "KeywordList",
		"PerdureStatus": "Keyword", "PerdureKey": "Keyword", "PerdureCreated": "Datetime",
		"PerdureStored": "Bool", "PerdureBatch": "Keyword",
	}
}

// shared is the one server of this test process, started at first use. It is not stopped: it ends with the
// process.
var shared = sync.OnceValues(func() (*temporaldev.Server, error) {
	return temporaldev.Start(context.Background(), temporaldev.Options{
		Listen:   "127.0.0.1:0",
		UI:       "off",
		Log:      os.Stderr,
		Progress: os.Stderr,

		SearchAttributes: searchAttributes(),
	})
})

// Address returns the address of a server that many tests use at the same time: the one that
// PERDURE_TEST_TEMPORAL names, or one in memory for this test process. Tests keep apart by task queues and
// workflow IDs of their own.
func Address(tb testing.TB) string {
	tb.Helper()
	if address := os.Getenv(addressEnv); address != "" {
		return address
	}
	s, err := shared()
	if err != nil {
		tb.Fatalf("temporaldevtest: %v", err)
	}
	return s.Address
}

// Start returns a server of the test's own on a new file, without UI, to be killed and restarted at will.
func Start(tb testing.TB) *temporaldev.Server {
	tb.Helper()
	return StartIn(tb, tb.TempDir(), tb.Output(), "")
}

// StartIn is Start with a file in a directory, and with the server's log from a level on to a writer.
func StartIn(tb testing.TB, dir string, log io.Writer, level string) *temporaldev.Server {
	tb.Helper()
	port, err := linktest.Hold()
	if err != nil {
		tb.Fatalf("temporaldevtest: %v", err)
	}
	tb.Cleanup(port.Release)
	s, err := temporaldev.Start(tb.Context(), temporaldev.Options{
		DB:       filepath.Join(dir, "temporal.db"),
		Listen:   port.Address(), // which is the server's also while it is away
		UI:       "off",
		Log:      log,
		LogLevel: level,
		Progress: os.Stderr, // at once: a build takes longer than anybody waits for a silent test

		SearchAttributes: searchAttributes(),
	})
	return stopped(tb, s, err)
}

// Restart starts a server that was killed or stopped again, on its file and its address.
func Restart(tb testing.TB, s *temporaldev.Server) *temporaldev.Server {
	tb.Helper()
	again, err := s.Restart(tb.Context())
	return stopped(tb, again, err)
}

// stopped registers the stop of a started server.
func stopped(tb testing.TB, s *temporaldev.Server, err error) *temporaldev.Server {
	tb.Helper()
	if err != nil {
		tb.Fatalf("temporaldevtest: %v", err)
	}
	tb.Cleanup(func() {
		// The test's own context has ended.
		ctx, cancel := context.WithTimeoutCause(context.Background(), stopTimeout, fmt.Errorf("not stopped after %v", stopTimeout))
		defer cancel()
		_ = s.Stop(ctx)
	})
	return s
}
