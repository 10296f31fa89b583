package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"perdure/internal/store"
)

// someFile is a file of acme that is not stored yet. Numbers order files.
func someFile(number int) store.File {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return store.File{
		ID: fmt.Sprintf("file-%032x", number), Organization: "acme", User: "ada", Purpose: "batch", Filename: "in.jsonl",
		Endpoint: "/v1/responses", Created: now, Expires: now.Add(time.Hour),
	}
}

func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		made, err := w.CreateFile(ctx, by, someFile(1), []store.FilePart{
			{Ref: "sha256-1", Lines: 10, Rows: 12, Bytes: 1000}, {Ref: "sha256-2", Lines: 5, Rows: 5, Bytes: 600},
		})
		ok(t, err)
		if made.Lines != 15 || made.Rows != 17 || made.Bytes != 1600 || made.Parts != 2 || made.Growing || made.User != "ada" {
			t.Errorf("it is made as %+v", made)
		}
		if got, err := w.File(ctx, "acme", made.ID); err != nil || got != made {
			t.Errorf("it is found as %+v, %v", got, err)
		}
		_, err = w.File(ctx, "other", made.ID)
		wantKind(t, "another's", err, store.ErrNotFound)
		_, err = w.CreateFile(ctx, by, someFile(1), nil)
		wantKind(t, "the same again", err, store.ErrConflict)

		second := store.FilePart{Number: 2, Ref: "sha256-2", Lines: 5, Rows: 5, Bytes: 600, FirstLine: 11, FirstRow: 13, FirstByte: 1000}
		for _, tt := range []struct{ from, until, first, last int }{{1, 2, 1, 1}, {10, 11, 1, 1}, {10, 12, 1, 2}, {11, 12, 2, 2}, {15, 99, 2, 2}, {16, 99, 0, 0}} {
			parts, err := w.FilePartsOfLines(ctx, made.ID, tt.from, tt.until, 10)
			ok(t, err)
			if len(parts) == 0 && tt.first != 0 || len(parts) > 0 && (parts[0].Number != tt.first || parts[len(parts)-1].Number != tt.last) {
				t.Errorf("lines from %d until %d are in %+v", tt.from, tt.until, parts)
			}
		}
		for _, tt := range []struct {
			from int64
			want int
		}{{0, 2}, {999, 2}, {1000, 1}, {1599, 1}, {1600, 0}} {
			parts, err := w.FilePartsOfBytes(ctx, made.ID, tt.from, 10)
			ok(t, err)
			if len(parts) != tt.want || tt.want > 0 && parts[len(parts)-1] != second {
				t.Errorf("bytes from %d on are in %+v", tt.from, parts)
			}
		}
		ok(t, w.HoldFile(ctx, "acme", made.ID, "batch_2"))
		ok(t, w.HoldFile(ctx, "acme", made.ID, "batch_1"))
		ok(t, w.HoldFile(ctx, "acme", made.ID, "batch_1"))
		wantKind(t, "another's", w.HoldFile(ctx, "other", made.ID, "batch_3"), store.ErrNotFound)
		for _, holder := range []string{"batch_1", "batch_2"} {
			err = w.DeleteFile(ctx, by, made.ID)
			var held *store.HeldError
			if wantKind(t, "held", err, store.ErrConflict); !errors.As(err, &held) || held.Holder != holder {
				t.Errorf("the error is %v, want one that names %s", err, holder)
			}
			ok(t, w.ReleaseFiles(ctx, holder))
		}
		other, err := w.CreateFile(ctx, by, someFile(2), nil)
		ok(t, err)
		for _, id := range []string{made.ID, other.ID} {
			ok(t, w.HoldFile(ctx, "acme", id, "sched_1"))
		}
		ok(t, w.HoldFile(ctx, "acme", other.ID, "SCHED_2"))
		ok(t, w.HoldFile(ctx, "acme", other.ID, "batch_sched_3"))
		if holders, err := w.FileHolders(ctx, "sched_"); err != nil || !slices.Equal(holders, []string{"sched_1"}) {
			t.Errorf("the schedules that hold files are %q, %v", holders, err)
		}
		ok(t, w.ReleaseOtherFiles(ctx, "sched_1", other.ID))
		var held *store.HeldError
		if err := w.DeleteFile(ctx, by, other.ID); !errors.As(err, &held) {
			t.Errorf("a file that is held still is deleted: %v", err)
		}
		ok(t, w.DeleteFile(ctx, by, made.ID))
		wantKind(t, "deleted twice", w.DeleteFile(ctx, by, made.ID), store.ErrNotFound)
		if parts, err := w.FilePartsOfBytes(ctx, made.ID, 0, 10); err != nil || len(parts) != 0 {
			t.Errorf("it has left %d parts, %v", len(parts), err)
		}
		events, _, err := w.Events(ctx, "acme", store.EventFilter{}, store.Page{Limit: 2})
		ok(t, err)
		if events[0].Action != store.ActFileDelete || events[1].Action != store.ActFileCreate || events[0].Target != made.ID {
			t.Errorf("the log has %+v", events)
		}
	})
}

