// Package transcript holds the conversation of a run in a form that a workflow can carry from step to step.
//
// Passing the whole conversation to every model turn makes a history grow with the square of the number of turns: at 800 KB of
// conversation Temporal terminates such a run after some fifty turns. A [Transcript] therefore has a short tail of items in
// history and one reference to everything before it. When the tail grows past [FoldBytes], the next model turn writes it to the
// blob store as a segment and goes on with an empty one. A segment lists the segments before it, so that all of them can be
// read at once.
package transcript

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"perdure/internal/blob"
	"perdure/internal/responses"
)

// Sizes in bytes. Both bound what a step of a run puts into its history.
const (
	// InlineBytes is the longest item that history holds itself.
	InlineBytes = 8 << 10
	// FoldBytes is the longest tail that a model turn leaves in place. Every turn carries its tail as input, so half of this
	// is what a turn adds to history on average.
	FoldBytes = 16 << 10
	// parallelReads bounds how many segments and items are read at once.
	parallelReads = 16
)

// Transcript is a conversation. The zero value is an empty one.
type Transcript struct {
	// Head names the segment that ends just before Tail; empty when there is none.
	Head blob.Ref `json:"head,omitempty"`
	// Folded is the number of items before Tail.
	Folded int          `json:"folded,omitempty"`
	Tail   []blob.Value `json:"tail,omitempty"`
	// Bytes is the size of all items, wherever they are kept. Of a transcript that code without this member had in its hands, it is less;
	// [Size] is always right.
	Bytes int64 `json:"bytes,omitempty"`
}

// segment is what Head names.
type segment struct {
	Before []blob.Ref   `json:"before,omitempty"` // oldest first
	Items  []blob.Value `json:"items"`
}

// Len is the number of items.
func (t *Transcript) Len() int { return t.Folded + len(t.Tail) }

// Append adds items at the end.
func (t *Transcript) Append(items ...blob.Value) {
	// A fresh array each time: an earlier step's input may still share the old one.
	t.Tail = append(t.Tail[:len(t.Tail):len(t.Tail)], items...)
	t.Bytes += Bytes(items)
}

// Bytes is the size of items, wherever they are kept.
func Bytes(values []blob.Value) int64 {
	var n int64
	for _, v := range values {
		n += int64(v.Len())
	}
	return n
}

// Size returns the size of all items in bytes. It reads the segments, and none of the items that are kept apart.
func Size(ctx context.Context, store *blob.Store, t Transcript) (int64, error) {
	values, err := Values(ctx, store, t, 0)
	return Bytes(values), err
}

func (t *Transcript) tailBytes() int {
	n := 0
	for _, v := range t.Tail {
		n += v.InlineSize()
	}
	return n
}

