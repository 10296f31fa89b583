package transcript_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// conversation returns a transcript of n items in several segments and a tail.
func conversation(t *testing.T, s *blob.Store, n int) transcript.Transcript {
	t.Helper()
	var tr transcript.Transcript
	for i := range n {
		appendItems(t, s, &tr, said(i, 3000))
		tr, _ = fold(t, s, tr)
	}
	if tr.Folded == 0 || len(tr.Tail) == 0 {
		t.Fatalf("%d items folded, %d in the tail", tr.Folded, len(tr.Tail))
	}
	return tr
}

// numbers returns which messages of said a transcript holds.
func numbers(t *testing.T, s *blob.Store, tr transcript.Transcript) []int {
	t.Helper()
	items := load(t, s, tr, 0)
	if len(items) != tr.Len() {
		t.Errorf("%d items loaded, %d counted", len(items), tr.Len())
	}
	var out []int
	for _, item := range items {
		var n int
		if _, err := fmt.Sscanf(item.(*responses.Message).Content[0].Text, "message %d", &n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func TestRemove(t *testing.T) {
	t.Parallel()
	s := store(t)
	const count = 40
	tr := conversation(t, s, count)
	for at := range count {
		shorter, err := transcript.Remove(t.Context(), s, tr, at)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Delete(counted(count), at, at+1)
		if diff := cmp.Diff(want, numbers(t, s, shorter)); diff != "" {
			t.Fatalf("without item %d (-want +got):\n%s", at, diff)
		}
		if _, again := fold(t, s, shorter); again {
			t.Errorf("without item %d: the tail is too long", at)
		}
	}
	for _, at := range []int{-1, count} {
		if _, err := transcript.Remove(t.Context(), s, tr, at); err == nil {
			t.Errorf("item %d was removed", at)
		}
	}
}

func TestRemoveEverything(t *testing.T) {
	t.Parallel()
	s := store(t)
	tr := conversation(t, s, 10)
	for tr.Len() > 0 {
		shorter, err := transcript.Remove(t.Context(), s, tr, tr.Len()/2)
		if err != nil {
			t.Fatal(err)
		}
		if shorter.Len() != tr.Len()-1 {
			t.Fatalf("%d items of %d are left", shorter.Len(), tr.Len())
		}
		tr = shorter
	}
	if got := load(t, s, tr, 0); len(got) != 0 {
		t.Errorf("%d items are left", len(got))
	}
}

// What is removed must not be read again: the segments before it are kept.
func TestRemoveKeepsSegmentsBefore(t *testing.T) {
	t.Parallel()
	s := store(t)
	tr := conversation(t, s, 40)
	tail, err := transcript.Remove(t.Context(), s, tr, tr.Len()-1)
	if err != nil {
		t.Fatal(err)
	}
	if tail.Head != tr.Head || tail.Folded != tr.Folded {
		t.Errorf("removing from the tail made a new head")
	}
}

func TestExtend(t *testing.T) {
	t.Parallel()
	for _, count := range []int{0, 1, 5, 600} { // 600 make two segments
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			t.Parallel()
			s := store(t)
			base := conversation(t, s, 13)
			items := make([]responses.Item, count)
			for i := range items {
				items[i] = said(13+i, 3000)
			}
			values, err := transcript.Pack(t.Context(), s, items...)
			if err != nil {
				t.Fatal(err)
			}
			longer, err := transcript.Extend(t.Context(), s, base, values)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(counted(13+count), numbers(t, s, longer)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if _, again := fold(t, s, longer); again {
				t.Error("the tail is too long")
			}
			// cmp would look at each byte by itself.
			same, err := transcript.Extend(t.Context(), s, base, values)
			if err != nil || !reflect.DeepEqual(longer, same) {
				t.Errorf("extended again it is another: %v", err)
			}
			from, err := transcript.Values(t.Context(), s, longer, 13)
			if err != nil || len(from) != count || count > 0 && !reflect.DeepEqual(values, from) {
				t.Errorf("it has other values: %v", err)
			}
		})
	}
}

func counted(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
