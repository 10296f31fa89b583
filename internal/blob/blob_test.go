package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/blob"
)

func open(t *testing.T, dir string, cacheBytes int) *blob.Store {
	t.Helper()
	s, err := blob.Open(dir, cacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *blob.Store, data []byte) blob.Ref {
	t.Helper()
	ref, err := s.Put(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// files returns the paths of all files below dir, relative to it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func fileOf(dir string, ref blob.Ref) string {
	digest := strings.TrimPrefix(string(ref), "sha256-")
	return filepath.Join(dir, digest[:2], digest)
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 0)
	for _, data := range [][]byte{{}, []byte("x"), []byte("a\x00b\xff"), bytes.Repeat([]byte("long "), 1<<20)} {
		ref := put(t, s, data)
		if ref != blob.RefOf(data) || len(ref) != 71 {
			t.Errorf("reference of %d bytes is %q", len(data), ref)
		}
		// Another process reads what this one wrote.
		for _, reader := range []*blob.Store{s, open(t, dir, 1<<20)} {
			got, err := reader.Get(t.Context(), ref)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(data))
			}
		}
	}
	if got, want := string(blob.RefOf([]byte("x"))), "sha256-2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"; got != want {
		t.Errorf("reference is %s, want %s: histories hold these, so they never change", got, want)
	}
}

func TestPutKeepsOneCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	ref := put(t, s, []byte("same"))
	before, err := os.Stat(fileOf(dir, ref))
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []*blob.Store{s, open(t, dir, 0)} {
		if got := put(t, again, []byte("same")); got != ref {
			t.Errorf("reference is %s, want %s", got, ref)
		}
	}
	after, err := os.Stat(fileOf(dir, ref))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file was written again")
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files are %v, want one", got)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "er")
	s := open(t, dir, 0)
	ref := put(t, s, []byte("private"))
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
	if got, err := open(t, dir, 0).Get(t.Context(), ref); err != nil || string(got) != "private" {
		t.Errorf("opened again: %q, %v", got, err)
	}
	if _, err := blob.Open(fileOf(dir, ref), 0); err == nil {
		t.Error("a file was opened as a store")
	}
}

func TestBadReferences(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, filepath.Join(root, "store"), 1<<20)
	if err := os.WriteFile(filepath.Join(root, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := string(blob.RefOf([]byte("x")))
	for _, ref := range []string{
		"", "sha256-", "x", "../secret", "sha256-../secret", strings.TrimPrefix(good, "sha256-"), "sha512-" + good[7:], good + "0", good[:70],
		"sha256-" + strings.ToUpper(good[7:]), "sha256-" + "../../secret" + good[19:], "sha256-" + strings.Repeat("/", 64),
		"sha256-" + strings.Repeat("a", 63) + "\x00", "sha256-" + strings.Repeat("a", 32) + "/" + strings.Repeat("a", 31), strings.Repeat("x", 1<<20),
	} {
		_, err := s.Get(t.Context(), blob.Ref(ref))
		if !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("Get(%.100q) failed with %.200v, want ErrCorrupt", ref, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("Get(%.100q): error of %d bytes", ref, len(err.Error()))
		}
	}
	if _, err := s.Get(t.Context(), blob.Ref(good)); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a value that nobody put: %v, want ErrNotFound", err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 0)
	if _, err := s.Put(t.Context(), make([]byte, blob.MaxBytes+1)); !errors.Is(err, blob.ErrTooLarge) {
		t.Errorf("Put: %v, want ErrTooLarge", err)
	}
	// A file that is larger than any value was not written by a store, and is not read.
	ref := blob.RefOf([]byte("x"))
	if err := os.WriteFile(fileOf(dir, ref), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(fileOf(dir, ref), 1<<40); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if _, err := s.Get(t.Context(), ref); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Get: %v, want ErrCorrupt", err)
	}
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	data := []byte("what was written")
	for name, damage := range map[string][]byte{
		"cut": data[:5], "empty": {}, "longer": append(data[:len(data):len(data)], '!'), "changed": []byte("what was writtem"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ref := put(t, open(t, dir, 0), data)
			if err := os.WriteFile(fileOf(dir, ref), damage, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir, 1<<20)
			for range 2 {
				if _, err := s.Get(t.Context(), ref); !errors.Is(err, blob.ErrCorrupt) {
					t.Errorf("Get: %v, want ErrCorrupt", err)
				}
			}
			put(t, s, data)
			if got, err := open(t, dir, 0).Get(t.Context(), ref); err != nil || !bytes.Equal(got, data) {
				t.Errorf("after another Put: %q, %v", got, err)
			}
		})
	}
}

// A writer that crashes leaves a part of its file where no reader looks, and only until it is surely dead.
func TestLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := []byte("a value that was being written")
	ref := blob.RefOf(data)
	open(t, dir, 0)
	old, fresh := filepath.Join(dir, "tmp", "old"), filepath.Join(dir, "tmp", "fresh")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, data[:10], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	if _, err := s.Get(t.Context(), ref); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old leftover is still there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the file of a writer that may be alive is gone: %v", err)
	}
	put(t, s, data)
	if got, err := s.Get(t.Context(), ref); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Get: %q, %v", got, err)
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	data := []byte("nowhere to go")
	ref := blob.RefOf(data)
	// A directory in the place of the file: the value can be written, but not given its name.
	if err := os.MkdirAll(filepath.Join(fileOf(dir, ref), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), data); err == nil {
		t.Fatal("Put succeeded")
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("files are left: %v", got)
	}
	if _, err := s.Get(t.Context(), ref); err == nil {
		t.Error("what could not be put can be got")
	}
}

func TestManyWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	values := [][]byte{[]byte("one"), []byte("two"), bytes.Repeat([]byte("three"), 100_000)}
	stores := []*blob.Store{open(t, dir, 0), open(t, dir, 1<<20)}
	var wg sync.WaitGroup
	for range 8 {
		for _, s := range stores {
			for _, data := range values {
				wg.Go(func() {
					ref, err := s.Put(t.Context(), data)
					if err != nil {
						t.Errorf("Put: %v", err)
						return
					}
					if got, err := s.Get(t.Context(), ref); err != nil || !bytes.Equal(got, data) {
						t.Errorf("Get: %d bytes, %v", len(got), err)
					}
				})
			}
		}
	}
	wg.Wait()
	if got := files(t, dir); len(got) != len(values) {
		t.Errorf("files are %v, want %d", got, len(values))
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ref := put(t, open(t, dir, 0), []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := open(t, dir, 0)
	if _, err := s.Get(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Put(ctx, []byte("y")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files are %v, want one", got)
	}
}
