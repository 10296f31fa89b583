package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"perdure/internal/blob"
	"perdure/internal/store"
)

// MaxAppend is how many bytes a part of an output may have: 64 MiB. Parts of about 1 MiB are read best.
const MaxAppend = 64 << 20

// ErrPart means that lines cannot be a part of a file, however often it is tried.
var ErrPart = errors.New("file: these lines cannot be a part")

// Output is a file that grows.
type Output struct {
	// ID is [NewID]'s, made before: whoever repeats the step that begins the file begins the same one.
	ID           string
	Organization string
	User         string
	Purpose      string // [PurposeBatchOutput], or [PurposeBatch] for requests that are taken from another file
	Endpoint     string // of the requests
	Filename     string
	Expires      time.Time
	// Holder is the ID of what writes the file, which holds it; empty: nothing holds it.
	Holder string
}

// Begin makes a file that grows. It may be repeated.
func (s *Service) Begin(ctx context.Context, o Output) (File, error) {
	hasRequests := o.Purpose == PurposeBatch && o.Endpoint != ""
	if !IsID(o.ID) || o.Organization == "" || o.User == "" || !hasRequests && o.Purpose != PurposeBatchOutput {
		return File{}, fmt.Errorf("file: an output needs an ID, an organization, a user and the purpose %s, or %s with an endpoint",
			PurposeBatchOutput, PurposeBatch)
	}
	if err := checkFilename(o.Filename); err != nil {
		return File{}, err
	}
	return s.Store.BeginFile(ctx, File{
		ID: o.ID, Organization: o.Organization, User: o.User, Purpose: o.Purpose, Endpoint: o.Endpoint, Filename: o.Filename,
		Created: time.Now().UTC().Truncate(time.Microsecond), Expires: o.Expires.UTC().Truncate(time.Microsecond),
	}, o.Holder)
}

// Append adds a part to a file that grows. Parts are numbered from 1 and may come in any order; the file has those that follow each other.
// A part that is there stays as it is, so a step that is repeated adds nothing. Lines have no line breaks; a part may have no lines.
// Its errors are [ErrPart], which is final, store.ErrNotFound, store.ErrConflict for a file that is complete, and those that may pass.
func (s *Service) Append(ctx context.Context, organization, id string, part int, lines [][]byte) error {
	p, err := s.Part(ctx, organization, id, part, lines)
	if err != nil {
		return err
	}
	stored, err := s.Store.AppendFile(ctx, organization, id, p)
	if !stored {
		s.Discard(ctx, id, p, err)
	}
	return err
}

// Part keeps lines that are to become a part of a file. They are in the file once the store is told: see [store.Store.AppendSegment].
// Errors are those of [Service.Append].
func (s *Service) Part(ctx context.Context, organization, id string, part int, lines [][]byte) (store.FilePart, error) {
	if part < 1 {
		return store.FilePart{}, fmt.Errorf("%w: parts are numbered from 1, not %d", ErrPart, part)
	}
	var data []byte
	for i, line := range lines {
		if bytes.IndexByte(line, '\n') >= 0 || isBlank(line) { // a \r between two tokens of a request is white space like any other
			return store.FilePart{}, fmt.Errorf("%w: line %d is blank or has a line break", ErrPart, i+1)
		}
		if len(data)+len(line)+1 > MaxAppend {
			return store.FilePart{}, fmt.Errorf("%w: they have more than %d bytes", ErrPart, MaxAppend)
		}
		data = append(append(data, line...), '\n')
	}
	if _, err := s.Store.File(ctx, organization, id); err != nil {
		return store.FilePart{}, err // before there are blobs of a file that there is not
	}
	p := store.FilePart{Number: part, Lines: len(lines), Rows: len(lines), Bytes: int64(len(data))}
	if len(data) == 0 {
		return p, nil
	}
	var err error
	p.Ref, err = s.keep(ctx, id, part, data)
	return p, err
}

// Discard removes what [Service.Part] has kept for a part that the store did not take, for a reason that may be nil. After a failure of
// which nobody knows whether it took it, nothing is removed.
func (s *Service) Discard(ctx context.Context, id string, p store.FilePart, reason error) {
	if p.Ref == "" || reason != nil && !errors.Is(reason, store.ErrConflict) && !errors.Is(reason, store.ErrNotFound) {
		return
	}
	if err := s.Blobs.ForFile(id).Remove(ctx, blob.Ref(p.Ref)); err != nil {
		s.Logger.WarnContext(ctx, "the blob of a repeated step stays as long as its file", "file", id, "error", err)
	}
}

// Finish says that a file has all its parts. It may be repeated. store.ErrConflict: a part is missing.
func (s *Service) Finish(ctx context.Context, organization, id string) (File, error) {
	return s.Store.FinishFile(ctx, organization, id)
}
