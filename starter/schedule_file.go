package starter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// inputFile is the file of a request for batches, which was decoded strictly before.
func inputFile(batch json.RawMessage) string {
	var given struct {
		InputFileID string `json:"input_file_id"`
	}
	if json.Unmarshal(batch, &given) != nil {
		return ""
	}
	return given.InputFileID
}

// holdScheduled keeps the file of a schedule of batches from expiring and from being deleted. It may be repeated. A caller whose change may
// yet fail lets [Starter.settleFiles] follow.
func (s *Starter) holdScheduled(ctx context.Context, who identity.Principal, id string, batch json.RawMessage) error {
	file := inputFile(batch)
	err := s.Files.Hold(ctx, who.Organization, file, id)
	if errors.Is(err, store.ErrNotFound) { // it has expired since it was checked
		return responses.Invalid("batch.input_file_id", "there is no file '%s'", clip(file))
	}
	return err
}

// settleFiles has a schedule hold the file that it is for, and no other, whatever has become of the change that was asked for. What fails
// here is logged, and made up for by the next change, or, when the schedule is gone, by the sweep.
func (s *Starter) settleFiles(ctx context.Context, who identity.Principal, id string) {
	ctx = context.WithoutCancel(ctx)
	held := ""
	for range maxSettling {
		found, err := s.schedule(ctx, who, id)
		if shown := wireError(err); shown != nil && shown.Status == http.StatusNotFound {
			s.releaseFiles(ctx, id)
			return
		}
		if err == nil && found.input.Batch == nil {
			return
		}
		if err == nil {
			file := inputFile(found.input.Batch.Body)
			if file == held {
				return // and nobody has changed it meanwhile
			}
			held = file
			if err = s.Files.Hold(ctx, who.Organization, file, id); err == nil {
				err = s.Files.ReleaseOthers(ctx, id, file)
			}
		}
		if err != nil {
			s.Logger.WarnContext(ctx, "the file of a schedule may expire too early, or too late", "schedule", id, "error", err)
			return
		}
	}
	s.Logger.WarnContext(ctx, "the file of a schedule may expire too early, or too late: it is being changed by others", "schedule", id)
}

// maxSettling bounds how often the file of a schedule is looked at again: one change at the same time may let go of the file of another.
const maxSettling = 5

// releaseFiles lets go of the file of a schedule that is gone.
func (s *Starter) releaseFiles(ctx context.Context, id string) {
	if s.Files == nil {
		return
	}
	if err := s.Files.Release(context.WithoutCancel(ctx), id); err != nil {
		s.Logger.WarnContext(ctx, "the file of a schedule that is gone is held until the next sweep", "schedule", id, "error", err)
	}
}
