package secret

import (
	"bytes"
	"errors"
	"testing"
)

func TestReseal(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	sealer := openFile(t, path, &log{})
	old := seal(t, sealer)
	if sealer.NeedsReseal(old) {
		t.Error("what the primary key sealed needs to be sealed again")
	}
	if same, err := sealer.Reseal(old, binding); err != nil || !bytes.Equal(same, old) {
		t.Errorf("it was sealed again: %v", err)
	}
	primary, replaced := rotate(t, path)
	due(sealer)
	if got := sealer.PrimaryKey(); got != primary {
		t.Errorf("the primary key is %d, want %d", got, primary)
	}
	if id, ok := old.Key(); !ok || id != replaced {
		t.Errorf("the value names the key %d, want %d", id, replaced)
	}
	if !sealer.NeedsReseal(old) {
		t.Fatal("what the old key sealed does not need to be sealed again")
	}
	if _, err := sealer.Reseal(old, Binding{Purpose: "another"}); !errors.Is(err, ErrOpen) {
		t.Errorf("under another binding: error %v, want ErrOpen", err)
	}
	fresh, err := sealer.Reseal(old, binding)
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := fresh.Key(); id != primary || sealer.NeedsReseal(fresh) {
		t.Errorf("it is sealed with key %d, want %d", id, primary)
	}

	// The point of it: the old key can go.
	if err := ChangeKeysetFile(path, func(k *Keyset) error { return errors.Join(k.Disable(replaced), k.Drop(replaced)) }); err != nil {
		t.Fatal(err)
	}
	due(sealer)
	requireOpens(t, "sealed again", sealer, fresh)
	if _, err := sealer.Reseal(old, binding); !errors.Is(err, ErrOpen) {
		t.Errorf("without the old key: error %v, want ErrOpen", err)
	}
	if sealer.NeedsReseal(old) {
		t.Error("what nobody can open needs to be sealed again")
	}
}

// A process that meets a value of a key which it does not know yet learns of it, and takes none back to the older key.
func TestResealAgainstTheTide(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	behind := openFile(t, path, &log{})
	rotate(t, path)
	newer := seal(t, openFile(t, path, &log{}))
	if behind.NeedsReseal(newer) {
		t.Error("a process that is behind wants to seal a value of the new key again")
	}

	// In two phases, the new key is known here and is the primary one elsewhere.
	path = newKeysetFile(t)
	keys, _, err := ReadKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Prepare(); err != nil {
		t.Fatal(err)
	}
	prepared := sealerOf(t, keys)
	if _, _, err := keys.Promote(); err != nil {
		t.Fatal(err)
	}
	promoted := seal(t, sealerOf(t, keys))
	if prepared.NeedsReseal(promoted) {
		t.Error("a process with the prepared key wants to seal a value of it with the older key")
	}
	if same, err := prepared.Reseal(promoted, binding); err != nil || !bytes.Equal(same, promoted) {
		t.Errorf("it did: %v", err)
	}
}

func TestResealOfGarbage(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	for _, garbage := range []Sealed{nil, {}, {1, 2, 3}, bytes.Repeat([]byte{1}, 40)} {
		if sealer.NeedsReseal(garbage) {
			t.Errorf("%v needs to be sealed again", garbage)
		}
		if _, err := sealer.Reseal(garbage, binding); !errors.Is(err, ErrOpen) {
			t.Errorf("%v: error %v, want ErrOpen", garbage, err)
		}
	}
}

func sealerOf(t *testing.T, k *Keyset) *Sealer {
	t.Helper()
	data, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
