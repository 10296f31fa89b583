package transcript_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/blob"
	"perdure/internal/transcript"
)

// A conversation that another response goes on with needs nothing of the first one, however many go on with one another.
func TestCopy(t *testing.T) {
	t.Parallel()
	all := stores(t)
	var tr transcript.Transcript
	owner, n := "resp_0", 0
	for _, next := range []string{"resp_1", "resp_2", "resp_3"} {
		from, to := all.For(owner), all.For(next)
		for range 12 { // of which some are long, and most are folded
			appendItems(t, from, &tr, said(n, 3000+6000*(n%2)))
			n++
			tr, _ = fold(t, from, tr)
		}
		want := load(t, from, tr, 0)
		copied, err := transcript.Copy(t.Context(), to, from, tr)
		if err != nil {
			t.Fatal(err)
		}
		again, err := transcript.Copy(t.Context(), to, from, tr)
		if diff := cmp.Diff(copied, again); err != nil || diff != "" {
			t.Errorf("repeated, it fails with %v, or differs (-first +second):\n%s", err, diff)
		}
		if err := all.Remove(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		got := load(t, to, copied, 0)
		if diff := cmp.Diff(want, got); diff != "" || len(got) != n {
			t.Errorf("%d items of %d (-want +got):\n%s", len(got), n, diff)
		}
		if _, err := transcript.Copy(t.Context(), all.For("resp_late"), from, tr); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a copy of what was deleted: %v", err)
		}
		tr, owner = copied, next
	}
}

// What is in the history itself needs no store at all.
func TestCopyOfLittle(t *testing.T) {
	t.Parallel()
	all := stores(t)
	var tr transcript.Transcript
	appendItems(t, all.For("resp_1"), &tr, said(1, 10))
	copied, err := transcript.Copy(t.Context(), all.For("resp_2"), all.For(""), tr)
	if diff := cmp.Diff(tr, copied); err != nil || diff != "" {
		t.Errorf("error %v, or it differs:\n%s", err, diff)
	}
}
