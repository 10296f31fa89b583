package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// tmpDir holds files that are being written, so that all others are whole.
	tmpDir = "tmp"
	// abandoned is the age at which a file that is being written has surely lost its writer.
	abandoned = 24 * time.Hour
)

// prepare makes the directories of a store, and removes what writers that crashed have left.
func prepare(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	names := []string{tmpDir}
	for i := range 256 {
		names = append(names, fmt.Sprintf("%02x", i))
	}
	for _, name := range names {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// Whoever made them, they are on disk before a file in them counts as kept.
	if err := syncDir(dir); err != nil {
		return err
	}
	return sweep(filepath.Join(dir, tmpDir))
}

// makeDir is os.MkdirAll, but the directories that it makes survive a crash.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > abandoned {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
		// Another process may have swept it or finished it.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// holds reports whether the file at path has the given content.
func holds(path string, data []byte) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() != int64(len(data)) {
		return false
	}
	held, err := os.ReadFile(path)
	return err == nil && bytes.Equal(held, data)
}

// write makes data appear at path whole or not at all. Its content is on disk before it has its name: the reference goes into a
// history that outlives this process and must never dangle.
func (s *Store) write(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Join(s.dir, tmpDir), "*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
