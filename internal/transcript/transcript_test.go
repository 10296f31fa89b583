package transcript_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

func stores(t *testing.T) *blob.Stores {
	t.Helper()
	s, err := blob.Open(blob.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func store(t *testing.T) *blob.Store {
	t.Helper()
	return stores(t).For("resp_1")
}

// said returns a message of at least the given number of bytes that no other message is equal to.
func said(n, bytes int) responses.Item {
	return &responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText(fmt.Sprint("message ", n, strings.Repeat(".", bytes)))}}
}

func appendItems(t *testing.T, s *blob.Store, tr *transcript.Transcript, items ...responses.Item) {
	t.Helper()
	values, err := transcript.Pack(t.Context(), s, items...)
	if err != nil {
		t.Fatal(err)
	}
	tr.Append(values...)
}

func fold(t *testing.T, s *blob.Store, tr transcript.Transcript) (transcript.Transcript, bool) {
	t.Helper()
	folded, did, err := transcript.Fold(t.Context(), s, tr)
	if err != nil {
		t.Fatal(err)
	}
	return folded, did
}

func load(t *testing.T, s *blob.Store, tr transcript.Transcript, from int) []responses.Item {
	t.Helper()
	items, err := transcript.Load(t.Context(), s, tr, from)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// throughHistory encodes and decodes a transcript as a step's input is, and returns the number of bytes, too.
func throughHistory(t *testing.T, tr transcript.Transcript) (transcript.Transcript, int) {
	t.Helper()
	data, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	var back transcript.Transcript
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back, len(data)
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	if got := load(t, s, tr, 0); len(got) != 0 || tr.Len() != 0 {
		t.Errorf("%d items, length %d", len(got), tr.Len())
	}
	if got, did := fold(t, s, tr); did || got.Len() != 0 {
		t.Errorf("folded to %+v, %v", got, did)
	}
}

// Items of all lengths, folded at many places, come back in order from every position.
func TestLoadAcrossSegments(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	var want []responses.Item
	lengths := []int{0, 3000, transcript.InlineBytes + 1, 100, 7000, 50_000}
	segments := 0
	for n := range 120 {
		item := said(n, lengths[n%len(lengths)])
		want = append(want, item)
		appendItems(t, s, &tr, item)
		var did bool
		if tr, did = fold(t, s, tr); did {
			segments++
		}
		tr, _ = throughHistory(t, tr)
		if tr.Len() != len(want) {
			t.Fatalf("length is %d after %d items", tr.Len(), len(want))
		}
	}
	if segments < 10 {
		t.Fatalf("only %d segments: this tests nothing", segments)
	}
	if len(tr.Tail) == 0 || tr.Folded == 0 {
		t.Fatalf("%d items folded and %d in the tail: this tests half of it", tr.Folded, len(tr.Tail))
	}
	for _, from := range []int{0, 1, 17, tr.Folded - 1, tr.Folded, tr.Folded + 1, tr.Len()} {
		if diff := cmp.Diff(want[from:], load(t, s, tr, from)); diff != "" {
			t.Errorf("items from %d differ (-want +got):\n%s", from, diff)
		}
	}
	for _, from := range []int{-1, tr.Len() + 1} {
		if _, err := transcript.Load(t.Context(), s, tr, from); err == nil {
			t.Errorf("items from %d of %d were loaded", from, tr.Len())
		}
	}
}

func TestFoldOnlyWhenLong(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	appendItems(t, s, &tr, said(0, transcript.FoldBytes/2), said(1, transcript.FoldBytes/4))
	same, did := fold(t, s, tr)
	if did {
		t.Error("a short tail was folded")
	}
	if diff := cmp.Diff(tr, same); diff != "" {
		t.Errorf("what was not folded differs (-want +got):\n%s", diff)
	}
	for n := range 3 {
		appendItems(t, s, &tr, said(n, transcript.FoldBytes/4))
	}
	folded, did := fold(t, s, tr)
	if !did || folded.Len() != tr.Len() || len(folded.Tail) != 0 {
		t.Errorf("folded to %+v, %v", folded, did)
	}
}

// A step that is tried again folds again, and nobody may see a difference.
func TestFoldAgain(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	for n := range 20 {
		appendItems(t, s, &tr, said(n, 4000))
		before, _ := throughHistory(t, tr)
		first, did := fold(t, s, tr)
		second, again := fold(t, s, before)
		if did != again {
			t.Fatalf("folded %v, then %v", did, again)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("the second fold differs (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(before, tr); diff != "" {
			t.Fatalf("folding changed its argument (-before +after):\n%s", diff)
		}
		tr = first
	}
	if got := load(t, s, tr, 0); len(got) != 20 {
		t.Errorf("%d items, want 20", len(got))
	}
}

// Two steps may go on from one transcript; neither may write into the other's tail.
func TestAppendDoesNotShare(t *testing.T) {
	t.Parallel()
	s := store(t)
	var base transcript.Transcript
	appendItems(t, s, &base, said(0, 0), said(1, 0), said(2, 0))
	base.Tail = base.Tail[:2]
	left, right := base, base
	appendItems(t, s, &left, said(10, 0))
	appendItems(t, s, &right, said(20, 0))
	for want, tr := range map[int]transcript.Transcript{10: left, 20: right} {
		if diff := cmp.Diff([]responses.Item{said(0, 0), said(1, 0), said(want, 0)}, load(t, s, tr, 0)); diff != "" {
			t.Errorf("items differ (-want +got):\n%s", diff)
		}
	}
}

// Loading reads values that others share: it must not write behind their end either.
func TestLoadDoesNotShare(t *testing.T) {
	t.Parallel()
	s := store(t)
	var base transcript.Transcript
	for n := range 10 {
		appendItems(t, s, &base, said(n, 4000))
	}
	base, did := fold(t, s, base)
	if !did {
		t.Fatal("not folded")
	}
	left, right := base, base
	appendItems(t, s, &left, said(10, 0))
	appendItems(t, s, &right, said(20, 0))
	done := make(chan []responses.Item, 2)
	for _, tr := range []transcript.Transcript{left, right} {
		go func() {
			items, err := transcript.Load(t.Context(), s, tr, 0)
			if err != nil {
				t.Error(err)
			}
			done <- items
		}()
	}
	for range 2 {
		if items := <-done; len(items) != 11 {
			t.Errorf("%d items, want 11", len(items))
		}
	}
}

// The claim of the package comment: no step carries the conversation, however long it is.
func TestStepsStaySmall(t *testing.T) {
	t.Parallel()
	const (
		turns       = 60
		outputBytes = 5 << 10
		inputItems  = 160 // 800 KB
	)
	s := store(t)
	var tr transcript.Transcript
	items := make([]responses.Item, inputItems)
	for n := range items {
		items[n] = said(n, outputBytes)
	}
	appendItems(t, s, &tr, items...)
	tr, _ = fold(t, s, tr)
	history, largest, naive := 0, 0, 0
	for turn := range turns {
		in, size := throughHistory(t, tr)
		largest = max(largest, size)
		history += size
		naive += (inputItems + turn) * outputBytes
		folded, did := fold(t, s, in)
		if did {
			_, size := throughHistory(t, folded)
			history += size
		}
		if got := folded.Len(); got != inputItems+turn {
			t.Fatalf("turn %d: %d items, want %d", turn, got, inputItems+turn)
		}
		tr = folded
		call := &responses.MCPCall{ID: fmt.Sprint("call_", turn), ServerLabel: "s", Name: "t", Arguments: "{}", Output: strings.Repeat("o", outputBytes)}
		values, err := transcript.Pack(t.Context(), s, call)
		if err != nil {
			t.Fatal(err)
		}
		history += values[0].InlineSize()
		tr.Append(values...)
	}
	if got := load(t, s, tr, 0); len(got) != inputItems+turns {
		t.Errorf("%d items at the end, want %d", len(got), inputItems+turns)
	}
	t.Logf("history %d KB, largest step %d KB; %d KB if every step had carried the conversation", history>>10, largest>>10, naive>>10)
	if limit := transcript.FoldBytes + outputBytes + 1<<10; largest > limit {
		t.Errorf("a step carries %d bytes, at most %d were expected", largest, limit)
	}
	// Together with the events themselves this stays well below 2 MB.
	if history > 1200<<10 {
		t.Errorf("history has %d bytes", history)
	}
}

// Sixteen calls in one turn, each as long as may stand in a history: the next turn folds them away.
func TestWideTurn(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	for n := range 16 {
		appendItems(t, s, &tr, said(n, transcript.InlineBytes-200))
	}
	folded, did := fold(t, s, tr)
	if _, size := throughHistory(t, folded); !did || size > 200 {
		t.Errorf("folded %v to %d bytes", did, size)
	}
}

// A tool's schema must reach the client as its server wrote it, through every form in which an item is kept.
func TestSchemasAreKept(t *testing.T) {
	t.Parallel()
	const schema = "{ \"z\" : 1e400,\n\"a\":\"<&>\u2028\" }"
	for name, filler := range map[string]int{"inline": 0, "stored": transcript.InlineBytes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := store(t)
			var tr transcript.Transcript
			appendItems(t, s, &tr, &responses.MCPListTools{ServerLabel: "s", Tools: []responses.MCPToolInfo{
				{Name: "t", Description: strings.Repeat("d", filler), InputSchema: responses.Schema(schema)},
			}})
			check := func(tr transcript.Transcript) {
				t.Helper()
				got := load(t, s, tr, 0)[0].(*responses.MCPListTools).Tools[0].InputSchema
				if diff := cmp.Diff(schema, string(got)); diff != "" {
					t.Errorf("schema differs (-want +got):\n%s", diff)
				}
			}
			tr, _ = throughHistory(t, tr)
			check(tr)
			for n := range 10 {
				appendItems(t, s, &tr, said(n, 4000))
			}
			folded, did := fold(t, s, tr)
			if !did {
				t.Fatal("not folded")
			}
			check(folded)
		})
	}
}

