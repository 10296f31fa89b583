package blob

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"

	"perdure/internal/bytecache"
	"perdure/internal/secret"
)

// Options say where values are and how they are kept. One of Dir and Bucket is required.
type Options struct {
	Dir    string  // is created when it is missing
	Bucket *Bucket // in the place of Dir
	// Namespace is that of the workflows that own the values; empty is "default". Deployments of several namespaces may share a directory
	// or a bucket.
	Namespace string
	// CacheBytes bounds the memory that recently used values may take.
	CacheBytes int
	// Sealer opens values that are encrypted; without it they are not found. Encrypt has new ones encrypted.
	Sealer  *secret.Sealer
	Encrypt bool
}

// Stores are the values of all owners. They are safe for concurrent use, and several processes may use one directory or bucket.
type Stores struct {
	backend backend
	root    string // of the namespace, ends in "/"
	cache   *bytecache.Cache
	sealer  *secret.Sealer
	encrypt bool
}

// The kinds of values. They are in the names of what is stored: they never change.
const (
	runs   = "runs/"
	events = "events/"
	files  = "files/"
)

// Open returns the stores. A directory must be usable; a bucket is not asked for anything yet.
func Open(o Options) (*Stores, error) {
	root, err := part(cmp.Or(o.Namespace, "default"))
	if err != nil {
		return nil, fmt.Errorf("blob: namespace: %w", err)
	}
	if o.Encrypt && o.Sealer == nil {
		return nil, errors.New("blob: encryption needs a sealer")
	}
	s := &Stores{root: root + "/", cache: bytecache.New(o.CacheBytes), sealer: o.Sealer, encrypt: o.Encrypt}
	if o.Bucket != nil {
		s.backend, err = openBucket(*o.Bucket)
	} else {
		s.backend, err = openDirectory(o.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return s, nil
}

// Shards is how many parts the owners are spread over, numbered from 0.
const Shards = 256

func (s *Stores) shard(kind string, number int) string {
	return fmt.Sprintf("%s%s%02x/", s.root, kind, number)
}

// dir is where the values of an owner are.
func (s *Stores) dir(kind, owner string) (string, error) {
	name, err := part(owner)
	if err != nil {
		return "", fmt.Errorf("blob: owner: %w", err)
	}
	sum := sha256.Sum256([]byte(owner))
	return s.shard(kind, int(sum[0])) + name + "/", nil
}

// maxPart is how long a file name may be on most file systems.
const maxPart = 255

// part returns a string in a form that is safe as a part of a name; url.PathUnescape takes it back.
func part(s string) (string, error) {
	escaped := url.PathEscape(s)
	if escaped == "" || escaped == "." || escaped == ".." || len(escaped) > maxPart {
		return "", fmt.Errorf("%.80q cannot be a file name: it is empty, a dot, or longer than %d bytes", s, maxPart)
	}
	return escaped, nil
}

// For returns the store of the values that a workflow owns. It costs nothing.
func (s *Stores) For(workflowID string) *Store { return s.of(runs, workflowID) }

// ForEvents returns the store of a response's events.
func (s *Stores) ForEvents(responseID string) *Store { return s.of(events, responseID) }

// ForFile returns the store of a file's parts, which are sealed for their place before they are put.
func (s *Stores) ForFile(fileID string) *Store { return s.of(files, fileID) }

func (s *Stores) of(kind, owner string) *Store {
	dir, err := s.dir(kind, owner)
	return &Store{all: s, dir: dir, invalid: err, sealed: kind == files}
}

// claimName is where it stands whose the values of a namespace are.
const claimName = "namespace-id"

// Claim makes sure that the values are those of the Temporal namespace with the given ID: a sweep removes what that one does not know. Two
// clusters may each have a namespace of the same name. The error is [ErrForeign] if another one has claimed the values before.
func (s *Stores) Claim(ctx context.Context, namespaceID string) error {
	name := s.root + claimName
	held, err := s.backend.get(ctx, name, maxPart)
	if errors.Is(err, ErrNotFound) {
		return s.backend.put(ctx, name, []byte(namespaceID))
	}
	if err == nil && string(held) != namespaceID {
		return fmt.Errorf("%w, of the same name and with the ID %q: give each cluster a directory, bucket or prefix of its own (data.dir, "+
			"blobs.bucket, blobs.prefix); or, if the other one is gone for good, remove %s, and what it had left is removed, too",
			ErrForeign, held, name)
	}
	return err
}

// Remove removes all that a workflow owns, its events included. What is written at the same time may stay.
func (s *Stores) Remove(ctx context.Context, workflowID string) error {
	return s.removeOf(ctx, workflowID, runs, events)
}

// RemoveFile is Remove for a file.
func (s *Stores) RemoveFile(ctx context.Context, fileID string) error {
	return s.removeOf(ctx, fileID, files)
}

func (s *Stores) removeOf(ctx context.Context, owner string, kinds ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, kind := range kinds {
		dir, err := s.dir(kind, owner)
		if err != nil {
			return err
		}
		if err := s.removeDir(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stores) removeDir(ctx context.Context, dir string) error {
	return s.eachEntry(ctx, dir, func(entries []entry) error {
		names := make([]string, len(entries))
		for i, e := range entries {
			names[i] = dir + e.name
		}
		return s.backend.remove(ctx, names...)
	})
}

// sealedSuffix marks the names of values that are encrypted.
const sealedSuffix = ".sealed"
