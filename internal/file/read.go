package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// ErrCorrupt means that a part cannot be read: it was altered or removed, or its key was disabled. Where it is a [secret.UnknownKeyError] or
// a [blob.ErrNotFound], too, that may pass: this machine may yet get the newest keyset, or the newest files of a file system.
var ErrCorrupt = errors.New("file: the content is damaged")

// Get returns a file of an organization. store.ErrNotFound: there is none, or it has expired.
func (s *Service) Get(ctx context.Context, organization, id string) (File, error) {
	if !IsID(id) {
		return File{}, store.ErrNotFound
	}
	return s.Store.File(ctx, organization, id)
}

// List returns an organization's files, and whether there are more.
func (s *Service) List(ctx context.Context, organization string, f store.FileFilter) (files []File, more bool, err error) {
	return s.Store.Files(ctx, organization, f)
}

// Delete deletes a file of the actor's organization. A [store.HeldError] says that something needs it.
func (s *Service) Delete(ctx context.Context, by identity.Actor, id string) error {
	if !IsID(id) {
		return store.ErrNotFound
	}
	if err := s.Store.DeleteFile(ctx, by, id); err != nil {
		return err
	}
	s.removeBlobs(context.WithoutCancel(ctx), id)
	return nil
}

// part reads one part.
func (s *Service) part(ctx context.Context, id string, p store.FilePart) ([]byte, error) {
	if p.Ref == "" {
		return nil, nil
	}
	sealed, err := s.Blobs.ForFile(id).Get(ctx, blob.Ref(p.Ref))
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) {
		return nil, fmt.Errorf("%w: part %d of %s: %w", ErrCorrupt, p.Number, id, err)
	}
	if err != nil {
		return nil, err
	}
	data, err := s.Sealer.Open(sealed, binding(id, p.Number))
	switch {
	case errors.Is(err, secret.ErrOpen):
		return nil, fmt.Errorf("%w: part %d of %s cannot be decrypted: it was altered, or its key was disabled: %w", ErrCorrupt, p.Number, id, err)
	case err == nil && int64(len(data)) != p.Bytes:
		return nil, fmt.Errorf("%w: part %d of %s has %d bytes instead of %d", ErrCorrupt, p.Number, id, len(data), p.Bytes)
	}
	return data, err
}

// openedPart is part for what will be asked for again soon: it stays in memory. Callers must not change it.
func (s *Service) openedPart(ctx context.Context, id string, p store.FilePart) ([]byte, error) {
	name := fmt.Sprintf("%s/%d/%s", id, p.Number, p.Ref)
	if data, ok := s.opened.Get(name); ok {
		return data, nil
	}
	read := s.opening.DoChan(name, func() (any, error) {
		// It is for others, too, who need not give up with the first.
		data, err := s.part(context.WithoutCancel(ctx), id, p)
		if err == nil {
			s.opened.Add(name, data)
		}
		return data, err
	})
	select {
	case r := <-read:
		data, _ := r.Val.([]byte)
		return data, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Line is a line of a file.
type Line struct {
	Number int    // from 1, without the blank ones
	Row    int    // from 1, with them, as an editor numbers it
	Text   []byte // without its line break
}

// maxLinesBytes is how many bytes Lines returns, unless the first line alone has more.
const maxLinesBytes = 16 << 20

// Lines returns up to n lines of a file, from a number on, in their order. Of long lines it returns fewer, one at least, so that the memory
// is bounded by 16 MiB or a line, and a part: whoever wants more asks again. None means that the file has no more, so far.
func (s *Service) Lines(ctx context.Context, organization, id string, from, n int) ([]Line, error) {
	if from < 1 || n < 1 {
		return nil, fmt.Errorf("file: lines are numbered from 1: there are no %d from %d on", n, from)
	}
	if _, err := s.Get(ctx, organization, id); err != nil {
		return nil, err
	}
	var lines []Line
	total := 0
	for next, until := from, from+n; next < until; {
		parts, err := s.Store.FilePartsOfLines(ctx, id, next, until, partsAtOnce)
		if err != nil || len(parts) == 0 {
			return lines, err
		}
		for _, p := range parts {
			data, err := s.openedPart(ctx, id, p)
			if err != nil {
				return nil, err
			}
			for line := range eachLine(data, p) {
				if line.Number < next || line.Number >= until {
					continue
				}
				if total += len(line.Text); total > maxLinesBytes && len(lines) > 0 {
					return lines, nil
				}
				// A copy, so that a few lines do not keep all of their part.
				line.Text = bytes.Clone(line.Text)
				lines = append(lines, line)
			}
			next = p.FirstLine + p.Lines
		}
	}
	return lines, nil
}

// partsAtOnce is how many parts are looked up at a time.
const partsAtOnce = 100

// eachLine yields the lines of a part that are not blank.
func eachLine(data []byte, p store.FilePart) func(func(Line) bool) {
	return func(yield func(Line) bool) {
		number, row := p.FirstLine, p.FirstRow
		for text := range bytes.Lines(data) {
			if !isBlank(text) {
				if !yield(Line{number, row, bytes.TrimRight(text, "\r\n")}) {
					return
				}
				number++
			}
			row++
		}
	}
}

// Content is what a file had when it was opened, from some byte on. It is not safe for concurrent use.
type Content struct {
	File    File
	service *Service
	ctx     context.Context // of the one request that reads
	at      int64
	// data is what follows at, as far as it was read already; parts are looked up.
	data  []byte
	parts []store.FilePart
}

// Content opens a file. That its first bytes can be read is certain then. The memory is that of one part.
func (s *Service) Content(ctx context.Context, organization, id string, offset int64) (*Content, error) {
	f, err := s.Get(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	c := &Content{File: f, service: s, ctx: ctx}
	if _, err := c.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	if err := c.fill(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return c, nil
}

// Read implements [io.Reader].
func (c *Content) Read(p []byte) (int, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := copy(p, c.data)
	c.data, c.at = c.data[n:], c.at+int64(n)
	return n, nil
}

// Seek implements [io.Seeker].
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.File.Bytes
	}
	if offset < 0 {
		return 0, errors.New("file: there is nothing before the beginning")
	}
	if offset != c.at {
		c.at, c.data, c.parts = offset, nil, nil
	}
	return offset, nil
}

// fill sees to it that there is data, or returns io.EOF.
func (c *Content) fill() error {
	if len(c.data) > 0 {
		return nil
	}
	c.data = nil // before the next part is there
	if c.at >= c.File.Bytes {
		return io.EOF
	}
	if len(c.parts) == 0 {
		parts, err := c.service.Store.FilePartsOfBytes(c.ctx, c.File.ID, c.at, partsAtOnce)
		if err != nil {
			return err
		}
		if len(parts) == 0 {
			return fmt.Errorf("%w: %s has lost its part at byte %d", ErrCorrupt, c.File.ID, c.at)
		}
		c.parts = parts
	}
	p := c.parts[0]
	data, err := c.service.part(c.ctx, c.File.ID, p)
	if err != nil {
		return err
	}
	c.parts = c.parts[1:]
	// What came after the file was opened is not part of what it had.
	end := min(p.FirstByte+p.Bytes, c.File.Bytes)
	c.data = data[c.at-p.FirstByte : end-p.FirstByte]
	return nil
}
