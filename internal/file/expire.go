package file

import (
	"context"
	"time"
)

// Hold keeps a file from being deleted and from expiring until the holder lets go of it. The holder is an ID that people see.
func (s *Service) Hold(ctx context.Context, organization, id, holder string) error {
	return s.Store.HoldFile(ctx, organization, id, holder)
}

// Release lets go of all that a holder holds. It may be repeated.
func (s *Service) Release(ctx context.Context, holder string) error {
	return s.Store.ReleaseFiles(ctx, holder)
}

// ReleaseOthers lets go of all that a holder holds but one file. It may be repeated.
func (s *Service) ReleaseOthers(ctx context.Context, holder, id string) error {
	return s.Store.ReleaseOtherFiles(ctx, holder, id)
}

// Holders returns those who hold files, whose IDs begin with a prefix.
func (s *Service) Holders(ctx context.Context, prefix string) ([]string, error) {
	return s.Store.FileHolders(ctx, prefix)
}

// Missing returns those of the IDs that no file has. What has blobs and is missing was never complete, or is deleted.
func (s *Service) Missing(ctx context.Context, ids []string) ([]string, error) {
	return s.Store.MissingFiles(ctx, ids)
}

// expiredAtOnce is how many files are deleted in one transaction.
const expiredAtOnce = 50

// Expire deletes the files whose time is over, and returns how many.
func (s *Service) Expire(ctx context.Context) (int, error) {
	total := 0
	for {
		ids, err := s.Store.ExpireFiles(ctx, time.Now(), expiredAtOnce)
		total += len(ids)
		if err != nil {
			return total, err
		}
		for _, id := range ids {
			s.removeBlobs(ctx, id)
		}
		if len(ids) < expiredAtOnce {
			return total, ctx.Err()
		}
	}
}