// Pack encodes items for a transcript; the store keeps the long ones.
func Pack(ctx context.Context, store *blob.Store, items ...responses.Item) ([]blob.Value, error) {
	values := make([]blob.Value, len(items))
	for i, item := range items {
		v, err := store.Pack(ctx, item, InlineBytes)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// Fold returns the transcript with its tail moved into the store, and true, if the tail is longer than [FoldBytes]. Otherwise
// it returns t as it is, and false. Folding the same transcript again gives the same result.
func Fold(ctx context.Context, store *blob.Store, t Transcript) (Transcript, bool, error) {
	if t.tailBytes() <= FoldBytes {
		return t, false, nil
	}
	s := segment{Items: t.Tail}
	if t.Head != "" {
		head, err := readSegment(ctx, store, t.Head)
		if err != nil {
			return t, false, err
		}
		s.Before = append(head.Before, t.Head)
	}
	packed, err := store.Pack(ctx, s, 0)
	if err != nil {
		return t, false, err
	}
	return Transcript{Head: packed.Ref, Folded: t.Len(), Bytes: t.Bytes}, true, nil
}

// Load returns the items from position from on.
func Load(ctx context.Context, store *blob.Store, t Transcript, from int) ([]responses.Item, error) {
	values, err := Values(ctx, store, t, from)
	if err != nil {
		return nil, err
	}
	return Unpack(ctx, store, values)
}

// LoadShort is Load for who needs less of the items than there is: shorten takes out of each what is not needed as soon as it is decoded,
// so that the items are never in memory all at once as they are kept. It is called for several items at the same time.
func LoadShort(ctx context.Context, store *blob.Store, t Transcript, shorten func(responses.Item)) ([]responses.Item, error) {
	values, err := Values(ctx, store, t, 0)
	if err != nil {
		return nil, err
	}
	return unpackAll(ctx, store, values, shorten)
}

// Unpack decodes what [Pack] encoded.
func Unpack(ctx context.Context, store *blob.Store, values []blob.Value) ([]responses.Item, error) {
	return unpackAll(ctx, store, values, func(responses.Item) {})
}

func unpackAll(ctx context.Context, store *blob.Store, values []blob.Value, shorten func(responses.Item)) ([]responses.Item, error) {
	items := make([]responses.Item, len(values))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i, v := range values {
		if v.Ref == "" {
			continue
		}
		g.Go(func() error { return unpack(ctx, store, v, shorten, &items[i]) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, v := range values {
		if v.Ref != "" {
			continue
		}
		if err := unpack(ctx, store, v, shorten, &items[i]); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func unpack(ctx context.Context, store *blob.Store, v blob.Value, shorten func(responses.Item), out *responses.Item) error {
	data, err := store.Bytes(ctx, v)
	if err != nil {
		return err
	}
	if *out, err = responses.UnmarshalItem(data); err != nil {
		return err
	}
	shorten(*out)
	return nil
}

// Values returns the items from position from on, as they are kept.
func Values(ctx context.Context, store *blob.Store, t Transcript, from int) ([]blob.Value, error) {
	if from < 0 || from > t.Len() {
		return nil, fmt.Errorf("transcript: no item %d in a transcript of %d", from, t.Len())
	}
	if from >= t.Folded {
		return t.Tail[from-t.Folded:], nil
	}
	if from > 0 {
		folded, err := latest(ctx, store, t, t.Folded-from)
		return slices.Concat(folded, t.Tail), err
	}
	segments, _, err := readSegments(ctx, store, t)
	if err != nil {
		return nil, err
	}
	values := make([]blob.Value, 0, t.Len())
	for _, s := range segments {
		values = append(values, s.Items...)
	}
	return append(values, t.Tail...), nil
}

// latest returns the last n items that are in segments. It reads no more of these than it needs.
func latest(ctx context.Context, store *blob.Store, t Transcript, n int) ([]blob.Value, error) {
	head, err := readSegment(ctx, store, t.Head)
	if err != nil {
		return nil, err
	}
	values := head.Items
	for _, ref := range slices.Backward(head.Before) {
		if len(values) >= n {
			break
		}
		s, err := readSegment(ctx, store, ref)
		if err != nil {
			return nil, err
		}
		values = slices.Concat(s.Items, values)
	}
	if len(values) < n {
		return nil, fmt.Errorf("transcript: segments hold %d items, %d were expected at least", len(values), n)
	}
	return values[len(values)-n:], nil
}

// readSegments returns the segments of a transcript that has some, oldest first, and their names.
func readSegments(ctx context.Context, store *blob.Store, t Transcript) ([]segment, []blob.Ref, error) {
	head, err := readSegment(ctx, store, t.Head)
	if err != nil {
		return nil, nil, err
	}
	segments := make([]segment, len(head.Before), len(head.Before)+1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i, ref := range head.Before {
		g.Go(func() error {
			s, err := readSegment(ctx, store, ref)
			segments[i] = s
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	segments = append(segments, head)
	items := 0
	for _, s := range segments {
		items += len(s.Items)
	}
	if items != t.Folded {
		return nil, nil, fmt.Errorf("transcript: segments hold %d items, %d were expected", items, t.Folded)
	}
	return segments, append(head.Before, t.Head), nil
}

func readSegment(ctx context.Context, store *blob.Store, ref blob.Ref) (segment, error) {
	data, err := store.Get(ctx, ref)
	if err != nil {
		return segment{}, err
	}
	var s segment
	if err := json.Unmarshal(data, &s); err != nil {
		return segment{}, fmt.Errorf("transcript: decode segment %s: %w", ref, err)
	}
	return s, nil
}
