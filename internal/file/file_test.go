package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/errgroup"

	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/store"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := requests(3000, 500) // some parts
	f := r.upload(t, content)
	if f.Lines != 3000 || f.Rows != 3000 || f.Bytes != int64(len(content)) || f.Parts < 3 || f.Growing || f.Endpoint != "/v1/responses" ||
		f.Filename != "in.jsonl" || f.Purpose != "batch" || f.User != "ada" || f.Expires.Sub(f.Created) != 24*time.Hour || !file.IsID(f.ID) {
		t.Errorf("the file is %+v", f)
	}
	if got, err := r.Get(t.Context(), "acme", f.ID); err != nil || got != f {
		t.Errorf("later it is %+v, %v", got, err)
	}
	if got := r.content(t, f.ID, 0); got != content {
		t.Errorf("the content has %d bytes, want %d", len(got), len(content))
	}
	for _, offset := range []int64{1, 700_000, f.Bytes - 1, f.Bytes, f.Bytes + 1} {
		if got, want := r.content(t, f.ID, offset), content[min(offset, f.Bytes):]; got != want {
			t.Errorf("from byte %d on there are %d bytes, want %d", offset, len(got), len(want))
		}
	}
	all := strings.SplitAfter(content, "\n")
	for _, tt := range []struct{ from, n int }{{1, 1}, {1, 3000}, {900, 1200}, {2999, 10}, {3000, 1}, {3001, 5}, {1, 1_000_000}} {
		lines, err := r.Lines(t.Context(), "acme", f.ID, tt.from, tt.n)
		if want := max(0, min(tt.n, 3001-tt.from)); err != nil || len(lines) != want {
			t.Fatalf("%d lines from %d on: %d, %v", tt.n, tt.from, len(lines), err)
		}
		for i, l := range lines {
			if l.Number != tt.from+i || l.Row != l.Number || string(l.Text)+"\n" != all[l.Number-1] {
				t.Fatalf("line %d of those from %d on is %d, in row %d: %s", i, tt.from, l.Number, l.Row, l.Text)
			}
		}
	}
	got, err := file.ParseRequest([]byte(all[0]))
	if err != nil || got.CustomID != "r1" || got.URL != "/v1/responses" || !strings.HasPrefix(string(got.Body), `{"model":"p/m"`) {
		t.Errorf("the first request is %+v, %v", got, err)
	}
}

// What others wrote is kept as it was, to the byte: line breaks of Windows, blank lines, no line break at the end.
func TestUploadKeepsEveryByte(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := "\n" + strings.Replace(request("a", "1"), "\n", "\r\n", 1) + "  \t\n\r\n" + request("b", "ü  \u2028") + "\n\n" + strings.TrimSuffix(request("c", "3"), "\n")
	f := r.upload(t, content)
	if f.Lines != 3 || f.Rows != 8 {
		t.Errorf("the file is %+v", f)
	}
	if got := r.content(t, f.ID, 0); got != content {
		t.Errorf("the content is %q, want %q", got, content)
	}
	lines, err := r.Lines(t.Context(), "acme", f.ID, 1, 10)
	must(t, err)
	var got []string
	for _, l := range lines {
		request, err := file.ParseRequest(l.Text)
		must(t, err)
		got = append(got, fmt.Sprint(l.Number, " in ", l.Row, " ", request.CustomID))
	}
	if want := "[1 in 2 a 2 in 5 b 3 in 8 c]"; fmt.Sprint(got) != want {
		t.Errorf("the lines are %v, want %s", got, want)
	}
}

// A line as long as it may be is in a part of its own length; readers get it whole, and few at a time.
func TestLongLines(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *file.Options) { o.Limits.Line = 7 << 20 })
	f := r.upload(t, requests(5, 6<<20))
	for from := 1; from <= f.Lines; {
		lines, err := r.Lines(t.Context(), "acme", f.ID, from, 5)
		if err != nil || len(lines) == 0 || len(lines) > 2 || lines[0].Number != from || len(lines[0].Text) < 6<<20 {
			t.Fatalf("from line %d on there are %d, %v", from, len(lines), err)
		}
		from += len(lines)
	}
}

