package secret

import (
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often a Sealer looks whether its file was changed. Other processes may use a new key for as long before this one does.
const lookEvery = 10 * time.Second

// keysetFile is the file that a Sealer follows.
type keysetFile struct {
	path   string
	logger *slog.Logger
	next   atomic.Int64 // when to look at the file again: Unix nanoseconds

	mu      sync.Mutex  // held while the file is read
	seen    fs.FileInfo // the file as it was when it was read last, nil if that failed
	failure string      // why the last reading failed, so that the same is told once
}

// follow takes over the keys of the file if it was changed and if it is time to look. One caller looks, the others go on meanwhile.
func (s *Sealer) follow() {
	f := s.file
	if f == nil {
		return
	}
	now, next := time.Now().UnixNano(), f.next.Load()
	if now < next || !f.next.CompareAndSwap(next, now+int64(lookEvery)) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := os.Stat(f.path); err == nil && f.seen != nil && unchanged(info, f.seen) {
		return
	}
	s.reload()
}

func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// learn reads the file for the sake of a key that is not known, and reports whether it is now. Whoever seals with a new key found it in
// the file, so it is there for others, too.
func (s *Sealer) learn(id uint32) bool {
	f := s.file
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.keys.Load().enabled[id] {
		return true // another caller was faster
	}
	s.reload()
	return s.keys.Load().enabled[id]
}

// reload reads the file. One that cannot be used leaves the keys as they are. The caller holds the file's mu.
func (s *Sealer) reload() {
	f := s.file
	data, info, err := readKeysetFile(f.path)
	var keys *keyring
	if err == nil {
		keys, err = parseKeyring(data)
	}
	if err != nil {
		f.seen = nil
		// The same failure is told once.
		if text := err.Error(); text != f.failure {
			f.failure = text
			f.logger.Error("the keyset file cannot be used, going on with the keys read before", "file", f.path, "error", err)
		}
		return
	}
	before := s.keys.Swap(keys)
	f.seen = info
	if f.failure != "" || !sameKeys(before, keys) {
		f.failure = ""
		f.logger.Info("the keyset file was read again", "file", f.path, "keys", len(keys.enabled))
	}
}

func sameKeys(a, b *keyring) bool {
	if len(a.enabled) != len(b.enabled) {
		return false
	}
	for id, enabled := range a.enabled {
		if was, ok := b.enabled[id]; !ok || was != enabled {
			return false
		}
	}
	return true
}