// A large input of short items becomes one segment, which must stay about as large as the text, even where a JSON encoder would
// like to escape it: the store takes a body's bytes twice, not six times.
func TestFoldLargeInput(t *testing.T) {
	t.Parallel()
	s := store(t)
	var tr transcript.Transcript
	const count, length = 300, 8000
	items := make([]responses.Item, count)
	for n := range items {
		items[n] = &responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText(strings.Repeat("<", length))}}
	}
	appendItems(t, s, &tr, items...)
	folded, did := fold(t, s, tr)
	if got := load(t, s, folded, 0); !did || len(got) != count {
		t.Fatalf("folded %v, %d items", did, len(got))
	}
	segment, err := s.Get(t.Context(), folded.Head)
	if err != nil {
		t.Fatal(err)
	}
	if limit := count * (length + 200); len(segment) > limit {
		t.Errorf("segment of %d bytes, at most %d were expected", len(segment), limit)
	}
}

func TestDamagedTranscripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all, err := blob.Open(blob.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := all.For("resp_1")
	var tr transcript.Transcript
	for n := range 10 {
		appendItems(t, s, &tr, said(n, 4000))
	}
	tr, _ = fold(t, s, tr)
	for n := range 10 {
		appendItems(t, s, &tr, said(n, 4000))
	}
	older := tr.Head
	tr, _ = fold(t, s, tr)
	appendItems(t, s, &tr, said(20, 0))

	wrong := tr
	wrong.Folded++
	if _, err := transcript.Load(t.Context(), s, wrong, 0); err == nil {
		t.Error("a transcript that counts an item too many was loaded")
	}
	noSegment, err := s.Put(t.Context(), []byte(`[]`))
	if err != nil {
		t.Fatal(err)
	}
	wrong = tr
	wrong.Head = noSegment
	if _, err := transcript.Load(t.Context(), s, wrong, 0); err == nil {
		t.Error("a value that is no segment was loaded")
	}
	wrong = tr
	wrong.Tail = []blob.Value{{JSON: json.RawMessage(`{"type":"unheard of"}`)}}
	if _, err := transcript.Load(t.Context(), s, wrong, 0); err == nil {
		t.Error("an unknown item was loaded")
	}

	digest := strings.TrimPrefix(string(older), "sha256-")
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "*", digest))
	if err != nil || len(found) != 1 {
		t.Fatalf("the first segment is kept as %v, %v", found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := transcript.Load(t.Context(), s, tr, 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("without its first segment: %v, want ErrNotFound", err)
	}
	// The last items are in the last segment, and nothing else is read for them.
	if got := load(t, s, tr, tr.Folded-1); len(got) != 2 {
		t.Errorf("%d items, want the last 2", len(got))
	}
	if got := load(t, s, tr, tr.Folded); len(got) != 1 {
		t.Errorf("%d items of the tail, want 1: nothing else is needed for it", len(got))
	}
}
