package secret

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

func newKeyset(t *testing.T) *Keyset {
	t.Helper()
	data, err := GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	k, err := ReadKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keysOf(t *testing.T, k *Keyset) []Key {
	t.Helper()
	keys, err := k.Keys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// encoded is the keyset as a process gets it.
func encoded(t *testing.T, k *Keyset) *Sealer {
	t.Helper()
	data, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := ParseKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// In two phases no process meets a key that it does not know, whichever of two keysets that follow each other it has.
func TestRotationInTwoPhases(t *testing.T) {
	t.Parallel()
	k := newKeyset(t)
	first := keysOf(t, k)[0].ID
	one := encoded(t, k)
	second, err := k.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	two := encoded(t, k)
	if _, err := k.Prepare(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(second)) {
		t.Errorf("a second key was prepared: %v", err)
	}
	primary, replaced, err := k.Promote()
	if err != nil || primary != second || replaced != first {
		t.Errorf("Promote = %d, %d, %v, want %d and %d", primary, replaced, err, second, first)
	}
	three := encoded(t, k)
	if _, _, err := k.Promote(); err == nil {
		t.Error("promoted, although no key is prepared")
	}
	for name, pair := range map[string][2]*Sealer{
		"one by two": {one, two}, "two by one": {two, one}, "two by three": {two, three}, "three by two": {three, two},
	} {
		requireOpens(t, "what is sealed by "+name, pair[1], seal(t, pair[0]))
	}
	want := []Key{{ID: first, Enabled: true}, {ID: second, Enabled: true, Primary: true}}
	if diff := cmp.Diff(want, keysOf(t, k)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestEndOfAKey(t *testing.T) {
	t.Parallel()
	k := newKeyset(t)
	first := keysOf(t, k)[0].ID
	old := seal(t, encoded(t, k))
	for name, change := range map[string]func(uint32) error{"disabled": k.Disable, "dropped": k.Drop} {
		if err := change(first); err == nil || !strings.Contains(err.Error(), "primary") {
			t.Errorf("the primary key was %s: %v", name, err)
		}
	}
	if _, err := k.Prepare(); err != nil {
		t.Fatal(err)
	}
	second, _, err := k.Promote()
	if err != nil {
		t.Fatal(err)
	}
	requireOpens(t, "before", encoded(t, k), old)
	if err := k.Drop(first); err == nil || !strings.Contains(err.Error(), "disable it first") {
		t.Errorf("a key in use was dropped: %v", err)
	}
	if err := k.Disable(first); err != nil {
		t.Fatal(err)
	}
	var missing *UnknownKeyError
	if _, err := encoded(t, k).Open(old, binding); !errors.As(err, &missing) {
		t.Errorf("a disabled key opens: %v", err)
	}
	if err := k.Enable(first); err != nil {
		t.Fatal(err)
	}
	requireOpens(t, "enabled again", encoded(t, k), old)
	if err := errors.Join(k.Disable(first), k.Drop(first)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Key{{ID: second, Enabled: true, Primary: true}}, keysOf(t, k)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	for _, change := range []func(uint32) error{k.Disable, k.Enable, k.Drop} {
		if err := change(first); err == nil || !strings.Contains(err.Error(), "has no key") {
			t.Errorf("a key that is gone was changed: %v", err)
		}
	}
}

// A value that does not say which key opens it could not outlive a rotation.
func TestKeysWithoutPrefixAreRefused(t *testing.T) {
	t.Parallel()
	handle, err := keyset.NewHandle(aead.AES256GCMNoPrefixKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	data, err := marshalKeyset(handle)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKeyset(data); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("error %v, want one about the prefix", err)
	}
}

// A keyset of an earlier version has another kind of key.
func TestOldKeysetIsRotated(t *testing.T) {
	t.Parallel()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	data, err := marshalKeyset(handle)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ReadKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	old := seal(t, encoded(t, k))
	if _, err := k.Prepare(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Promote(); err != nil {
		t.Fatal(err)
	}
	requireOpens(t, "the old kind", encoded(t, k), old)
	requireOpens(t, "the new kind", encoded(t, k), seal(t, encoded(t, k)))
}

func TestConcurrentRotations(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	first := seal(t, openFile(t, path, &log{}))
	const rotations = 12
	made := make([]uint32, rotations)
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() { made[i], _ = rotate(t, path) })
	}
	group.Wait()
	k, times, err := ReadKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t, k)
	if len(keys) != 1+rotations {
		t.Errorf("%d keys, want %d", len(keys), 1+rotations)
	}
	for _, id := range made {
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.ID == id && k.Enabled }) {
			t.Errorf("key %d is lost", id)
		}
		if times[id].Made.IsZero() || times[id].Made.After(time.Now()) {
			t.Errorf("key %d was made at %v", id, times[id].Made)
		}
	}
	if !keys[rotations].Primary || times[keys[0].ID].Replaced.IsZero() || !times[keys[rotations].ID].Replaced.IsZero() {
		t.Errorf("keys %v with times %v", keys, times)
	}
	requireOpens(t, "the first key's", openFile(t, path, &log{}), first)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if name := e.Name(); name != "keyset.json" && name != "keyset.json.log" || info.Mode().Perm() != 0o600 {
			t.Errorf("there is a file %s with mode %04o", name, info.Mode().Perm())
		}
	}
}

func TestChangeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	err = ChangeKeysetFile(path, func(k *Keyset) error {
		_, err := k.Prepare()
		return errors.Join(err, failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	requireOnly(t, path)
	if err := ChangeKeysetFile(filepath.Join(t.TempDir(), "none.json"), func(*Keyset) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A mounted volume often shows the keyset by a link.
func TestChangeThroughALink(t *testing.T) {
	t.Parallel()
	path := newKeysetFile(t)
	link := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	primary, _ := rotate(t, link)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	k, times, err := ReadKeysetFile(link)
	if err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, k); keys[1].ID != primary || times[primary].Made.IsZero() {
		t.Errorf("keys %v with times %v", keys, times)
	}
}

// An administrator who rotates must not take the file from the processes that use it.
func TestChangeKeepsTheOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := newKeysetFile(t)
	if err := os.Chown(path, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	rotate(t, path)
	for _, name := range []string{path, path + ".log"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 12345 || s.Gid != 54321 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s belongs to %d:%d with mode %04o", name, s.Uid, s.Gid, info.Mode().Perm())
		}
	}
}

func TestWriteNewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.json")
	k := newKeyset(t)
	if err := k.WriteNewFile(path); err != nil {
		t.Fatal(err)
	}
	requireOpens(t, "the written keyset", openFile(t, path, &log{}), seal(t, encoded(t, k)))
	if err := newKeyset(t).WriteNewFile(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file was replaced: %v", err)
	}
}
