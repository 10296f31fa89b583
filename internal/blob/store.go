package blob

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"perdure/internal/secret"
)

// Store keeps the values of one owner. It is safe for concurrent use.
type Store struct {
	all     *Stores
	dir     string
	invalid error // the owner can have no values
	// sealed: what is put was sealed by whoever puts it. It is kept as it is, and not in memory.
	sealed bool
}

// encrypts reports whether values are encrypted here.
func (s *Store) encrypts() bool { return s.all.encrypt && !s.sealed }

// remember keeps a value in memory.
func (s *Store) remember(ref Ref, data []byte) {
	if !s.sealed {
		s.all.cache.Add(s.label(ref), data)
	}
}

// Put writes data and returns its name once it is kept durably. A value that was damaged is written anew. The store keeps data: the
// caller must not change it afterwards.
func (s *Store) Put(ctx context.Context, data []byte) (Ref, error) {
	if len(data) > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes, at most %d are kept", ErrTooLarge, len(data), MaxBytes)
	}
	if err := errors.Join(s.invalid, ctx.Err()); err != nil {
		return "", err
	}
	ref := RefOf(data)
	name, kept, err := s.seal(ref, data)
	if err != nil {
		return "", err
	}
	// What the cache has is written, too: it says nothing of what is kept.
	if err := s.all.backend.put(ctx, s.dir+name, kept); err != nil {
		return "", err
	}
	s.remember(ref, data)
	return ref, nil
}

// seal returns how data is kept, and under which name.
func (s *Store) seal(ref Ref, data []byte) (name string, kept []byte, err error) {
	if !s.encrypts() {
		name, err = ref.digest()
		return name, data, err
	}
	sealed, name, err := s.all.sealer.SealNamed(data, binding(ref), s.label(ref))
	return name + sealedSuffix, sealed, err
}

// binding has a value open only in the place of itself. That a copy opens, too, is wanted.
func binding(ref Ref) secret.Binding {
	return secret.Binding{Purpose: "blob", Content: string(ref)}
}

// label is what a value is called in memory, and what its name is made of when it is encrypted: the same content has another name with
// another owner.
func (s *Store) label(ref Ref) string { return s.dir + string(ref) }

// names returns the names that a value may have with each of the owners, the likeliest first, which is how it is written now: the switch can have been moved and the keys
// rotated since.
func (s *Stores) names(ref Ref, owners ...*Store) ([][]string, error) {
	digest, err := ref.digest()
	if err != nil {
		return nil, err
	}
	names := make([][]string, len(owners))
	labels := make([]string, len(owners))
	for i, o := range owners {
		labels[i] = o.label(ref)
		if !o.encrypts() {
			names[i] = append(names[i], digest)
		}
	}
	if s.sealer != nil {
		for i, sealed := range s.sealer.Names(labels...) {
			for _, name := range sealed {
				names[i] = append(names[i], name+sealedSuffix)
			}
		}
	}
	for i, o := range owners {
		if o.encrypts() {
			names[i] = append(names[i], digest)
		}
	}
	return names, nil
}

// Get returns the bytes that ref names. Callers must not change them.
func (s *Store) Get(ctx context.Context, ref Ref) ([]byte, error) {
	if data, ok := s.all.cache.Get(s.label(ref)); ok {
		return data, nil
	}
	if err := errors.Join(s.invalid, ctx.Err()); err != nil {
		return nil, err
	}
	data, err := s.read(ctx, ref)
	if err == nil {
		s.remember(ref, data)
	}
	return data, err
}

// Remove removes a value of a file, whose names nobody else has: each was sealed once.
func (s *Store) Remove(ctx context.Context, ref Ref) error {
	if err := errors.Join(s.invalid, ctx.Err()); err != nil {
		return err
	}
	name, err := ref.digest()
	if err != nil {
		return err
	}
	return s.all.backend.remove(ctx, s.dir+name)
}

func (s *Store) read(ctx context.Context, ref Ref) ([]byte, error) {
	names, err := s.all.names(ref, s)
	if err != nil {
		return nil, err
	}
	for _, name := range names[0] {
		kept, err := s.all.backend.get(ctx, s.dir+name, MaxBytes+sealedOverhead)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return s.open(ref, name, kept)
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, ref)
}

// sealedOverhead is how much longer a value may be for being encrypted.
const sealedOverhead = 1 << 10

// open returns what was put, from what is kept under one of its names.
func (s *Store) open(ref Ref, name string, kept []byte) ([]byte, error) {
	data := kept
	if strings.HasSuffix(name, sealedSuffix) {
		var err error
		if data, err = s.all.sealer.Open(kept, binding(ref)); err != nil {
			return nil, fmt.Errorf("%w: %s cannot be decrypted: it was altered, or its key was disabled: %w", ErrCorrupt, ref, err)
		}
	}
	if RefOf(data) != ref {
		return nil, fmt.Errorf("%w: what is kept as %s has another content", ErrCorrupt, ref)
	}
	return data, nil
}

// Copy takes over a value of another owner. It fails with [ErrNotFound] if that one does not have it.
func (s *Store) Copy(ctx context.Context, from *Store, ref Ref) error {
	if s.dir == from.dir {
		return nil
	}
	if err := errors.Join(s.invalid, from.invalid, ctx.Err()); err != nil {
		return err
	}
	names, err := s.all.names(ref, from, s)
	if err != nil {
		return err
	}
	err = s.all.backend.copy(ctx, from.dir+names[0][0], s.dir+names[1][0])
	if errors.Is(err, ErrNotFound) {
		return s.rewrite(ctx, from, ref)
	}
	if err != nil {
		return err
	}
	if data, ok := s.all.cache.Get(from.label(ref)); ok {
		s.all.cache.Add(s.label(ref), data)
	}
	return nil
}

// rewrite is Copy for a value that is not kept as it would be now: the copy is, so that values which are copied again and again do not
// need the key for ever with which they were encrypted first.
func (s *Store) rewrite(ctx context.Context, from *Store, ref Ref) error {
	data, err := from.read(ctx, ref)
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, data)
	return err
}
