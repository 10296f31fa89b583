package events_test

import (
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/events/eventstest"
	"perdure/internal/logtest"
)

// awaitHealthy waits until a log can be reached, or cannot.
func awaitHealthy(t *testing.T, l *events.Log, want bool) {
	t.Helper()
	deadline := time.After(waitFor)
	for l.Healthy() != want {
		select {
		case <-deadline:
			t.Fatalf("healthy is %v for %v", !want, waitFor)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// options are those of a log at a URL, or in this process if there is none, and what it writes.
func options(t *testing.T, url string) (events.Options, *logtest.Buffer) {
	t.Helper()
	blobs, err := blob.Open(blob.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	log := &logtest.Buffer{}
	return events.Options{
		URL: url, Dir: t.TempDir(), MaxAge: time.Hour, Replicas: 1, Blobs: blobs, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

func connect(t *testing.T, o events.Options) *events.Log {
	t.Helper()
	l, err := events.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	o, log := options(t, server.URL())
	l := connect(t, o)
	s := l.Step("resp_1", "turn-1-1")
	publish(s, 0, 100)
	s.Flush(t.Context())
	reader, idle := read(t, l, "resp_1"), read(t, l, "resp_1")
	expect(t, reader, 0, 10)
	expect(t, idle, 0, 100)

	server.Stop()
	began := time.Now()
	for {
		_, err := idle.Next(bounded(t))
		if errors.Is(err, events.ErrUnavailable) {
			break
		}
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 10*time.Second { // to wait for the first ping would take as long
		t.Errorf("it took %v to hear of the outage", took)
	}
	awaitHealthy(t, l, false)
	began = time.Now()
	publish(s, 100, 10_100)
	for range 10 {
		s.Flush(t.Context())
	}
	if took := time.Since(began); took > 4*time.Second { // to wait for what was dropped would take 5 s at least
		t.Errorf("10,000 events took %v to be dropped", took)
	}
	if err := l.End(bounded(t), "resp_1"); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("End: got %v, want ErrUnavailable", err)
	}
	if err := l.Delete(bounded(t), "resp_1"); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("Delete: got %v, want ErrUnavailable", err)
	}

	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitHealthy(t, l, true)
	publish(s, 100, 110)
	expect(t, reader, 10, 110)
	expect(t, idle, 100, 110)
	expect(t, read(t, l, "resp_1"), 0, 110)
	if err := log.Await(bounded(t), "dropped_events=10000"); err != nil {
		t.Error(err)
	}
	if got := strings.Count(log.String(), "event log is away"); got != 1 {
		t.Errorf("the outage was told of %d times, want once:\n%s", got, log)
	}
	if got := strings.Count(log.String(), "\n"); got > 6 {
		t.Errorf("%d lines for one outage:\n%s", got, log)
	}
}

func TestAwayAtStart(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	server.Stop()
	o, log := options(t, server.URL())
	began := time.Now()
	l := connect(t, o)
	if took := time.Since(began); took > 10*time.Second { // as long as nothing waits until the server is there
		t.Errorf("it took %v to start without a server", took)
	}
	s := l.Step("resp_1", "turn-1-1")
	publish(s, 0, 5)
	r := read(t, l, "resp_1")
	if _, err := r.Next(bounded(t)); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	heard := make(chan string, 1)
	if err := l.OnCancelled(func(id string) { heard <- id }); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitHealthy(t, l, true)
	publish(s, 5, 10)
	expect(t, r, 5, 10)
	l.NudgeCancelled("resp_1")
	if got := <-heard; got != "resp_1" {
		t.Errorf("heard of %q", got)
	}
	for _, want := range []string{"event log is away", "dropped_events=5"} {
		if err := log.Await(bounded(t), want); err != nil {
			t.Error(err)
		}
	}
}

// admin is a client of our own that looks at the stream, or harms it.
func admin(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// A stream that somebody has deleted is made anew, and readers go on with what comes.
func TestLostStream(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	l := eventstest.Connect(t, server.URL())
	s := l.Step("resp_1", "turn-1-1")
	publish(s, 0, 50)
	r := read(t, l, "resp_1")
	expect(t, r, 0, 50)
	if err := admin(t, server.URL()).DeleteStream(t.Context(), "PERDURE_EVENTS"); err != nil {
		t.Fatal(err)
	}
	end(t, l, "resp_1")
	ctx := bounded(t)
	for {
		e, err := r.Next(ctx)
		if err == nil && e.Kind == events.Ended {
			break
		}
		if !errors.Is(err, events.ErrUnavailable) {
			t.Fatalf("got %+v, %v, want the end", e, err)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	js := admin(t, server.URL())
	for _, age := range []time.Duration{time.Hour, 2 * time.Hour, time.Minute} {
		o, _ := options(t, server.URL())
		o.MaxAge = age
		l := connect(t, o)
		awaitHealthy(t, l, true)
		stream, err := js.Stream(t.Context(), "PERDURE_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		c := stream.CachedInfo().Config
		if c.MaxAge != age || c.Storage != jetstream.FileStorage || c.Discard != jetstream.DiscardOld || c.Duplicates != min(age, 20*time.Second) {
			t.Errorf("got the settings %+v", c)
		}
		s := l.Step("resp_1", age.String())
		publish(s, 0, 1)
		s.Flush(t.Context())
	}
	stream, err := js.Stream(t.Context(), "PERDURE_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 3 {
		t.Errorf("%d events after changes of settings, want all 3", got)
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	js := admin(t, server.URL())
	o, _ := options(t, server.URL())
	o.MaxAge = 5 * time.Second // in which the events must be read
	l := connect(t, o)
	s := l.Step("resp_1", "turn-1-1")
	r := read(t, l, "resp_1")
	publish(s, 0, 10)
	expect(t, r, 0, 10)
	for deadline := time.After(waitFor); ; {
		stream, err := js.Stream(t.Context(), "PERDURE_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		if stream.CachedInfo().State.Msgs == 0 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the events are still there")
		case <-time.After(20 * time.Millisecond):
		}
	}
	publish(s, 10, 12)
	expect(t, r, 10, 12)
}

// What the server in this process stores survives the process.
func TestEmbeddedRestart(t *testing.T) {
	t.Parallel()
	o, _ := options(t, "")
	first, err := events.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	publish(first.Step("resp_1", "turn-1-1"), 0, 100)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	l := connect(t, o)
	publish(l.Step("resp_1", "turn-2-1"), 100, 101)
	expect(t, read(t, l, "resp_1"), 0, 101)
}

func TestListen(t *testing.T) {
	t.Parallel()
	o, _ := options(t, "")
	taken := strings.TrimPrefix(eventstest.StartServer(t).URL(), "nats://")
	o.Listen = taken
	if l, err := events.Connect(t.Context(), o); err == nil {
		l.Close()
		t.Error("an address that is taken was accepted")
	}
	o.Listen = "127.0.0.1:0"
	connect(t, o)
}

func TestCloseLeavesNothing(t *testing.T) { //nolint:paralleltest // it counts goroutines
	before := runtime.NumGoroutine()
	for range 3 {
		o, _ := options(t, "")
		l, err := events.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.OnCancelled(func(string) {}); err != nil {
			t.Fatal(err)
		}
		publish(l.Step("resp_1", "turn-1-1"), 0, 10)
		r := read(t, l, "resp_1")
		expect(t, r, 0, 10)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(bounded(t)); !errors.Is(err, events.ErrUnavailable) {
			t.Errorf("got %v from a closed log, want ErrUnavailable", err)
		}
		l.Step("resp_1", "turn-1-1").Publish(delta(0, "too late"))
	}
	deadline := time.After(waitFor)
	for runtime.NumGoroutine() > before {
		select {
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before there were %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		case <-time.After(20 * time.Millisecond):
		}
	}
}
