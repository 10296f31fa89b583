// Package blob keeps large values outside a run's history, by content hash: history carries a [Ref] of 71 bytes instead.
//
// A [Store] is a directory, which every starter and worker of a deployment must see. A value is written once, under the hash
// of its bytes, and never changed, so a reader may cache it for as long as it likes and a writer that is repeated does no harm.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MaxBytes is the size of the largest value that a Store takes: 80 MiB. The largest request body has 32 MiB, and JSON may need
// twice the bytes of the text that it encodes.
const MaxBytes = 80 << 20

const (
	refPrefix = "sha256-"
	hexDigits = "0123456789abcdef"
)

// Ref names a value by its content: "sha256-" and 64 hexadecimal digits.
type Ref string

// RefOf returns the name of data.
func RefOf(data []byte) Ref {
	sum := sha256.Sum256(data)
	return Ref(refPrefix + hex.EncodeToString(sum[:]))
}

// digest returns the hexadecimal digits, which are safe as a file name.
func (r Ref) digest() (string, error) {
	digest, ok := strings.CutPrefix(string(r), refPrefix)
	if !ok || len(digest) != 2*sha256.Size || strings.Trim(digest, hexDigits) != "" {
		return "", fmt.Errorf("%w: %.80q is not a reference", ErrCorrupt, string(r))
	}
	return digest, nil
}

// Errors of a Store. [ErrTooLarge] and [ErrCorrupt] are final; an error of the file system may pass.
var (
	ErrNotFound = errors.New("blob: not found")
	ErrTooLarge = errors.New("blob: value too large")
	// ErrCorrupt means that a reference, or the file that it names, was damaged.
	ErrCorrupt = errors.New("blob: corrupt")
)

// Store keeps values in a directory. It is safe for concurrent use, and several processes may use one directory.
type Store struct {
	dir   string
	cache *cache
}

// Open returns the store in dir, which is created when it is missing. cacheBytes bounds the memory that recently used values
// may take.
func Open(dir string, cacheBytes int) (*Store, error) {
	if err := prepare(dir); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Store{dir: dir, cache: newCache(cacheBytes)}, nil
}

// Put writes data and returns its name once it is on disk. A file that was damaged is written anew. The store keeps data: the
// caller must not change it afterwards.
func (s *Store) Put(ctx context.Context, data []byte) (Ref, error) {
	if len(data) > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes, at most %d are kept", ErrTooLarge, len(data), MaxBytes)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ref := RefOf(data)
	path, err := s.path(ref)
	if err != nil {
		return "", err
	}
	if !holds(path, data) {
		if err := s.write(path, data); err != nil {
			return "", fmt.Errorf("blob: %w", err)
		}
	}
	// Even a file that was there already may be too new to survive a crash.
	if err := syncDir(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("blob: %w", err)
	}
	s.cache.add(ref, data)
	return ref, nil
}

// Get returns the bytes that ref names. Callers must not change them.
func (s *Store) Get(ctx context.Context, ref Ref) ([]byte, error) {
	if data, ok := s.cache.get(ref); ok {
		return data, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := s.path(ref)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > MaxBytes {
		return nil, fmt.Errorf("%w: the file of %s has %d bytes", ErrCorrupt, ref, info.Size())
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if RefOf(data) != ref {
		return nil, fmt.Errorf("%w: the file of %s has another content", ErrCorrupt, ref)
	}
	s.cache.add(ref, data)
	return data, nil
}

// path spreads the files over 256 directories by the first byte of their hash.
func (s *Store) path(ref Ref) (string, error) {
	digest, err := ref.digest()
	if err != nil {
		return "", err
	}
	return filepath.Join(s.dir, digest[:2], digest), nil
}
