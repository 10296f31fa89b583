package mcpclient_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"perdure/internal/egress"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

// loopback lets tests use servers of httptest.
var loopback = egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*"}}

func newClient(t *testing.T, opts mcpclient.Options) *mcpclient.Client {
	t.Helper()
	if opts.Network.AllowOrigins == nil {
		opts.Network = loopback
	}
	c, err := mcpclient.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	return c
}

func newHostile(t *testing.T) *mcptest.Hostile {
	t.Helper()
	h := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func newServer(t *testing.T, opts mcptest.ServerOptions) *mcptest.Server {
	t.Helper()
	s := mcptest.NewServer(opts)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func at(url string) mcpclient.Server { return mcpclient.Server{Label: "srv", URL: url} }

var callT = mcpclient.Call{Name: "t", IdempotencyKey: "key-1"}

// wantError checks that err is an Error like want. Messages are not compared.
func wantError(t *testing.T, err error, want mcpclient.Error) *mcpclient.Error {
	t.Helper()
	var e *mcpclient.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want an *mcpclient.Error", err)
	}
	if e.Stage != want.Stage || e.Sent != want.Sent || e.Status != want.Status || e.Temporary != want.Temporary || e.Label != "srv" {
		t.Errorf("got %q: stage %q, sent %q, status %d, temporary %v;\nwant stage %q, sent %q, status %d, temporary %v",
			e, e.Stage, e.Sent, e.Status, e.Temporary, want.Stage, want.Sent, want.Status, want.Temporary)
	}
	return e
}

// checkGoroutines fails if, at the end of a test that does not run in parallel,
// more goroutines are left than there were when it was called.
func checkGoroutines(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { awaitGoroutines(t, before) })
}

// awaitGoroutines waits until at most n goroutines are left.
func awaitGoroutines(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for runtime.NumGoroutine() > n {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, want at most %d:\n%s", runtime.NumGoroutine(), n, stacks[:runtime.Stack(stacks, true)])
		}
		<-time.After(5 * time.Millisecond) // polling; there is no event to wait for
	}
}

// allocated returns how many bytes f and everything beside it allocate.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