func TestGrowingFiles(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		f := someFile(1)
		begun := make([]store.File, 4)
		var all sync.WaitGroup
		for i := range begun {
			all.Go(func() {
				var err error
				if begun[i], err = w.BeginFile(ctx, f, "batch_1"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, b := range begun {
			if !b.Growing || b != begun[0] {
				t.Errorf("it begins as %+v", b)
			}
		}
		foreign := f
		foreign.Organization = "other"
		_, err := w.BeginFile(ctx, foreign, "batch_2")
		wantKind(t, "the ID of another's", err, store.ErrNotFound)

		// Parts come in any order, from several processes, each twice.
		stored := make([]bool, 40)
		for i := range stored {
			all.Go(func() {
				number := 1 + (i*7)%20
				did, err := w.AppendFile(ctx, "acme", f.ID, store.FilePart{Number: number, Ref: fmt.Sprint(i), Lines: number, Rows: number, Bytes: 10})
				if stored[i] = did; err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(slices.DeleteFunc(slices.Clone(stored), func(s bool) bool { return !s })); n != 20 {
			t.Errorf("%d parts were stored, want 20", n)
		}
		got, err := w.File(ctx, "acme", f.ID)
		if err != nil || got.Parts != 20 || got.Lines != 210 || got.Bytes != 200 {
			t.Errorf("it has grown to %+v, %v", got, err)
		}
		parts, err := w.FilePartsOfLines(ctx, f.ID, 1, 1000, 100)
		ok(t, err)
		line := 1
		for i, p := range parts {
			if p.Number != i+1 || p.FirstLine != line || p.FirstByte != int64(10*i) {
				t.Errorf("part %d is %+v", i+1, p)
			}
			line += p.Lines
		}
		_, err = w.AppendFile(ctx, "acme", f.ID, store.FilePart{Number: 22, Lines: 1, Rows: 1, Bytes: 1})
		ok(t, err)
		_, err = w.FinishFile(ctx, "acme", f.ID)
		wantKind(t, "with a gap", err, store.ErrConflict)
		_, err = w.AppendFile(ctx, "acme", f.ID, store.FilePart{Number: 21})
		ok(t, err)
		for range 2 {
			done, err := w.FinishFile(ctx, "acme", f.ID)
			if err != nil || done.Growing || done.Parts != 22 || done.Lines != 211 {
				t.Errorf("it ends as %+v, %v", done, err)
			}
		}
		_, err = w.AppendFile(ctx, "acme", f.ID, store.FilePart{Number: 23})
		wantKind(t, "after the end", err, store.ErrConflict)
		did, err := w.AppendFile(ctx, "acme", f.ID, store.FilePart{Number: 22})
		if err != nil || did {
			t.Errorf("a late repetition: %v, %v", did, err)
		}
		_, err = w.AppendFile(ctx, "other", f.ID, store.FilePart{Number: 23})
		wantKind(t, "by another", err, store.ErrNotFound)
		_, err = w.FinishFile(ctx, "other", f.ID)
		wantKind(t, "by another", err, store.ErrNotFound)
		wantKind(t, "held by its batch", w.DeleteFile(ctx, by, f.ID), store.ErrConflict)
	})
}

func TestFileLists(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		for i := range 7 {
			f := someFile(i + 1)
			if i%3 == 0 {
				f.Purpose = "batch_output"
			}
			must(t)(w.CreateFile(ctx, by, f, nil))
		}
		other := someFile(8)
		must(t)(w.CreateFile(ctx, w.organization(t, "other"), other, nil))
		read := func(f store.FileFilter) (numbers []int) {
			t.Helper()
			for {
				page, more, err := w.Files(ctx, "acme", f)
				ok(t, err)
				for _, p := range page {
					var n int
					if _, err := fmt.Sscanf(p.ID, "file-%x", &n); err != nil {
						t.Fatal(err)
					}
					numbers = append(numbers, n)
				}
				if !more {
					return numbers
				}
				f.After = page[len(page)-1].ID
				// Somebody deletes what is on the pages, one by one: the next page is the next all the same.
				if f.Limit == 3 {
					ok(t, w.DeleteFile(ctx, by, f.After))
				}
			}
		}
		for _, tt := range []struct {
			filter store.FileFilter
			want   string
		}{
			{store.FileFilter{Limit: 2}, "[7 6 5 4 3 2 1]"},
			{store.FileFilter{Limit: 7, OldestFirst: true}, "[1 2 3 4 5 6 7]"},
			{store.FileFilter{Limit: 1, Purpose: "batch_output"}, "[7 4 1]"},
			{store.FileFilter{Limit: 10, Purpose: "batch", After: someFile(5).ID}, "[3 2]"},
			{store.FileFilter{Limit: 10, Purpose: "vision"}, "[]"},
			{store.FileFilter{Limit: 3}, "[7 6 5 4 3 2 1]"},
			{store.FileFilter{Limit: 10}, "[7 6 4 3 1]"},
		} {
			if got := fmt.Sprint(read(tt.filter)); got != tt.want {
				t.Errorf("%+v: %s, want %s", tt.filter, got, tt.want)
			}
		}
	})
}

func TestExpiredFiles(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		var ids []string
		for i := range 6 {
			f := someFile(i + 1)
			if i < 4 {
				f.Expires = f.Created.Add(-time.Minute * time.Duration(6-i))
			}
			holder := ""
			if i == 1 || i == 5 {
				holder = fmt.Sprint("batch_", i)
			}
			must(t)(w.BeginFile(ctx, f, holder))
			ids = append(ids, f.ID)
		}
		_, err := w.File(ctx, "acme", ids[0])
		wantKind(t, "expired", err, store.ErrNotFound)
		wantKind(t, "expired", w.DeleteFile(ctx, by, ids[0]), store.ErrNotFound)
		if _, err := w.File(ctx, "acme", ids[1]); err != nil {
			t.Errorf("what is held has expired: %v", err)
		}
		if files, _, err := w.Files(ctx, "acme", store.FileFilter{Limit: 10}); err != nil || len(files) != 3 {
			t.Errorf("%d files are listed, %v", len(files), err)
		}
		// Nobody may remove the blobs of what is only about to be deleted.
		if missing, err := w.MissingFiles(ctx, append(ids, "file-0")); err != nil || !slices.Equal(missing, []string{"file-0"}) {
			t.Errorf("missing are %v, %v", missing, err)
		}
		expire := func(limit int, want ...string) {
			t.Helper()
			got, err := w.ExpireFiles(ctx, time.Now(), limit)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v have expired, %v, want %v", got, err, want)
			}
		}
		expire(2, ids[0], ids[2]) // the oldest first
		expire(2, ids[3])
		expire(2)
		ok(t, w.ReleaseFiles(ctx, "batch_1"))
		expire(2, ids[1])
		if missing, err := w.MissingFiles(ctx, ids); err != nil || !slices.Equal(missing, ids[:4]) {
			t.Errorf("missing are %v, %v", missing, err)
		}
	})
}

// Whoever takes hold of a file while it is deleted or expires has it, or hears that it is gone.
func TestHoldersWinOrHear(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		for i := range 10 {
			f := someFile(i + 1)
			must(t)(w.CreateFile(ctx, by, f, nil))
			var all sync.WaitGroup
			var held, deleted error
			all.Go(func() { held = w.HoldFile(ctx, "acme", f.ID, "batch_1") })
			all.Go(func() {
				if i%2 == 0 {
					deleted = w.DeleteFile(ctx, by, f.ID)
				} else {
					_, deleted = w.ExpireFiles(ctx, f.Expires.Add(time.Second), 10)
				}
			})
			all.Wait()
			missing, err := w.MissingFiles(ctx, []string{f.ID})
			ok(t, err)
			if gone := len(missing) > 0; gone != (held != nil) || held != nil && !errors.Is(held, store.ErrNotFound) {
				t.Errorf("gone: %v; held: %v; deleted: %v", gone, held, deleted)
			}
		}
	})
}
