package events_test

import (
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/events/eventstest"
	"perdure/internal/logtest"
	"perdure/internal/secret"
)

const said = "what the model says: canary-2c6f"

func newSealer(tb testing.TB) *secret.Sealer {
	tb.Helper()
	data, err := secret.GenerateKeyset()
	if err != nil {
		tb.Fatal(err)
	}
	sealer, err := secret.ParseKeyset(data)
	if err != nil {
		tb.Fatal(err)
	}
	return sealer
}

// sealedLog returns a log on the server at a URL, or on one in this process if there is a directory instead.
func sealedLog(tb testing.TB, url, dir string, sealer *secret.Sealer, encrypt bool, out io.Writer) *events.Log {
	tb.Helper()
	blobs, err := blob.Open(blob.Options{Dir: tb.TempDir(), Sealer: sealer, Encrypt: encrypt})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := events.Connect(tb.Context(), events.Options{
		URL: url, Dir: dir, MaxAge: time.Hour, Replicas: 1, Blobs: blobs, Sealer: sealer, Encrypt: encrypt,
		Logger: slog.New(slog.NewTextHandler(out, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// tell publishes a few events and the end.
func tell(t *testing.T, l *events.Log, id string) {
	t.Helper()
	s := l.Step(id, "turn-1-1")
	at := 0
	for range 3 {
		e := delta(at, said)
		e.Index = at // so that they stay apart
		s.Publish(e)
		at += len(said)
	}
	s.Flush(bounded(t))
	end(t, l, id)
}

// heard reads the events of a response to its end.
func heard(t *testing.T, l *events.Log, id string) string {
	t.Helper()
	r := read(t, l, id)
	var all strings.Builder
	for {
		e, err := r.Next(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == events.Ended {
			return all.String()
		}
		all.WriteString(e.Delta.Text)
	}
}

// stored is all that a server has written.
func stored(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEventsAreEncrypted(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{true, false} {
		dir := t.TempDir()
		l := sealedLog(t, "", dir, newSealer(t), encrypt, io.Discard)
		tell(t, l, "resp_1")
		if got := heard(t, l, "resp_1"); got != strings.Repeat(said, 3) {
			t.Errorf("heard %q", got)
		}
		data := stored(t, dir)
		if readable := bytes.Contains(data, []byte(said)); readable == encrypt {
			t.Errorf("encrypt %v: readable in the server's files: %v", encrypt, readable)
		}
		if !bytes.Contains(data, []byte("resp_1")) {
			t.Error("the server's files do not hold the events")
		}
	}
}

// The switch can be moved while events are read, and starters and workers need not move it at the same time.
func TestEventsOverTheSwitch(t *testing.T) {
	t.Parallel()
	server, sealer := eventstest.StartServer(t), newSealer(t)
	on := sealedLog(t, server.URL(), "", sealer, true, io.Discard)
	off := sealedLog(t, server.URL(), "", sealer, false, io.Discard)
	tell(t, on, "resp_1")
	tell(t, off, "resp_2")
	for _, l := range []*events.Log{on, off} {
		for _, id := range []string{"resp_1", "resp_2"} {
			if got := heard(t, l, id); got != strings.Repeat(said, 3) {
				t.Errorf("%s: heard %q", id, got)
			}
		}
	}
}

// Without the key a reader hears nothing but the end, with which the response is complete, and tells so once.
func TestEventsWithoutTheKey(t *testing.T) {
	t.Parallel()
	server := eventstest.StartServer(t)
	tell(t, sealedLog(t, server.URL(), "", newSealer(t), true, io.Discard), "resp_1")
	for name, sealer := range map[string]*secret.Sealer{"another keyset": newSealer(t), "none": nil} {
		var out logtest.Buffer
		if got := heard(t, sealedLog(t, server.URL(), "", sealer, false, &out), "resp_1"); got != "" {
			t.Errorf("%s: heard %q", name, got)
		}
		if n := strings.Count(out.String(), "cannot be read"); n != 1 || strings.Contains(out.String(), "canary") {
			t.Errorf("%s: told %d times, want once: %s", name, n, &out)
		}
	}
}

// Deltas go to the server in messages of their own, so each costs one sealing and one opening.
func BenchmarkDelta(b *testing.B) {
	for name, encrypt := range map[string]bool{"plain": false, "encrypted": true} {
		b.Run(name, func(b *testing.B) {
			l := sealedLog(b, "", b.TempDir(), newSealer(b), encrypt, io.Discard)
			s := l.Step("resp_1", "turn-1-1")
			r, err := l.Read(b.Context(), "resp_1")
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			at := 0
			for b.Loop() {
				s.Publish(delta(at, "some words"))
				at += len("some words")
				if _, err := r.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
