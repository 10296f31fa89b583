package transcript

import (
	"context"

	"golang.org/x/sync/errgroup"

	"perdure/internal/blob"
)

// parallelCopies bounds how many items are copied at once.
const parallelCopies = 16

// Copy takes over a conversation from its owner: the transcript that is returned has the same items and needs nothing of the other store.
// Segments are folded anew, so that a conversation that goes on for long has few. Copying the same transcript again gives the same
// result.
func Copy(ctx context.Context, to, from *blob.Store, t Transcript) (Transcript, error) {
	values, err := Values(ctx, from, t, 0)
	if err != nil {
		return t, err
	}
	if err := CopyValues(ctx, to, from, values); err != nil {
		return t, err
	}
	if t.Head == "" {
		t.Bytes = Bytes(values)
		return t, nil
	}
	return Extend(ctx, to, Transcript{}, values)
}

// CopyValues takes over items, which stay what they are, from their owner.
func CopyValues(ctx context.Context, to, from *blob.Store, values []blob.Value) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCopies)
	for _, v := range values {
		if v.Ref != "" {
			g.Go(func() error { return to.Copy(ctx, from, v.Ref) })
		}
	}
	return g.Wait()
}
