package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// tmpDir holds files that are being written, so that all others are whole.
	tmpDir = "tmp"
	// abandoned is the age at which a file that is being written has surely lost its writer.
	abandoned = 24 * time.Hour
)

// directory is the backend of files.
type directory struct {
	root string
	// settled are directories that are there and survive a crash. Those of owners are among them for a while: they are removed only when
	// nobody needs any more what is put there.
	settled sync.Map
	owners  atomic.Int32
}

// maxSettled is how many directories of owners are remembered.
const maxSettled = 10_000

// openDirectory makes the directory if it is missing, and removes what writers that crashed have left.
func openDirectory(root string) (*directory, error) {
	d := &directory{root: root}
	if err := d.settle(filepath.Join(root, tmpDir)); err != nil {
		return nil, err
	}
	return d, removeAbandoned(filepath.Join(root, tmpDir))
}

// settle is os.MkdirAll for a directory that stays, but what it makes survives a crash. So does what another process has just made.
func (d *directory) settle(dir string) error {
	if _, done := d.settled.Load(dir); done {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() || strings.HasPrefix(dir, d.root+string(filepath.Separator)) {
			if err := d.settle(parent); err != nil {
				return err
			}
			if err := makeDir(dir); err != nil {
				return err
			}
		}
	}
	d.settled.Store(dir, true)
	return nil
}

// makeDir makes sure of a directory whose parent is there.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
			return err
		}
	}
	return syncDir(filepath.Dir(dir))
}

func removeAbandoned(dir string) error {
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

func (d *directory) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// away is for an error of the file system, which names the path.
func away(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// put makes data appear whole or not at all. Its content is on disk before it has its name: the reference goes into a history that
// outlives this process and must never dangle.
func (d *directory) put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := d.path(name)
	if holds(path, data) {
		err := d.keep(path, func() error { return touch(path) })
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// It was removed since: then it is written.
	}
	u := &unnamed{dir: filepath.Join(d.root, tmpDir), data: data}
	if err := u.write(); err != nil {
		return away(err)
	}
	return errors.Join(d.keep(path, func() error { return u.name(path) }), u.discard())
}

// unnamed is a file that is being written.
type unnamed struct {
	dir  string
	data []byte
	path string // empty once the file has its name
}

// write has the content on disk.
func (u *unnamed) write() error {
	tmp, err := os.CreateTemp(u.dir, "*")
	if err != nil {
		return err
	}
	u.path = tmp.Name()
	_, err = tmp.Write(u.data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return errors.Join(err, u.discard())
	}
	return nil
}

// name gives the file its name. To do that again writes it anew: it was removed together with its directory.
func (u *unnamed) name(path string) error {
	if u.path == "" {
		if err := u.write(); err != nil {
			return err
		}
	}
	err := os.Rename(u.path, path)
	if err == nil {
		u.path = ""
	}
	return err
}

// discard removes the file if it has no name.
func (u *unnamed) discard() error {
	if u.path == "" {
		return nil
	}
	err := os.Remove(u.path)
	u.path = ""
	return err
}

// attempts is how often an entry is made whose directory a sweep removes at the same time.
const attempts = 5

// keep makes an entry and sees to it that it survives a crash. Even one that was there already may be too new for that, and so may be
// its directory.
func (d *directory) keep(path string, makeEntry func() error) error {
	dir := filepath.Dir(path)
	if err := d.settle(filepath.Dir(dir)); err != nil {
		return away(err)
	}
	for try := 1; ; try++ {
		err := d.settleOwner(dir)
		if err == nil {
			err = makeEntry()
		}
		if err == nil {
			err = syncDir(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) || try == attempts {
			return away(err)
		}
		d.settled.Delete(dir)
	}
}

func (d *directory) settleOwner(dir string) error {
	if _, done := d.settled.Load(dir); done {
		return nil
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	if d.owners.Add(1) > maxSettled {
		d.settled.Clear()
		d.owners.Store(0)
	}
	d.settled.Store(dir, true)
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

// touch makes a file young, so that a sweep leaves it to whoever is about to name it.
func touch(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

func (d *directory) get(ctx context.Context, name string, most int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, away(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, away(err)
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%w: the file %s has %d bytes", ErrCorrupt, name, info.Size())
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, away(err)
	}
	return data, nil
}

// copy gives a file a second name where the file system can do that.
func (d *directory) copy(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	source, target := d.path(from), d.path(to)
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	err := d.keep(target, func() error {
		if err := os.Link(source, target); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return touch(target)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was removed in the meantime
		return ErrNotFound
	case !unlinkable(err):
		return err
	}
	data, err := d.get(ctx, from, MaxBytes+sealedOverhead)
	if err != nil {
		return err
	}
	return d.put(ctx, to, data)
}

// unlinkable reports whether an error says that a file cannot have one more name here.
func unlinkable(err error) bool {
	for _, cause := range []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.ENOSYS, syscall.EOPNOTSUPP} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

func (d *directory) list(ctx context.Context, dir, after string, most int) ([]entry, error) {
	found, err := d.read(ctx, dir, after, false)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, min(len(found), most))
	for _, f := range found {
		if len(entries) == most {
			break
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, away(err)
		}
		entries = append(entries, entry{f.Name(), info.ModTime()})
	}
	return entries, nil
}

func (d *directory) dirs(ctx context.Context, dir, after string, most int) ([]string, error) {
	found, err := d.read(ctx, dir, after, true)
	names := make([]string, min(len(found), most))
	for i, f := range found[:len(names)] {
		names[i] = f.Name()
	}
	return names, err
}

func (d *directory) read(ctx context.Context, dir, after string, directories bool) ([]fs.DirEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := os.ReadDir(d.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, away(err)
	}
	key := func(name string) string {
		if directories {
			return name + "/"
		}
		return name
	}
	found = slices.DeleteFunc(found, func(f fs.DirEntry) bool {
		return f.IsDir() != directories || after != "" && key(f.Name()) <= key(after)
	})
	slices.SortFunc(found, func(a, b fs.DirEntry) int { return strings.Compare(key(a.Name()), key(b.Name())) })
	return found, nil
}

func (d *directory) remove(ctx context.Context, names ...string) error {
	dirs := map[string]bool{}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := d.path(name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return away(err)
		}
		dirs[filepath.Dir(path)] = true
	}
	for dir := range dirs {
		d.settled.Delete(dir)
		// One that is not empty is in use again, or has more in it.
		err := os.Remove(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
			return away(err)
		}
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
