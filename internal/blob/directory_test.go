package blob_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"perdure/internal/blob"
)

func TestOpenDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "er")
	p := place{options: blob.Options{Dir: dir}}
	put(t, p.open(t).For("resp_1"), "private")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v; only its owner may see it", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checkHolds(t, p.open(t).For("resp_1"), "private")
	if _, err := blob.Open(blob.Options{Dir: filepath.Join(dir, files(t, dir)[0])}); err == nil {
		t.Error("a file was opened as a store")
	}
}

// The second name of a file costs no room, and what is written once is not written again.
func TestCopyIsALink(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	s := p.open(t)
	ref := put(t, s.For("resp_1"), "same")
	stat := func(owner string) fs.FileInfo {
		info, err := os.Stat(filepath.Join(p.options.Dir, p.of(t, owner)[0]))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := stat("resp_1")
	put(t, p.open(t).For("resp_1"), "same")
	if !os.SameFile(before, stat("resp_1")) {
		t.Error("the file was written again")
	}
	if err := s.For("resp_2").Copy(t.Context(), s.For("resp_1"), ref); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, stat("resp_2")) {
		t.Error("the copy is another file")
	}
}

// A file that is larger than any value was not written by a store, and is not read.
func TestHugeFile(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	put(t, p.open(t).For("resp_1"), "x")
	if err := os.Truncate(filepath.Join(p.options.Dir, p.only(t)), 1<<40); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	checkError(t, p.open(t).For("resp_1"), "x", blob.ErrCorrupt)
}

// A writer that crashes leaves a part of its file where no reader looks, and only until it is surely dead.
func TestLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.open(t)
	old, fresh := filepath.Join(p.options.Dir, "tmp", "old"), filepath.Join(p.options.Dir, "tmp", "fresh")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, []byte("a val"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	makeOlder(t, old, 25*time.Hour)
	s := p.open(t).For("resp_1")
	checkMissing(t, s, "a value")
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old leftover is still there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the file of a writer that may be alive is gone: %v", err)
	}
	put(t, s, "a value")
	checkHolds(t, p.open(t).For("resp_1"), "a value")
}

func makeOlder(t *testing.T, path string, age time.Duration) {
	t.Helper()
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	s := p.open(t, cached).For("resp_1")
	put(t, s, "x")
	name := filepath.Join(filepath.Dir(p.only(t)), digestOf("nowhere to go"))
	// A directory in the place of the file: the value can be written, but not given its name.
	if err := os.MkdirAll(filepath.Join(p.options.Dir, name, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), []byte("nowhere to go")); !errors.Is(err, blob.ErrUnavailable) {
		t.Fatalf("Put: %v", err)
	}
	p.only(t)
	if _, err := s.Get(t.Context(), blob.RefOf([]byte("nowhere to go"))); err == nil {
		t.Error("what could not be put can be got")
	}
}

// Owners come and go without leaving directories behind, and a writer does not mind.
func TestDirectoriesOfOwners(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	s := p.open(t)
	put(t, s.For("resp_1"), "x")
	dir := filepath.Join(p.options.Dir, filepath.Dir(p.only(t)))
	if err := s.Remove(t.Context(), "resp_1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the owner's directory: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if err := s.Remove(t.Context(), "resp_1"); err != nil {
				t.Errorf("Remove: %v", err)
			}
		}
	}()
	for range 200 {
		if _, err := s.For("resp_1").Put(t.Context(), []byte("x")); err != nil {
			t.Errorf("Put: %v", err)
		}
	}
	<-done
}
