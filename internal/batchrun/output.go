package batchrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"perdure/internal/apiclient"
)

// growing is a local copy of a file that grows on the server. Whoever reads it meanwhile sees whole lines only.
type growing struct {
	path string
	file *os.File // nil until the first line comes
	size int64
	// line, if it is set, hears of each line once it is written.
	line func(text []byte)
	// claim notes on the disk that the file is this batch's, before it is made, or that it is not. A copy whose file is there needs none.
	claim func(ours bool) error
}

// lockOutput opens the output and holds it for this process: two that write the same file would spoil it.
func lockOutput(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another perdure batch run writes %s: wait for it, or stop it", path)
		}
		return nil, err
	}
	return f, nil
}

// absent makes sure that there is no file, whoever may have made it.
func (g *growing) absent() error {
	_, err := os.Lstat(g.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s is there already: remove it, or name another with --errors", g.path)
}

// resume finds out that what is known to be right is there.
func (g *growing) resume(size int64) error {
	if g.file == nil {
		f, err := os.OpenFile(g.path, os.O_RDWR, 0)
		switch {
		case errors.Is(err, os.ErrNotExist) && size == 0:
			return nil
		case err != nil:
			return fmt.Errorf("%w: a part of it was downloaded already. Put it back, or use --restart", err)
		}
		g.file = f
	}
	info, err := g.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < size {
		return fmt.Errorf("%s is shorter than what was downloaded already, so it was changed: put it back, or use --restart", g.path)
	}
	g.size = size
	return nil
}

// cut removes what is behind the part that is known to be right: it was being written when the last run ended.
func (g *growing) cut() error {
	if g.file == nil {
		return nil
	}
	return g.file.Truncate(g.size)
}

// fetch appends what the file on the server has more, and puts it on the disk: whole lines only, unless it is whole itself. What came
// before an error stays.
func (g *growing) fetch(ctx context.Context, client *apiclient.Client, id string, whole bool) error {
	content, err := client.Content(ctx, id, g.size)
	if err != nil {
		return err
	}
	defer content.Close()
	var rest []byte // a line that is not whole
	buffer := make([]byte, 256<<10)
	wrote := false
	for {
		n, err := content.Read(buffer)
		rest = append(rest, buffer[:n]...)
		if end := bytes.LastIndexByte(rest, '\n') + 1; end > 0 {
			if err := g.append(rest[:end]); err != nil {
				return err
			}
			wrote = true
			rest = append(rest[:0:0], rest[end:]...)
		}
		if errors.Is(err, io.EOF) && whole && len(rest) > 0 {
			if err := g.append(rest); err != nil {
				return err
			}
			wrote = true
		}
		if err != nil {
			if wrote {
				if err := g.file.Sync(); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func (g *growing) append(lines []byte) error {
	if g.file == nil {
		if err := g.make(); err != nil {
			return err
		}
	}
	if _, err := g.file.WriteAt(lines, g.size); err != nil {
		return err
	}
	g.size += int64(len(lines))
	if g.line != nil {
		for line := range bytes.Lines(lines) {
			g.line(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	return nil
}

// make makes the file, which nobody else may have made meanwhile.
func (g *growing) make() error {
	if err := g.absent(); err != nil {
		return err
	}
	if err := g.claim(true); err != nil {
		return err
	}
	f, err := os.OpenFile(g.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errors.Join(err, g.claim(false))
	}
	g.file = f
	return syncDir(filepath.Dir(g.path))
}

func (g *growing) close() error {
	if g.file == nil {
		return nil
	}
	return g.file.Close()
}
