package transcript_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"

	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// sizeOf is how many bytes the items of a transcript have when each is encoded.
func sizeOf(t *testing.T, items []responses.Item) int64 {
	t.Helper()
	var n int64
	for _, item := range items {
		data, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		n += int64(len(data))
	}
	return n
}

// However a transcript has become what it is, its bytes are those of its items.
func TestBytesAreCounted(t *testing.T) {
	t.Parallel()
	all := stores(t)
	s := all.For("resp_1")
	check := func(what string, tr transcript.Transcript) {
		t.Helper()
		tr, _ = throughHistory(t, tr)
		want := sizeOf(t, load(t, s, tr, 0))
		if size, err := transcript.Size(t.Context(), s, tr); err != nil || tr.Bytes != want || size != want {
			t.Errorf("%s: %d bytes are counted, %d were measured (%v), and there are %d", what, tr.Bytes, size, err, want)
		}
	}
	var tr transcript.Transcript
	for n := range 20 {
		appendItems(t, s, &tr, said(n, []int{0, 3000, transcript.InlineBytes + 1}[n%3]))
		tr, _ = fold(t, s, tr)
	}
	appendItems(t, s, &tr, said(20, 0))
	if tr.Folded == 0 || len(tr.Tail) == 0 {
		t.Fatal("not all forms are there: this tests half of it")
	}
	check("appended and folded", tr)
	for _, at := range []int{0, 7, tr.Folded - 1, tr.Len() - 1} {
		shorter, err := transcript.Remove(t.Context(), s, tr, at)
		if err != nil {
			t.Fatal(err)
		}
		check("one removed", shorter)
	}
	uncounted := tr
	uncounted.Bytes = 0 // as code has left it that did not count
	if size, err := transcript.Size(t.Context(), s, uncounted); err != nil || size != tr.Bytes {
		t.Errorf("%d bytes, error %v, want %d", size, err, tr.Bytes)
	}
	for _, from := range []transcript.Transcript{uncounted, {Tail: tr.Tail}} {
		copied, err := transcript.Copy(t.Context(), s, all.For("resp_1"), from)
		if err != nil {
			t.Fatal(err)
		}
		check("copied", copied)
	}
}

func TestLoadShort(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	for n := range 12 {
		appendItems(t, s, &tr, said(n, []int{0, transcript.InlineBytes + 1}[n%2]))
		tr, _ = fold(t, s, tr)
	}
	var shortened atomic.Int32
	items, err := transcript.LoadShort(t.Context(), s, tr, func(item responses.Item) {
		shortened.Add(1)
		message := item.(*responses.Message)
		message.Content[0].Text = message.Content[0].Text[:len("message 0")]
	})
	if err != nil || len(items) != 12 || shortened.Load() != 12 {
		t.Fatalf("%d items, %d shortened, error %v", len(items), shortened.Load(), err)
	}
	if got := items[11].(*responses.Message).Content[0].Text; got != "message 1" {
		t.Errorf("the last is %q", got)
	}
}
