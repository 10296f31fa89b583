package batchrun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perdure/internal/apiclient"
)

const (
	defaultPoll = time.Second
	// slowestPoll is how seldom a batch is asked that does not move.
	slowestPoll = 5 * time.Second
)

// follow brings the results of a batch until it has ended.
func (r *run) follow(ctx context.Context, b apiclient.Batch) (apiclient.Batch, error) {
	if r.PollEvery <= 0 {
		r.PollEvery = defaultPoll
	}
	every, done, came := r.PollEvery, -1, true
	for {
		if r.Changed != nil {
			r.Changed(b)
		}
		// The files may be behind what is counted.
		if came || b.Ended() || b.Done() != done {
			var err error
			if came, err = r.fetch(ctx, b); err != nil {
				return b, err
			}
		}
		if b.Ended() {
			return b, r.finish(ctx, b)
		}
		if b.Done() == done {
			every = min(every*5/4, slowestPoll)
		} else {
			every, done = r.PollEvery, b.Done()
		}
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return b, ctx.Err()
		case <-timer.C:
		}
		next, err := r.client.Batch(ctx, b.ID)
		if err != nil {
			return b, err
		}
		b = next
	}
}

// fetch downloads what is new, notes how far it came, and reports whether there was anything.
func (r *run) fetch(ctx context.Context, b apiclient.Batch) (came bool, err error) {
	for _, part := range r.parts(b) {
		if err == nil {
			err = r.fetchOne(ctx, part.copy, part.id, b.Ended())
		}
	}
	if came = r.state.OutputBytes != r.output.size || r.state.ErrorBytes != r.errors.size; came {
		r.state.OutputBytes, r.state.ErrorBytes = r.output.size, r.errors.size
		err = errors.Join(err, r.save())
	}
	return came, err
}

// part is a file of a batch and its copy.
type part struct {
	copy *growing
	id   string
}

// parts are the files that there are.
func (r *run) parts(b apiclient.Batch) (parts []part) {
	if b.OutputFileID != nil {
		parts = append(parts, part{&r.output, *b.OutputFileID})
	}
	if b.ErrorFileID != nil {
		parts = append(parts, part{&r.errors, *b.ErrorFileID})
	}
	return parts
}

// fetchOne downloads one file, and goes on when the connection breaks.
func (r *run) fetchOne(ctx context.Context, g *growing, id string, whole bool) error {
	err := apiclient.Persist(ctx, func() (int64, error) {
		before := g.size
		err := g.fetch(ctx, r.client, id, whole)
		return g.size - before, err
	})
	switch {
	case apiclient.IsStatus(err, 404) && !whole:
		return nil // it is made when the batch begins
	case apiclient.IsStatus(err, 404):
		return fmt.Errorf("a file of the batch is not there any more, so its results cannot be brought here: %w", err)
	}
	return err
}

// finish checks that everything is here, and notes it.
func (r *run) finish(ctx context.Context, b apiclient.Batch) error {
	for _, part := range r.parts(b) {
		f, err := r.client.File(ctx, part.id)
		if err != nil {
			return err
		}
		if f.Bytes != part.copy.size {
			return fmt.Errorf("%s has %d bytes, and the file on the server %d: start again with the same arguments to go on", part.copy.path, part.copy.size, f.Bytes)
		}
	}
	r.state.Ended, r.state.Final = b.Status, b.Raw
	return r.save()
}
