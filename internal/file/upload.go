package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"perdure/internal/identity"
	"perdure/internal/store"
)

const (
	// partBytes is the size from which on a part takes no further line. So a part is that long and one line more.
	partBytes = 512 << 10
	// maxFilename is how many bytes a name may have.
	maxFilename = 255
	// shortestLife and longestLife are OpenAI's bounds of expires_after.
	shortestLife = time.Hour
	longestLife  = 30 * 24 * time.Hour
	// cleanupTimeout bounds the removal of what a failed upload has left. What it leaves is the sweep's.
	cleanupTimeout = 10 * time.Second
)

// Draft is what a client says of a file.
type Draft struct {
	Filename string
	Purpose  string
	// ExpiresAfter is how long the file lives; 0 is for as long as the service says.
	ExpiresAfter time.Duration
}

// Check says what is wrong with a draft, as a [Field].
func (d Draft) Check() error {
	if d.Purpose != PurposeBatch {
		return &Field{"purpose", `must be "` + PurposeBatch + `": other files have no use here`}
	}
	if d.ExpiresAfter != 0 && (d.ExpiresAfter < shortestLife || d.ExpiresAfter > longestLife) {
		return &Field{"expires_after[seconds]", fmt.Sprintf("must be between %.0f and %.0f", shortestLife.Seconds(), longestLife.Seconds())}
	}
	if err := checkFilename(d.Filename); err != nil {
		return err
	}
	return nil
}

func checkFilename(name string) error {
	if name == "" || len(name) > maxFilename || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return &Field{"file", fmt.Sprintf("must have a name of 1 to %d bytes, without control characters", maxFilename)}
	}
	return nil
}

// Upload is content on its way.
type Upload struct {
	From io.Reader
	// Draft is asked when all has been read, since a form may say it behind the content.
	Draft func() (Draft, error)
	// Memory hears of the bytes that the upload needs, whenever these are more than ever before. Its error ends the upload. Optional.
	Memory func(bytes int64) error
}

// Create stores what it reads as a file. It fails with [Invalid] if lines are not what they must be, with [ErrTooLarge], with a [Field] or
// with what reading fails with; then nothing is left.
func (s *Service) Create(ctx context.Context, by identity.Actor, d Draft, r io.Reader) (File, error) {
	if err := d.Check(); err != nil {
		return File{}, err
	}
	return s.Upload(ctx, by, Upload{From: r, Draft: func() (Draft, error) { return d, nil }})
}

// Upload is [Service.Create] for a draft that is complete only after the content.
func (s *Service) Upload(ctx context.Context, by identity.Actor, u Upload) (File, error) {
	up := &uploading{
		Upload: u, service: s, id: NewID(), rows: newRows(u.From, s.Limits.Line),
		checker: checker{limits: s.Limits, seen: map[customIDHash]int32{}},
	}
	file, err := up.run(ctx, by)
	if err != nil && len(up.parts) > 0 && !up.committing {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		s.removeBlobs(ctx, up.id)
	}
	return file, err
}

// uploading is an upload under way.
type uploading struct {
	Upload
	checker
	service *Service
	id      string
	rows    *rows
	// buffer has the lines of the next part: next is how many they are.
	buffer []byte
	next   store.FilePart
	parts  []store.FilePart
	most   int64 // bytes of memory, so far
	// committing is set once the database was told of the file. If that fails, nobody knows whether there is one: the sweep finds out.
	committing bool
}

func (u *uploading) run(ctx context.Context, by identity.Actor) (File, error) {
	checked := u.read(ctx)
	if invalid := (*Invalid)(nil); checked != nil && !errors.As(checked, &invalid) {
		return File{}, checked
	}
	draft, err := u.Draft()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return File{}, err
	}
	if err := draft.Check(); err != nil {
		return File{}, err
	}
	if checked != nil {
		return File{}, checked
	}
	if draft.ExpiresAfter == 0 {
		draft.ExpiresAfter = u.service.ExpireAfter
	}
	u.committing = true
	created := time.Now().UTC().Truncate(time.Microsecond)
	return u.service.Store.CreateFile(ctx, by, File{
		ID: u.id, Purpose: draft.Purpose, Filename: draft.Filename, Endpoint: u.endpoint,
		Created: created, Expires: created.Add(draft.ExpiresAfter),
	}, u.parts)
}

// read checks and keeps all lines. Once one is wrong, the others are only checked.
func (u *uploading) read(ctx context.Context) error {
	for {
		start := len(u.buffer)
		buffer, tooLong, err := u.rows.next(u.buffer)
		u.buffer = buffer
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if u.rows.read > u.service.Limits.Bytes {
			return ErrTooLarge
		}
		before := u.lines
		u.look(u.buffer[start:], tooLong)
		u.next.Rows++
		u.next.Lines += u.lines - before
		if err := u.account(); err != nil {
			return err
		}
		if len(u.problems.Problems) > 0 {
			u.buffer = u.buffer[:0]
		} else if len(u.buffer) >= partBytes {
			if err := u.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := u.end(); err != nil {
		return err
	}
	return u.flush(ctx)
}

// account tells how much memory is in use: lines are there twice while they are sealed.
func (u *uploading) account() error {
	needs := 2*int64(cap(u.buffer)) + u.memory()
	if u.Memory == nil || needs <= u.most {
		return nil
	}
	u.most = needs
	return u.Memory(needs)
}

// flush keeps the lines of the next part.
func (u *uploading) flush(ctx context.Context) error {
	if len(u.buffer) == 0 {
		return nil
	}
	number := len(u.parts) + 1
	u.next.Bytes = int64(len(u.buffer))
	// It is noted before it is kept, so that whatever is kept is removed if the upload fails.
	u.parts = append(u.parts, u.next)
	ref, err := u.service.keep(ctx, u.id, number, u.buffer)
	u.parts[number-1].Ref = ref
	u.buffer, u.next = u.buffer[:0], store.FilePart{}
	if cap(u.buffer) > 4*partBytes {
		u.buffer = nil // a line that was long need not be followed by others
	}
	return err
}

// keep seals a part and puts it where the parts of its file are.
func (s *Service) keep(ctx context.Context, id string, number int, data []byte) (string, error) {
	sealed, err := s.Sealer.Seal(data, binding(id, number))
	if err != nil {
		return "", err
	}
	ref, err := s.Blobs.ForFile(id).Put(ctx, sealed)
	return string(ref), err
}

// removeBlobs removes what there is of a file that is gone. What it cannot is left to the sweep.
func (s *Service) removeBlobs(ctx context.Context, id string) {
	if err := s.Blobs.RemoveFile(ctx, id); err != nil {
		s.Logger.WarnContext(ctx, "the blobs of a file are left to the next sweep", "file", id, "error", err)
	}
}