// Whatever ends an upload early, nothing is left of it.
func TestUploadThatFails(t *testing.T) {
	t.Parallel()
	good := requests(3000, 500)
	cut := errors.New("cut off")
	full := errors.New("no memory")
	errLines, errField := errors.New("some lines are bad"), errors.New("a field is bad")
	ended, end := context.WithCancel(t.Context())
	for name, tt := range map[string]struct {
		from   io.Reader
		change func(*file.Options)
		upload func(*file.Upload)
		want   error
	}{
		"cut off":    {from: io.MultiReader(strings.NewReader(good), iotest.ErrReader(cut)), want: cut},
		"too large":  {from: strings.NewReader(good), change: func(o *file.Options) { o.Limits.Bytes = int64(len(good)) - 1 }, want: file.ErrTooLarge},
		"a bad line": {from: strings.NewReader(good + "{}"), want: errLines},
		"an unknown purpose, said later": {
			from: strings.NewReader(good),
			upload: func(u *file.Upload) {
				u.Draft = func() (file.Draft, error) { return file.Draft{Purpose: "vision"}, nil }
			},
			want: errField,
		},
		"no more form": {from: strings.NewReader(good), upload: func(u *file.Upload) { u.Draft = func() (file.Draft, error) { return file.Draft{}, cut } }, want: cut},
		"no memory":    {from: strings.NewReader(good), upload: func(u *file.Upload) { u.Memory = func(int64) error { return full } }, want: full},
		"given up": {
			from:   io.MultiReader(strings.NewReader(good), readFunc(func([]byte) (int, error) { end(); return 0, io.EOF })),
			upload: func(*file.Upload) {},
			want:   context.Canceled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *file.Options) {
				if tt.change != nil {
					tt.change(o)
				}
			})
			u := file.Upload{From: tt.from, Draft: func() (file.Draft, error) { return draft, nil }}
			ctx := t.Context()
			if tt.upload != nil {
				tt.upload(&u)
			}
			if name == "given up" {
				ctx = ended
			}
			_, err := r.Upload(ctx, ada, u)
			var invalid *file.Invalid
			var field *file.Field
			switch {
			case errors.Is(tt.want, errLines) && errors.As(err, &invalid):
			case errors.Is(tt.want, errField) && errors.As(err, &field) && field.Name == "purpose":
			case !errors.Is(err, tt.want):
				t.Errorf("the error is %v, want %v", err, tt.want)
			}
			if files, _, err := r.List(t.Context(), "acme", store.FileFilter{Limit: 10}); err != nil || len(files) != 0 {
				t.Errorf("there are files: %v, %v", files, err)
			}
			if kept := r.kept(t); len(kept) != 0 {
				t.Errorf("%d blobs are left: %v", len(kept), kept)
			}
		})
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// The memory that an upload says it needs is bounded by a part and a line, whatever comes.
func TestUploadMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var most int64
	_, err := r.Upload(t.Context(), ada, file.Upload{
		From: strings.NewReader(requests(20_000, 1000)), Draft: func() (file.Draft, error) { return draft, nil },
		Memory: func(n int64) error {
			if n <= most {
				t.Errorf("it hears of %d bytes after %d", n, most)
			}
			most = n
			return nil
		},
	})
	if must(t, err); most < 1<<20 || most > 4<<20 {
		t.Errorf("an upload of 20 MB needs %d bytes", most)
	}
}

