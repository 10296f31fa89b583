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

// MaxBytes is the size of the largest value that a Store takes: 64 MiB, twice the largest request body.
const MaxBytes = 64 << 20

const refPrefix = "sha256-"

// Ref names a value by its content: "sha256-" and 64 hexadecimal digits.
type Ref string

// RefOf returns the name of data.
func RefOf(data []byte) Ref {
	sum := sha256.Sum256(data)
	return Ref(refPrefix + hex.EncodeToString(sum[:]))
}

func (r Ref) digest() (string, error) {
	digest, ok := strings.CutPrefix(string(r), refPrefix)
	if !ok || len(digest) != 2*sha256.Size {
		return "", fmt.Errorf("blob: %q is not a reference", string(r))
	}
	if _, err := hex.DecodeString(digest); err != nil {
		return "", fmt.Errorf("blob: %q is not a reference", string(r))
	}
	return digest, nil
}

// Errors of a Store. [ErrTooLarge] and [ErrCorrupt] are final; an error of the file system may pass.
var (
	ErrNotFound = errors.New("blob: not found")
	ErrTooLarge = errors.New("blob: value too large")
	ErrCorrupt  = errors.New("blob: content does not match its hash")
)

// Store keeps values in a directory.
type Store struct {
	dir   string
	cache *cache
}

// Open returns the store in dir, which is created when it is missing. cacheBytes bounds the memory that recently used values
// may take.
func Open(dir string, cacheBytes int) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Store{dir: dir, cache: newCache(cacheBytes)}, nil
}

// Put writes data and returns its name once it is on disk.
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
	if _, err := os.Stat(path); err == nil {
		s.cache.add(ref, data)
		return ref, nil
	}
	if err := write(path, data); err != nil {
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
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if RefOf(data) != ref {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, ref)
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

// write makes data appear at path whole or not at all, and on disk before it returns: the reference goes into a history that
// outlives this process and must never dangle.
func write(path string, data []byte) error {
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	tmp, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
