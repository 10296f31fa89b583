package secret

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// log is a buffer for what a logger writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func newKeysetFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	openFile(t, path, &log{})
	return path
}

func openFile(t *testing.T, path string, l *log) *Sealer {
	t.Helper()
	sealer, err := OpenKeysetFile(path, slog.New(slog.NewTextHandler(l, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func seal(t *testing.T, s *Sealer) Sealed {
	t.Helper()
	sealed, err := s.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func requireOpens(t *testing.T, name string, s *Sealer, sealed Sealed) {
	t.Helper()
	if got, err := s.Open(sealed, binding); err != nil || string(got) != "token" {
		t.Errorf("%s: Open = %q, %v", name, got, err)
	}
}

// due makes it time for a Sealer to look at its file.
func due(s *Sealer) { s.file.next.Store(0) }

func rotate(t *testing.T, path string) (primary, replaced uint32) {
	t.Helper()
	err := ChangeKeysetFile(path, func(k *Keyset) (err error) {
		if _, err = k.Prepare(); err != nil {
			return err
		}
		primary, replaced, err = k.Promote()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return primary, replaced
}

// A process that has not looked at the file since reads what one with the new key writes, at once.
func TestKeyThatIsNotKnownYet(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	old := openFile(t, path, &log{})
	before := seal(t, old)
	primary, replaced := rotate(t, path)
	if id, _ := keyOf(seal(t, old)); id != replaced {
		t.Fatalf("it seals with key %d before it looks, want %d", id, replaced)
	}
	after := seal(t, openFile(t, path, &log{}))
	if id, _ := keyOf(after); id != primary {
		t.Errorf("a new process seals with key %d, want the primary key %d", id, primary)
	}
	requireOpens(t, "sealed with the new key", old, after)
	requireOpens(t, "sealed with the old key", old, before)
	if id, _ := keyOf(seal(t, old)); id != primary {
		t.Errorf("having read the file, it seals with key %d, want %d", id, primary)
	}
}

func TestKeyThatNobodyKnows(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	elsewhere := seal(t, openFile(t, newKeysetFile(t), &log{}))
	id, _ := keyOf(elsewhere)
	var missing *UnknownKeyError
	_, err := openFile(t, path, &log{}).Open(elsewhere, binding)
	if !errors.As(err, &missing) || !errors.Is(err, ErrOpen) || missing.ID != id {
		t.Errorf("error %v, want an UnknownKeyError of key %d", err, id)
	}
}

func TestSealerLooksAtItsFile(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	var l log
	sealer := openFile(t, path, &l)
	primary, _ := rotate(t, path)
	due(sealer)
	if id, _ := keyOf(seal(t, sealer)); id != primary {
		t.Errorf("it seals with key %d, want %d", id, primary)
	}
	due(sealer)
	seal(t, sealer)
	if n := l.count("read again"); n != 1 {
		t.Errorf("it was told %d times that the file was read, want once", n)
	}
	if sealer.file.next.Load() == 0 {
		t.Error("it would look again at once")
	}
}

// A file that cannot be used must not take a running process its keys.
func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"not a keyset": func(path string) error { return os.WriteFile(path, []byte(hidden), 0o600) },
		"empty":        func(path string) error { return os.Truncate(path, 0) },
		"gone":         os.Remove,
		"readable":     func(path string) error { return os.Chmod(path, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newKeysetFile(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var l log
			sealer := openFile(t, path, &l)
			before := seal(t, sealer)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			stranger := seal(t, newTestSealer(t))
			for range 3 {
				due(sealer)
				requireOpens(t, "with the keys read before", sealer, before)
				if _, err := sealer.Open(stranger, binding); !errors.Is(err, ErrOpen) {
					t.Errorf("error %v, want ErrOpen", err)
				}
			}
			if n := l.count("cannot be used"); n != 1 {
				t.Errorf("it was told %d times, want once:\n%s", n, &l.text)
			}
			requireHidden(t, "the log", l.text.String())
			// Once it is right again, it is used again.
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			primary, _ := rotate(t, path)
			due(sealer)
			if id, _ := keyOf(seal(t, sealer)); id != primary {
				t.Errorf("it seals with key %d, want %d", id, primary)
			}
		})
	}
}

// Rotations under load: whatever was sealed by anyone opens everywhere, at any time.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	sealers := make([]*Sealer, 4)
	for i := range sealers {
		sealers[i] = openFile(t, path, &log{})
	}
	done := make(chan struct{})
	sealed := make(chan Sealed, 16)
	var group sync.WaitGroup
	for i, s := range sealers {
		group.Go(func() {
			for {
				due(s) // some look all the time, others have to learn
				value, err := s.Seal([]byte("token"), binding)
				if err != nil {
					t.Error(err)
				}
				select {
				case sealed <- value:
				case <-done:
					return
				}
			}
		})
		group.Go(func() {
			other := sealers[(i+1)%len(sealers)]
			for {
				select {
				case value := <-sealed:
					if _, err := other.Open(value, binding); err != nil {
						t.Error(err)
					}
				case <-done:
					return
				}
			}
		})
	}
	for range 20 {
		rotate(t, path)
	}
	close(done)
	group.Wait()
}