// What is at rest cannot be read, and no part can take the place of another.
func TestPartsAreSealedForTheirPlace(t *testing.T) {
	t.Parallel()
	const canary = "canary-authorization-2f6b"
	r := newRig(t)
	line := `{"custom_id":"%d","method":"POST","url":"/v1/responses","body":{"tools":[{"authorization":"` + canary + `"}],"input":%q}}` + "\n"
	var content strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&content, line, i, strings.Repeat("x", 400))
	}
	f := r.upload(t, content.String())
	r.content(t, f.ID, 0)
	_, err := r.Create(t.Context(), ada, draft, strings.NewReader(content.String()+`{"custom_id":"0","authorization":"`+canary+`"`))
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("the error is %v", err)
	}
	for _, path := range append(r.kept(t), filepath.Join(r.data, "perdure.db"), filepath.Join(r.data, "perdure.db-wal")) {
		data, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(data, []byte(canary)) || bytes.Contains(data, []byte("custom_id")) {
			t.Errorf("%s has the secret, or what is around it", path)
		}
	}
	if strings.Contains(r.log.String(), canary) {
		t.Error("the log has the secret")
	}
	// Two parts change places, as somebody could do who can write to disk and database.
	parts, err := r.Store.FilePartsOfLines(t.Context(), f.ID, 1, f.Lines+1, 10)
	must(t, err)
	a, b := partPath(t, r, parts[0].Ref), partPath(t, r, parts[1].Ref)
	first, err := os.ReadFile(a)
	must(t, err)
	second, err := os.ReadFile(b)
	must(t, err)
	must(t, os.WriteFile(a, second, 0o600))
	must(t, os.WriteFile(b, first, 0o600))
	if _, err := r.Lines(t.Context(), "acme", f.ID, 1, 1); !errors.Is(err, file.ErrCorrupt) {
		t.Errorf("reading it ends with %v", err)
	}
	if _, err := r.Content(t.Context(), "acme", f.ID, 0); !errors.Is(err, file.ErrCorrupt) {
		t.Errorf("opening it ends with %v", err)
	}
}

func partPath(t *testing.T, r *rig, ref string) string {
	t.Helper()
	for _, path := range r.kept(t) {
		if strings.HasSuffix(path, strings.TrimPrefix(ref, "sha256-")) {
			return path
		}
	}
	t.Fatalf("there is no blob %s", ref)
	return ""
}

