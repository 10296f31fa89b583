package blob_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perdure/internal/blob"
	"perdure/internal/secret"
)

const canary = "what nobody may read: canary-5d20"

// Neither what is kept nor its name tells anything, not even to somebody who guesses the content, or that two owners have the same.
func TestEncryption(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		sealer := newSealer(t)
		s := p.open(t, encrypted(sealer))
		put(t, s.For("resp_1"), canary)
		put(t, s.For("resp_2"), canary)
		var last []string
		for _, name := range p.names(t) {
			if strings.Contains(name, digestOf(canary)) || bytes.Contains(p.read(t, name), []byte("canary")) {
				t.Errorf("%s tells what it is: %q", name, p.read(t, name))
			}
			last = append(last, filepath.Base(name))
		}
		if len(last) != 2 || last[0] == last[1] {
			t.Errorf("the names are %v", last)
		}
		checkHolds(t, p.open(t, encrypted(sealer)).For("resp_1"), canary)
		for name, other := range map[string]*blob.Stores{"no keys": p.open(t), "other keys": p.open(t, encrypted(newSealer(t)))} {
			if got, err := other.For("resp_1").Get(t.Context(), blob.RefOf([]byte(canary))); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
	})
	if _, err := blob.Open(blob.Options{Dir: t.TempDir(), Encrypt: true}); err == nil {
		t.Error("encryption was switched on without keys")
	}
}

// The switch can be moved at any time: what was written before stays readable, and can be copied and removed.
func TestEncryptionIsSwitched(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		sealer := newSealer(t)
		on, off := encrypted(sealer), decrypting(sealer)
		put(t, p.open(t, off).For("resp_off"), canary)
		put(t, p.open(t, on).For("resp_on"), canary)
		for i, mode := range []func(*blob.Options){on, off} {
			s := p.open(t, mode)
			for _, owner := range []string{"resp_off", "resp_on"} {
				checkHolds(t, s.For(owner), canary)
				copied := owner + "_copy"
				if err := s.For(copied).Copy(t.Context(), s.For(owner), blob.RefOf([]byte(canary))); err != nil {
					t.Errorf("a copy from %s: %v", owner, err)
				}
				checkHolds(t, p.open(t, on).For(copied), canary)
				for _, name := range p.of(t, copied) {
					if i == 0 && bytes.Contains(p.read(t, name), []byte("canary")) {
						t.Errorf("with encryption, %s is a copy in the clear", name)
					}
				}
				checkHolds(t, p.open(t, off).For(copied), canary)
			}
		}
		s := p.open(t, on)
		for _, owner := range []string{"resp_off", "resp_on", "resp_off_copy", "resp_on_copy"} {
			if err := s.Remove(t.Context(), owner); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.names(t); len(got) != 0 {
			t.Errorf("%v are left", got)
		}
	})
}

func TestEncryptedValueIsAltered(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		sealer := newSealer(t)
		put(t, p.open(t, encrypted(sealer)).For("resp_1"), canary)
		name := p.only(t)
		whole := p.read(t, name)
		altered := bytes.Clone(whole)
		altered[len(altered)-1] ^= 1
		other, err := sealer.Seal([]byte(canary), secret.Binding{Purpose: "something else"})
		if err != nil {
			t.Fatal(err)
		}
		for what, data := range map[string][]byte{"a bit": altered, "its end": whole[:len(whole)-3], "all": nil, "of another purpose": other} {
			p.write(t, name, data)
			if _, err := p.open(t, encrypted(sealer)).For("resp_1").Get(t.Context(), blob.RefOf([]byte(canary))); !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("%s: %v, want ErrCorrupt", what, err)
			}
		}
	})
}

// Values keep being found while keys are rotated, and the new key is used from then on.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		data, err := secret.GenerateKeyset()
		if err != nil {
			t.Fatal(err)
		}
		before := sealerOf(t, data)
		put(t, p.open(t, encrypted(before)).For("resp_1"), canary)
		keys, err := secret.ReadKeyset(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Prepare(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.Promote(); err != nil {
			t.Fatal(err)
		}
		if data, err = keys.Encode(); err != nil {
			t.Fatal(err)
		}
		after := p.open(t, encrypted(sealerOf(t, data)))
		checkHolds(t, after.For("resp_1"), canary)
		if err := after.For("resp_2").Copy(t.Context(), after.For("resp_1"), blob.RefOf([]byte(canary))); err != nil {
			t.Fatal(err)
		}
		checkHolds(t, p.open(t, encrypted(sealerOf(t, data))).For("resp_2"), canary)
		// A chain of copies does not keep the old key needed.
		checkMissing(t, p.open(t, encrypted(before)).For("resp_2"), canary)
		put(t, after.For("resp_3"), canary)
		checkMissing(t, p.open(t, encrypted(before)).For("resp_3"), canary)
	})
}

func sealerOf(t *testing.T, keyset []byte) *secret.Sealer {
	t.Helper()
	s, err := secret.ParseKeyset(keyset)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The largest value fits when it is encrypted, too.
func TestLargestValueEncrypted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := blob.Options{Dir: dir, Sealer: newSealer(t), Encrypt: true}
	s, err := blob.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, blob.MaxBytes)
	ref, err := s.For("resp_1").Put(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.For("resp_1").Get(t.Context(), ref); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	info, err := os.Stat(filepath.Join(dir, files(t, dir)[0]))
	if err != nil || info.Size() > blob.MaxBytes+1024 {
		t.Errorf("the file has %v, %v", info.Size(), err)
	}
}
