package file_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/file"
	"perdure/internal/store"
)

// output is one that expires after a while.
func output(after time.Duration) file.Output {
	return file.Output{
		ID: file.NewID(), Organization: "acme", User: "ada", Purpose: file.PurposeBatchOutput, Filename: "out.jsonl",
		Expires: time.Now().Add(after),
	}
}

func linesOf(texts ...string) [][]byte {
	lines := make([][]byte, len(texts))
	for i, text := range texts {
		lines[i] = []byte(text)
	}
	return lines
}

func TestOutput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	o := output(time.Hour)
	o.Holder = "batch_1"
	f, err := r.Begin(ctx, o)
	if err != nil || !f.Growing || f.Bytes != 0 || f.ID != o.ID {
		t.Fatalf("it begins as %+v, %v", f, err)
	}
	if again, err := r.Begin(ctx, o); err != nil || again != f {
		t.Errorf("begun again it is %+v, %v", again, err)
	}
	if got := r.content(t, f.ID, 0); got != "" {
		t.Errorf("at first it has %q", got)
	}
	check := func(want string, lines int) {
		t.Helper()
		if got := r.content(t, f.ID, 0); got != want {
			t.Errorf("it has %q, want %q", got, want)
		}
		all, err := r.Lines(ctx, "acme", f.ID, 1, 100)
		if err != nil || len(all) != lines {
			t.Errorf("it has %d lines, %v, want %d", len(all), err, lines)
		}
	}
	must(t, r.Append(ctx, "acme", f.ID, 3, linesOf(`"e"`)))
	check("", 0)
	must(t, r.Append(ctx, "acme", f.ID, 1, linesOf(`"a"`, `"b"`)))
	check("\"a\"\n\"b\"\n", 2)
	// The same part again, with other lines: a step was repeated whose first attempt was thought lost.
	kept := len(r.kept(t))
	must(t, r.Append(ctx, "acme", f.ID, 1, linesOf(`"z"`)))
	if n := len(r.kept(t)); n != kept {
		t.Errorf("a repeated step leaves %d blobs", n-kept)
	}
	check("\"a\"\n\"b\"\n", 2)
	if _, err := r.Finish(ctx, "acme", f.ID); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "part 2") {
		t.Errorf("finished without part 2: %v", err)
	}
	must(t, r.Append(ctx, "acme", f.ID, 2, nil)) // nothing to say
	check("\"a\"\n\"b\"\n\"e\"\n", 3)
	done, err := r.Finish(ctx, "acme", f.ID)
	if err != nil || done.Growing || done.Lines != 3 || done.Parts != 3 || done.Bytes != 12 {
		t.Errorf("it is finished as %+v, %v", done, err)
	}
	if again, err := r.Finish(ctx, "acme", f.ID); err != nil || again != done {
		t.Errorf("finished again it is %+v, %v", again, err)
	}
	must(t, r.Append(ctx, "acme", f.ID, 2, nil)) // a repeated step that is late
	kept = len(r.kept(t))
	if err := r.Append(ctx, "acme", f.ID, 4, linesOf(`"x"`)); !errors.Is(err, store.ErrConflict) || len(r.kept(t)) != kept {
		t.Errorf("a part behind the end: %v", err)
	}
	for name, err := range map[string]error{
		"part 0":             r.Append(ctx, "acme", f.ID, 0, linesOf(`"x"`)),
		"a line break":       r.Append(ctx, "acme", f.ID, 9, linesOf("1\n2")),
		"a blank line":       r.Append(ctx, "acme", f.ID, 9, linesOf(" ")),
		"more than can fit":  r.Append(ctx, "acme", f.ID, 9, linesOf(strings.Repeat("x", file.MaxAppend))),
		"another's file":     r.Append(ctx, "other", f.ID, 9, linesOf(`"x"`)),
		"a file that is not": r.Append(ctx, "acme", file.NewID(), 9, linesOf(`"x"`)),
	} {
		if !errors.Is(err, file.ErrPart) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(r.kept(t)); n != kept {
		t.Errorf("what was refused left %d blobs", n-kept)
	}
	var held *store.HeldError
	if err := r.Delete(ctx, ada, f.ID); !errors.As(err, &held) {
		t.Errorf("deleted while its batch holds it: %v", err)
	}
}

// Several workers append at the same time, some the same parts.
func TestAppendAtTheSameTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f, err := r.Begin(t.Context(), output(time.Hour))
	must(t, err)
	const parts = 20
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range parts {
				part := (i+worker*5)%parts + 1
				if err := r.Append(t.Context(), "acme", f.ID, part, linesOf(fmt.Sprint(part))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var want strings.Builder
	for i := range parts {
		fmt.Fprintln(&want, i+1)
	}
	if got := r.content(t, f.ID, 0); got != want.String() {
		t.Errorf("it has %q", got)
	}
	if n := len(r.kept(t)); n != parts {
		t.Errorf("%d blobs are left, want %d", n, parts)
	}
}

// What is appended while somebody reads is not in what was opened.
func TestContentWhileGrowing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f, err := r.Begin(t.Context(), output(time.Hour))
	must(t, err)
	must(t, r.Append(t.Context(), "acme", f.ID, 1, linesOf("1")))
	c, err := r.Content(t.Context(), "acme", f.ID, 0)
	must(t, err)
	must(t, r.Append(t.Context(), "acme", f.ID, 2, linesOf("2")))
	var b strings.Builder
	buf := make([]byte, 1)
	for {
		n, err := c.Read(buf)
		if b.Write(buf[:n]); err != nil {
			break
		}
	}
	if b.String() != "1\n" || c.File.Bytes != 2 {
		t.Errorf("it has %q of %d bytes", b.String(), c.File.Bytes)
	}
	if got := r.content(t, f.ID, c.File.Bytes); got != "2\n" {
		t.Errorf("what came since is %q", got)
	}
}
