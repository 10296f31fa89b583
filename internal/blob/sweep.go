package blob

import (
	"context"
	"net/url"
	"time"
)

// Sweep says what [Stores.Sweep] removes.
type Sweep struct {
	// Gone returns those of the workflows that do not exist and never will have anything that was written before it was asked. It is
	// asked for many at once.
	Gone func(ctx context.Context, workflowIDs []string) ([]string, error)
	// GoneFiles is the same for files. Without it those stay.
	GoneFiles func(ctx context.Context, fileIDs []string) ([]string, error)
	// Before is when what was written last to a workflow that is gone must have been written: a workflow's first values are written
	// before it exists. EventsBefore is the same for each event, whose workflow may exist.
	Before, EventsBefore time.Time
}

// askedAtOnce is how many workflows Gone is asked for.
const askedAtOnce = 100

// Sweep removes the values in one shard of owners that are gone, and events that are old, and returns how many values. Others may write,
// remove and sweep at the same time.
func (s *Stores) Sweep(ctx context.Context, shard int, sweep Sweep) (removed int, err error) {
	for _, kind := range []struct {
		name string
		gone func(context.Context, []string) ([]string, error)
	}{{runs, sweep.Gone}, {files, sweep.GoneFiles}} {
		if kind.gone == nil {
			continue
		}
		n, err := s.eachOwner(ctx, s.shard(kind.name, shard), func(ctx context.Context, dir string, names []string) (int, error) {
			return s.sweepOwners(ctx, dir, names, kind.gone, sweep.Before)
		})
		if removed += n; err != nil {
			return removed, err
		}
	}
	old, err := s.eachOwner(ctx, s.shard(events, shard), func(ctx context.Context, dir string, names []string) (int, error) {
		removed := 0
		for _, name := range names {
			n, err := s.removeOlder(ctx, dir+name+"/", sweep.EventsBefore)
			if removed += n; err != nil {
				return removed, err
			}
		}
		return removed, nil
	})
	return removed + old, err
}

// eachOwner calls do with some owners' directories at a time, and adds up what it returns.
func (s *Stores) eachOwner(ctx context.Context, dir string, do func(ctx context.Context, dir string, names []string) (int, error)) (int, error) {
	total := 0
	for after := ""; ; {
		names, err := s.backend.dirs(ctx, dir, after, askedAtOnce)
		if err != nil || len(names) == 0 {
			return total, err
		}
		n, err := do(ctx, dir, names)
		if total += n; err != nil || len(names) < askedAtOnce {
			return total, err
		}
		after = names[len(names)-1]
	}
}

func (s *Stores) sweepOwners(ctx context.Context, dir string, names []string, whichGone func(context.Context, []string) ([]string, error), before time.Time) (int, error) {
	byID := map[string]string{}
	var ids []string
	for _, name := range names {
		// A name that is not ours is nobody's, and stays.
		if id, err := url.PathUnescape(name); err == nil {
			byID[id] = name
			ids = append(ids, id)
		}
	}
	gone, err := whichGone(ctx, ids)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, id := range gone {
		dir := dir + byID[id] + "/"
		// Only now: whoever takes a workflow's first steps at this moment has written something young.
		young, err := s.anyYoung(ctx, dir, before)
		if err != nil {
			return removed, err
		}
		if young {
			continue
		}
		n, err := s.removeOlder(ctx, dir, before)
		if removed += n; err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Stores) anyYoung(ctx context.Context, dir string, before time.Time) (bool, error) {
	young := false
	err := s.eachEntry(ctx, dir, func(entries []entry) error {
		for _, e := range entries {
			young = young || !e.modified.Before(before)
		}
		return nil
	})
	return young, err
}

func (s *Stores) removeOlder(ctx context.Context, dir string, before time.Time) (int, error) {
	removed := 0
	err := s.eachEntry(ctx, dir, func(entries []entry) error {
		var old []string
		for _, e := range entries {
			if e.modified.Before(before) {
				old = append(old, dir+e.name)
			}
		}
		removed += len(old)
		return s.backend.remove(ctx, old...)
	})
	return removed, err
}

func (s *Stores) eachEntry(ctx context.Context, dir string, do func([]entry) error) error {
	for after := ""; ; {
		entries, err := s.backend.list(ctx, dir, after, listedAtOnce)
		if err != nil {
			return err
		}
		if err := do(entries); err != nil || len(entries) < listedAtOnce {
			return err
		}
		after = entries[len(entries)-1].name
	}
}
