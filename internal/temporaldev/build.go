package temporaldev

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const lockPoll = 200 * time.Millisecond

// build compiles the sources into the user's cache directory unless their binary is there already. Processes
// that need the same binary at once build it once.
func build(ctx context.Context, sources string, progress io.Writer) (string, error) {
	binary, err := cachedName(sources)
	if err != nil {
		return "", err
	}
	if executable(binary) == nil {
		return binary, nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", fmt.Errorf("building the Temporal server from %s needs Go: install it, set TEMPORAL_ADDRESS to a running "+
			"Temporal server, or set %s to a perdure-temporal built elsewhere: %w", sources, binaryEnv, err)
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o700); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, binary+".lock", progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if executable(binary) == nil {
		return binary, nil // by the process that held the lock
	}
	if err := compile(ctx, sources, binary, newBuildProgress(progress)); err != nil {
		return "", err
	}
	return binary, nil
}

// cachedName is unique to the sources and the compiler.
func cachedName(sources string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	hash, err := hashSources(sources)
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "perdure", binaryName+"-"+hash), nil
}

func hashSources(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	files = append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(name), len(data))
		h.Write(data)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// compile builds beside the final name and renames, so that a binary under that name is always complete.
func compile(ctx context.Context, sources, binary string, progress *buildProgress) error {
	partial := binary + ".partial" // We hold the lock: nobody else writes it.
	defer os.Remove(partial)

	// The flags of `make build`, so that both fill the same build cache.
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-ldflags=-s -w", "-o", partial, ".")
	cmd.Dir = sources
	cmd.Env = buildEnv(os.Environ())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // lets go remove its temporary files
	cmd.WaitDelay = 5 * time.Second
	out := &lineWriter{emit: progress.line}
	cmd.Stdout, cmd.Stderr = out, out

	stop := progress.start(sources)
	err := cmd.Run()
	out.flush()
	stop(err)
	if ctx.Err() != nil {
		return fmt.Errorf("build the Temporal server: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("build the Temporal server in %s: %w\n%s", sources, err, progress.complaints())
	}
	return os.Rename(partial, binary)
}

// buildEnv is the environment without what would build another program than the sources say: a workspace,
// another platform, the race detector.
func buildEnv(env []string) []string {
	env = slices.Clone(env)
	for i, kv := range env {
		if flags, ok := strings.CutPrefix(kv, "GOFLAGS="); ok {
			kept := slices.DeleteFunc(strings.Fields(flags), func(f string) bool {
				return f == "-race" || f == "-msan" || f == "-asan" || strings.HasPrefix(f, "-mod=")
			})
			env[i] = "GOFLAGS=" + strings.Join(kept, " ")
		}
	}
	return append(env, "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// lock waits for an exclusive lock on the file name, which the kernel releases if we die. The file stays: to
// remove it would let two processes lock two files of one name.
func lock(ctx context.Context, name string, progress io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for announced := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
		if !announced {
			announced = true
			fmt.Fprintln(progress, "Waiting for another process that is building the Temporal development server.")
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for another process's build: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