func TestDelete(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f, other := r.upload(t, requests(10, 10)), r.upload(t, requests(3000, 500))
	for _, stranger := range []identity.Actor{{Organization: "other", User: "eve"}, {}} {
		if err := r.Delete(t.Context(), stranger, f.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a stranger's delete: %v", err)
		}
		if _, err := r.Get(t.Context(), stranger.Organization, f.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a stranger's get: %v", err)
		}
		if _, err := r.Lines(t.Context(), stranger.Organization, f.ID, 1, 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a stranger's lines: %v", err)
		}
		if _, err := r.Content(t.Context(), stranger.Organization, f.ID, 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a stranger's content: %v", err)
		}
	}
	must(t, r.Hold(t.Context(), "acme", f.ID, "batch_1"))
	var held *store.HeldError
	if err := r.Delete(t.Context(), ada, f.ID); !errors.As(err, &held) || held.Holder != "batch_1" {
		t.Errorf("deleting what is held: %v", err)
	}
	must(t, r.Release(t.Context(), "batch_1"))
	must(t, r.Delete(t.Context(), ada, f.ID))
	if err := r.Delete(t.Context(), ada, f.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	if kept := r.kept(t); len(kept) != other.Parts {
		t.Errorf("%d blobs are left, want the %d of the other file", len(kept), other.Parts)
	}
}

// The sweep removes what belongs to no file, and nothing of one that lives, however old.
func TestSweep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.upload(t, requests(3000, 500))
	growing, err := r.Begin(t.Context(), output(time.Hour))
	must(t, err)
	must(t, r.Append(t.Context(), "acme", growing.ID, 2, [][]byte{[]byte("{}")})) // whose part 1 is still to come
	living := len(r.kept(t))
	// The remains of a process that was killed in the middle of an upload, and an upload under way.
	for _, id := range []string{file.NewID(), file.NewID()} {
		_, err := r.blobs.ForFile(id).Put(t.Context(), []byte("part of an upload "+id))
		must(t, err)
	}
	if n := r.sweep(t); n != 0 {
		t.Errorf("%d young blobs were removed", n)
	}
	r.older(t, 48*time.Hour)
	_, err = r.blobs.ForFile(file.NewID()).Put(t.Context(), []byte("the last part of an upload that still goes on"))
	must(t, err)
	if n := r.sweep(t); n != 2 {
		t.Errorf("%d blobs were removed, want 2", n)
	}
	if n := len(r.kept(t)); n != living+1 {
		t.Errorf("%d blobs are left, want %d", n, living+1)
	}
	if got := r.content(t, f.ID, 0); len(got) != int(f.Bytes) {
		t.Errorf("the file has %d bytes, want %d", len(got), f.Bytes)
	}
	must(t, r.Append(t.Context(), "acme", growing.ID, 1, [][]byte{[]byte("[]")}))
	if got := r.content(t, growing.ID, 0); got != "[]\n{}\n" {
		t.Errorf("the growing file has %q", got)
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []string
	for range 3 {
		o := output(-time.Second)
		o.Holder = "batch_" + o.ID
		f, err := r.Begin(t.Context(), o)
		must(t, err)
		must(t, r.Append(t.Context(), "acme", f.ID, 1, [][]byte{[]byte("{}")}))
		ids = append(ids, f.ID)
	}
	stays := r.upload(t, requests(1, 1))
	if n, err := r.Expire(t.Context()); err != nil || n != 0 {
		t.Errorf("%d files were deleted that are held, %v", n, err)
	}
	if got := r.content(t, ids[0], 0); got != "{}\n" {
		t.Errorf("what is held has %q", got)
	}
	must(t, r.Release(t.Context(), "batch_"+ids[0]))
	must(t, r.Release(t.Context(), "batch_"+ids[1]))
	for _, id := range ids[:2] {
		if _, err := r.Get(t.Context(), "acme", id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an expired file is found: %v", err)
		}
	}
	if files, _, err := r.List(t.Context(), "acme", store.FileFilter{Limit: 10}); err != nil || len(files) != 2 {
		t.Errorf("%d files are listed, %v", len(files), err)
	}
	if n, err := r.Expire(t.Context()); err != nil || n != 2 {
		t.Errorf("%d files were deleted, %v", n, err)
	}
	if n := len(r.kept(t)); n != 2 {
		t.Errorf("%d blobs are left, want 2", n)
	}
	if _, err := r.Get(t.Context(), "acme", stays.ID); err != nil {
		t.Error(err)
	}
}

func TestIDsAreInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			last := ""
			for range 1000 {
				id := file.NewID()
				if id <= last || !file.IsID(id) {
					t.Errorf("%s comes after %s", id, last)
				}
				last = id
				mu.Lock()
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != 4000 {
		t.Errorf("there are %d IDs, want 4000", len(seen))
	}
}

// A batch asks for its lines one at a time: each part is fetched and opened once for all that are near.
func TestLinesOfAPartTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.upload(t, requests(300, 5000))
	if _, err := r.Lines(t.Context(), "acme", f.ID, 1, f.Lines); err != nil {
		t.Fatal(err)
	}
	for _, path := range r.kept(t) {
		must(t, os.Remove(path)) // what is read from now on is from memory
	}
	var all errgroup.Group
	all.SetLimit(32)
	for number := 1; number <= f.Lines; number++ {
		all.Go(func() error {
			lines, err := r.Lines(t.Context(), "acme", f.ID, number, 1)
			if err != nil || len(lines) != 1 || lines[0].Number != number {
				return fmt.Errorf("line %d: %d lines, %w", number, len(lines), err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := r.Content(t.Context(), "acme", f.ID, 0); !errors.Is(err, file.ErrCorrupt) {
		t.Errorf("without its parts it opens with %v, so they were not gone", err)
	}
	must(t, r.Delete(t.Context(), ada, f.ID))
	if _, err := r.Lines(t.Context(), "acme", f.ID, 1, 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted, it is read with %v", err)
	}
}
