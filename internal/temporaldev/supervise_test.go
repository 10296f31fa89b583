package temporaldev

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSupervise(t *testing.T) {
	t.Parallel()
	opts := testOptions(t)
	opts.DB = filepath.Join(t.TempDir(), "temporal.db")
	s, err := Supervise(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	first := s.current()
	first.Kill()
	eventually(t, func() error {
		if s.current() == first {
			return errors.New("not restarted")
		}
		return nil
	})
	if _, err := dial(t, s.Address).CheckHealth(t.Context(), nil); err != nil {
		t.Errorf("after the restart: %v", err)
	}

	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.current().Wait(); err != nil {
		t.Errorf("stopped in disorder: %v", err)
	}
}

// A server that ends as soon as it is ready has started, whether its end is seen before or after its ready line.
func TestStartOfServerThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	for range 20 { // of two cases that are both ready, Go takes one by chance
		s, err := launch(Options{Binary: "testdata/ready-once.sh", DB: filepath.Join(t.TempDir(), "ran")})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.awaitReady(t.Context()); err != nil || s.Address != "127.0.0.1:1" {
			t.Fatalf("got %q, %v", s.Address, err)
		}
	}
}

func TestReviveGivesUp(t *testing.T) {
	t.Parallel()
	log := &strings.Builder{}
	s, err := Start(t.Context(), Options{Binary: "testdata/ready-once.sh", DB: filepath.Join(t.TempDir(), "ran"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}

	backoff := time.Millisecond
	_, err = revive(t.Context(), s, &backoff)
	if err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v, want the program's complaint", err)
	}
	if got, want := strings.Count(log.String(), "perdure-temporal: no luck\n"), maxFailures; got != want {
		t.Errorf("got %d attempts, want %d; log:\n%s", got, want, log)
	}
	if want := time.Millisecond << maxFailures; backoff != want {
		t.Errorf("backoff: got %v, want %v", backoff, want)
	}
}

func TestReviveCancelled(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Binary: "testdata/ready-once.sh", DB: filepath.Join(t.TempDir(), "ran")})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	backoff := time.Hour
	if next, err := revive(ctx, s, &backoff); next != nil || err != nil {
		t.Errorf("got %v, %v, want neither server nor error", next, err)
	}
}
