package stream

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"perdure/internal/events"
	"perdure/internal/responses"
)

// TestAppendString compares with encoding/json, whose escapes for HTML are the only difference.
func TestAppendString(t *testing.T) {
	t.Parallel()
	pieces := []string{
		"", "a", "\"", "\\", "/", "<>&", "\n", "\r", "\t", "\b", "\f", "\x00", "\x1f", "\x7f", "é", "日本", "😀", "\u2027", "\u2028", "\u2029",
		"\u202a", "\ufffd", "\xff", "\xe2\x80", "\xed\xa0\x80", "\xf0\x9f",
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		var s string
		for range r.IntN(6) {
			s += pieces[r.IntN(len(pieces))]
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		var was, is string
		got := appendString(nil, s)
		if err := json.Unmarshal(got, &is); err != nil {
			t.Fatalf("%q becomes %s: %v", s, got, err)
		}
		if err := json.Unmarshal(want.Bytes(), &was); err != nil {
			t.Fatal(err)
		}
		if is != was || bytes.ContainsAny(got, "\n\r\u2028\u2029") {
			t.Fatalf("%q becomes %s, encoding/json makes %s", s, got, want.Bytes())
		}
	}
}

// TestIdle: what was said is not kept once it is done.
func TestIdle(t *testing.T) {
	t.Parallel()
	r := New(Options{Dialect: responses.DialectAgent})
	delta := events.Event{
		Kind: events.DeltaAdded, Turn: 1, Try: 1, ItemID: "rs_0", Delta: &events.Delta{Part: events.PartReasoning, Text: "hm"},
	}
	next := events.Event{
		Kind: events.DeltaAdded, Turn: 1, Try: 1, Index: 1, ItemID: "msg_1", Delta: &events.Delta{Part: events.PartText, Text: "so"},
	}
	for _, e := range []events.Event{delta, next} {
		if _, err := r.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.live) != 2 || r.live[0].shown != nil || r.live[1].shown == nil || r.out != nil {
		t.Errorf("the renderer keeps %+v", r)
	}
}

func BenchmarkDelta(b *testing.B) {
	r := New(Options{Dialect: responses.DialectAgent})
	const text = " and then, \"they\" said,\n"
	at := 0
	b.ReportAllocs()
	for b.Loop() {
		made, err := r.Add(b.Context(), events.Event{
			Kind: events.DeltaAdded, Turn: 1, Try: 1, ItemID: "msg_0123456789abcdef0123456789abcdef_12",
			Delta: &events.Delta{Part: events.PartText, At: at, Text: text},
		})
		if err != nil || len(made) == 0 {
			b.Fatal(made, err)
		}
		at += len(text)
	}
}
