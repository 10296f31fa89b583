package starter

import (
	"context"
	"encoding/json"
	"errors"

	"go.temporal.io/sdk/activity"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/store"
)

// retryLines makes the input file of a retry: those lines of the batch before that are in its error file. Both are in the order of the
// input, so that one pass over each is enough, in the memory of some lines. It may be repeated.
func (k *Intake) retryLines(ctx context.Context, b *batch.Batch) ([]batch.Problem, error) {
	if f, err := k.Files.Get(ctx, b.Organization, b.InputFile); err == nil && !f.Growing {
		return nil, nil // an earlier attempt has made it
	}
	gone := []batch.Problem{{
		Code: "invalid_file", Param: "retry_of", Message: "the files of the batch " + b.RetryOf + " are not there any more: upload what is to be retried",
	}}
	of, err := k.Store.Batch(ctx, b.Organization, b.RetryOf)
	if errors.Is(err, store.ErrNotFound) {
		return gone, nil
	}
	if err != nil {
		return nil, err
	}
	for _, id := range []string{of.InputFile, of.ErrorFile} {
		err := k.Files.Hold(ctx, b.Organization, id, b.ID)
		if errors.Is(err, store.ErrNotFound) {
			return gone, nil
		}
		if err != nil {
			return nil, err
		}
	}
	_, err = k.Files.Begin(ctx, file.Output{
		ID: b.InputFile, Organization: b.Organization, User: b.User, Purpose: file.PurposeBatch, Endpoint: b.Endpoint, Filename: b.ID + "_input.jsonl",
		Expires: b.Expires().Add(b.OutputAge), Holder: b.ID,
	})
	if err != nil {
		return nil, err
	}
	if err := k.copyFailed(ctx, b, &of); err != nil {
		return nil, err
	}
	_, err = k.Files.Finish(ctx, b.Organization, b.InputFile)
	return nil, err
}

// unreadableFiles is the problem of a retry of a batch whose files were damaged.
func unreadableFiles(b *batch.Batch) []batch.Problem {
	return []batch.Problem{{
		Code: "invalid_file", Param: "retry_of", Message: "the files of the batch " + b.RetryOf + " can no longer be read: upload what is to be retried",
	}}
}

// copyFailed copies the lines that have failed. Those whose responses are only too large for a file have been run.
func (k *Intake) copyFailed(ctx context.Context, b, of *batch.Batch) error {
	failed := lineReader{files: k.Files, organization: b.Organization, id: of.ErrorFile}
	input := lineReader{files: k.Files, organization: b.Organization, id: of.InputFile}
	part := 1
	var lines [][]byte
	size := 0
	write := func() error {
		err := k.Files.Append(ctx, b.Organization, b.InputFile, part, lines)
		part, lines, size = part+1, nil, 0
		activity.RecordHeartbeat(ctx, part)
		return err
	}
	for {
		e, err := failed.next(ctx)
		if err != nil {
			return err
		}
		if e == nil {
			return write()
		}
		id, code := failedID(e)
		if code == batch.CodeTooLarge {
			continue
		}
		for {
			line, err := input.next(ctx)
			if err != nil {
				return err
			}
			if line == nil {
				return errors.New("the input of the batch to retry does not have a line that its error file has")
			}
			if customID(line) != id {
				continue
			}
			lines, size = append(lines, line), size+len(line)
			break
		}
		if size > retryPart {
			if err := write(); err != nil {
				return err
			}
		}
	}
}

// failedID is what a line of an error file says that it is of, and the code of why it has no answer.
func failedID(line []byte) (id, code string) {
	var l struct {
		CustomID string          `json:"custom_id"`
		Error    *batch.NoAnswer `json:"error"`
	}
	if err := json.Unmarshal(line, &l); err != nil || l.Error == nil {
		return l.CustomID, ""
	}
	return l.CustomID, l.Error.Code
}

// retryPart is how many bytes a part of an input file has.
const retryPart = 1 << 20

// lineReader reads the lines of a file one after another.
type lineReader struct {
	files            *file.Service
	organization, id string
	read             int // lines
	ready            []file.Line
}

// next returns the next line; nil at the end.
func (l *lineReader) next(ctx context.Context) ([]byte, error) {
	if len(l.ready) == 0 {
		var err error
		if l.ready, err = l.files.Lines(ctx, l.organization, l.id, l.read+1, linesAtOnce); err != nil || len(l.ready) == 0 {
			return nil, err
		}
		activity.RecordHeartbeat(ctx, l.read)
	}
	line := l.ready[0]
	l.ready, l.read = l.ready[1:], line.Number
	return line.Text, nil
}
