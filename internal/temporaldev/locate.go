package temporaldev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	binaryName    = "perdure-temporal"
	binaryEnv     = "PERDURE_TEMPORAL_BINARY"
	sourcesFolder = "devserver"
	sourcesModule = "perdure/devserver"
)

// Locate returns the path of perdure-temporal: the one named by PERDURE_TEMPORAL_BINARY, else the one beside our
// own executable, else one built from the sources in devserver/, which are sought upwards from the executable
// and from the working directory. A build takes minutes the first time; it is announced on progress, and kept
// in the user's cache directory until the sources change.
func Locate(ctx context.Context, progress io.Writer) (binary string, err error) {
	if binary := os.Getenv(binaryEnv); binary != "" {
		if err := executable(binary); err != nil {
			return "", fmt.Errorf("%s: %w", binaryEnv, err)
		}
		return binary, nil
	}

	var roots []string
	if self, err := os.Executable(); err == nil {
		if target, err := filepath.EvalSymlinks(self); err == nil {
			self = target
		}
		dir := filepath.Dir(self)
		if binary := filepath.Join(dir, binaryName); executable(binary) == nil {
			return binary, nil
		}
		roots = append(roots, dir)
	}
	if dir, err := os.Getwd(); err == nil {
		roots = append(roots, dir)
	}

	for _, root := range roots {
		sources, err := findSources(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if progress == nil {
			progress = io.Discard
		}
		return build(ctx, sources, progress)
	}
	return "", fmt.Errorf("found neither %s beside this program nor its sources to build it from: "+
		"set TEMPORAL_ADDRESS to a running Temporal server, or run `make build` in Perdure's sources "+
		"and set %s to the bin/%s that it makes", binaryName, binaryEnv, binaryName)
}

func executable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return &fs.PathError{Op: "run", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

// findSources looks for the sources of perdure-temporal in dir and its parents. Its error is fs.ErrNotExist
// when there are none.
func findSources(dir string) (string, error) {
	for {
		sources := filepath.Join(dir, sourcesFolder)
		ok, err := isSources(sources)
		if err != nil {
			return "", err
		}
		if ok && !anyoneMayAdd(dir) {
			return sources, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fs.ErrNotExist
		}
		dir = parent
	}
}

// anyoneMayAdd reports whether dir is like /tmp: what lies there may be a stranger's program.
func anyoneMayAdd(dir string) bool {
	info, err := os.Stat(dir)
	return err != nil || info.Mode()&fs.ModeSticky != 0 && info.Mode().Perm()&0o002 != 0
}

func isSources(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false, nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) >= 2 && f[0] == "module" {
			return f[1] == sourcesModule, nil
		}
	}
	return false, lines.Err()
}
