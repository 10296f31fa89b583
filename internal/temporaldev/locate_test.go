package temporaldev

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sources makes a tree ROOT/devserver of a program that builds fast, and returns the folder devserver.
func sources(t *testing.T, program string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), sourcesFolder)
	for name, text := range map[string]string{
		"go.mod":       "// The server.\n\nmodule perdure/devserver // nested\n\ngo 1.26\n",
		"go.sum":       "",
		"main.go":      program,
		"main_test.go": "package main\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cacheFolder gives the test a cache directory of its own for binaries; compiled packages stay where they are.
func cacheFolder(t *testing.T) string {
	t.Helper()
	if os.Getenv("GOCACHE") == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("GOCACHE", filepath.Join(cache, "go-build"))
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // macOS
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "perdure")
}

const emptyProgram = "package main\n\nfunc main() {}\n"

func TestLocateFromEnvironment(t *testing.T) {
	t.Setenv(binaryEnv, "/bin/true")
	if got, err := Locate(t.Context(), nil); got != "/bin/true" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir(), "locate.go"} {
		t.Setenv(binaryEnv, bad)
		if _, err := Locate(t.Context(), nil); err == nil || !strings.Contains(err.Error(), binaryEnv) {
			t.Errorf("%s: got %v, want an error that names %s", bad, err, binaryEnv)
		}
	}
}

func TestLocateBuildsFromSourcesAboveWorkingDirectory(t *testing.T) {
	t.Setenv(binaryEnv, "")
	cacheFolder(t)
	dir := sources(t, emptyProgram)
	below := filepath.Join(filepath.Dir(dir), "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	var progress strings.Builder
	got, err := Locate(t.Context(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := cachedName(dir); got != want || err != nil {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
	for _, want := range []string{"Building", dir, "Built"} {
		if !strings.Contains(progress.String(), want) {
			t.Errorf("progress: got %q, want it to contain %q", &progress, want)
		}
	}
}

func TestLocateFindsNothing(t *testing.T) {
	t.Setenv(binaryEnv, "")
	t.Chdir(t.TempDir())
	_, err := Locate(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "make build") || !strings.Contains(err.Error(), "TEMPORAL_ADDRESS") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

func TestFindSources(t *testing.T) {
	t.Parallel()
	dir := sources(t, emptyProgram)
	root := filepath.Dir(dir)
	write(t, filepath.Join(root, "other", sourcesFolder, "go.mod"), "module example.com/devserver\n")
	for _, from := range []string{root, dir, filepath.Join(root, "other"), filepath.Join(root, "no", "such")} {
		if got, err := findSources(from); got != dir || err != nil {
			t.Errorf("from %s: got %q, %v, want %q", from, got, err, dir)
		}
	}

	if err := os.Chmod(root, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if got, err := findSources(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder like /tmp: got %q, %v, want %v", got, err, fs.ErrNotExist)
	}
}

func TestHashSources(t *testing.T) {
	t.Parallel()
	dir := sources(t, emptyProgram)
	hash := func() string {
		t.Helper()
		h, err := hashSources(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	before := hash()
	write(t, filepath.Join(dir, "main_test.go"), "package main // changed\n")
	if hash() != before {
		t.Error("a changed test changes the hash")
	}
	for _, name := range []string{"go.mod", "go.sum", "main.go", "new.go"} {
		write(t, filepath.Join(dir, name), "// changed\n")
		after := hash()
		if after == before {
			t.Errorf("a changed %s does not change the hash", name)
		}
		before = after
	}
}

func TestBuildOnce(t *testing.T) {
	cacheFolder(t)
	dir := sources(t, emptyProgram)
	var mu sync.Mutex
	var built int
	count := writerFunc(func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		built += strings.Count(string(p), "Built")
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			binary, err := build(t.Context(), dir, count)
			if err != nil {
				t.Error(err)
				return
			}
			if err := executable(binary); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if built != 1 {
		t.Errorf("built %d times, want once", built)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestBuildFailure(t *testing.T) {
	cache := cacheFolder(t)
	dir := sources(t, "package main\n\nfunc main() { undefined() }\n")
	_, err := build(t.Context(), dir, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v, want the compiler's complaint", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("left in the cache: got %v (%v), want only a lock", left, err)
	}
}

func TestBuildCancelled(t *testing.T) {
	cacheFolder(t)
	dir := sources(t, emptyProgram)
	binary, err := cachedName(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, binary+".lock", "")
	unlock, err := lock(t.Context(), binary+".lock", &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()

	ctx, cancel := context.WithCancel(t.Context())
	announced := writerFunc(func([]byte) { cancel() })
	if _, err := build(ctx, dir, announced); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestBuildEnv(t *testing.T) {
	t.Parallel()
	got := buildEnv([]string{"HOME=/home/me", "GOFLAGS=-race -modcacherw -mod=vendor -buildvcs=false"})[:2]
	want := []string{"HOME=/home/me", "GOFLAGS=-modcacherw -buildvcs=false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBuildProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newBuildProgress(&out)
	p.line([]byte("go: downloading example.com/a v1.0.0\n"))
	p.report()
	for _, line := range []string{"internal/abi\n", "example.com/a\n", "# example.com/b\n", "b.go:1:2: undefined: x\n"} {
		p.line([]byte(line))
	}
	p.report()
	for _, want := range []string{"downloaded 1 modules, ", "compiled 2 packages, "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want it to contain %q", &out, want)
		}
	}
	if got, want := p.complaints(), "b.go:1:2: undefined: x"; got != want {
		t.Errorf("complaints: got %q, want %q", got, want)
	}
}
