package transcript

import (
	"context"
	"fmt"
	"slices"

	"perdure/internal/blob"
)

// segmentBytes is about the size of the segments in which many items at once are folded: what a segment holds inline is far below
// [blob.MaxBytes].
const segmentBytes = 1 << 20

// Extend returns t with more items at its end, and with no longer a tail than [Fold] leaves. Extending the same transcript by the
// same items again gives the same result.
func Extend(ctx context.Context, store *blob.Store, t Transcript, values []blob.Value) (Transcript, error) {
	pending := t.tailBytes()
	for len(values) > 0 {
		n := 0
		for n < len(values) && (n == 0 || pending < segmentBytes) {
			pending += values[n].InlineSize()
			n++
		}
		t.Append(values[:n]...)
		folded, _, err := Fold(ctx, store, t)
		if err != nil {
			return t, err
		}
		t, values, pending = folded, values[n:], 0
	}
	return t, nil
}

// Remove returns t without the item at a position. The segments before it are kept as they are.
func Remove(ctx context.Context, store *blob.Store, t Transcript, position int) (Transcript, error) {
	if position < 0 || position >= t.Len() {
		return t, fmt.Errorf("transcript: no item %d in a transcript of %d", position, t.Len())
	}
	kept, err := prefix(ctx, store, t, position)
	if err != nil {
		return t, err
	}
	values, err := Values(ctx, store, t, kept.Len())
	if err != nil {
		return t, err
	}
	at := position - kept.Len()
	return Extend(ctx, store, kept, slices.Concat(values[:at], values[at+1:]))
}

// prefix returns the transcript that the segments which end before the item at position before make up.
func prefix(ctx context.Context, store *blob.Store, t Transcript, before int) (Transcript, error) {
	if before >= t.Folded {
		return Transcript{Head: t.Head, Folded: t.Folded, Bytes: max(t.Bytes-Bytes(t.Tail), 0)}, nil
	}
	segments, names, err := readSegments(ctx, store, t)
	if err != nil {
		return t, err
	}
	var kept Transcript
	for i, s := range segments {
		if kept.Folded+len(s.Items) > before {
			break
		}
		kept = Transcript{Head: names[i], Folded: kept.Folded + len(s.Items), Bytes: kept.Bytes + Bytes(s.Items)}
	}
	return kept, nil
}
