package starter

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// parallelLooks is how many items of a conversation are looked at together for those that a request refers to.
const parallelLooks = 16

// referenced is a stored item that a request refers to.
type referenced struct {
	item  responses.Item
	bytes int64
}

// resolveReferences puts the items that the input refers to in the places of the references. A reference of a few bytes stands for an item
// of any size, and each of them has a copy of its own in the run, so that each counts in full.
func (k *Intake) resolveReferences(ctx context.Context, who identity.Principal, req *responses.Request, b before, memory *metered) error {
	wanted := map[string]map[string]bool{} // the IDs, by their source
	for _, item := range req.Input {
		if reference, ok := item.(*responses.ItemReference); ok {
			source := sourceOf(req, reference)
			if wanted[source] == nil {
				wanted[source] = map[string]bool{}
			}
			wanted[source][reference.ID] = true
		}
	}
	found := map[string]referenced{}
	total := b.bytes
	for i, item := range req.Input {
		reference, ok := item.(*responses.ItemReference)
		if !ok {
			continue
		}
		if source := sourceOf(req, reference); wanted[source] != nil {
			if err := k.lookUp(ctx, who, source, wanted[source], b, memory, found); err != nil {
				return err
			}
			delete(wanted, source)
		}
		place := "input[" + strconv.Itoa(i) + "].id"
		it, ok := found[reference.ID]
		if !ok {
			return responses.Invalid(place, "no item with the id %q is stored", clip(reference.ID))
		}
		if total += it.bytes; b.most > 0 && total > b.most {
			return responses.Invalid(place, "with the item %q the conversation has more than %s, which is the most that one may have "+
				"(limits.conversation_bytes): refer to fewer items; each reference counts as much as its item", clip(reference.ID), bytesInWords(b.most))
		}
		req.Input[i] = it.item
	}
	return nil
}

// sourceOf returns the ID of the response that an item belongs to which a request refers to; "" is for the conversation.
func sourceOf(req *responses.Request, reference *responses.ItemReference) string {
	source, ok := responses.ParseItemID(reference.ID)
	if !ok || req.Conversation != "" {
		return ""
	}
	return source
}

// lookUp adds those of a source's items to found that are wanted. They count as memory; the others only while they are looked at.
func (k *Intake) lookUp(
	ctx context.Context, who identity.Principal, source string, wanted map[string]bool, b before, memory *metered, found map[string]referenced,
) error {
	owner, t := b.owner, b.transcript
	if source != "" {
		var err error
		if owner, t, err = k.conversationOf(ctx, who, source); err != nil {
			return err
		}
	}
	values, err := k.values(ctx, owner, t, 0, memory)
	if err != nil {
		return err
	}
	left := len(wanted)
	for some := range slices.Chunk(values, parallelLooks) {
		held, kept := memory.held(), int64(0)
		if err := memory.take(transcript.Bytes(some)); err != nil {
			return err
		}
		items, err := transcript.Unpack(ctx, k.Blobs.For(owner), some)
		if err != nil {
			return err
		}
		for i, item := range items {
			id := responses.IDOf(item)
			if _, ok := found[id]; wanted[id] && !ok {
				found[id] = referenced{item, int64(some[i].Len())}
				kept += int64(some[i].Len())
				left--
			}
		}
		if memory.keep(held + kept); left == 0 {
			break
		}
	}
	return nil
}

// conversationOf returns the conversation of a stored response; an empty one where there is no such response.
func (k *Intake) conversationOf(ctx context.Context, who identity.Principal, responseID string) (string, transcript.Transcript, error) {
	e, err := k.stored(ctx, who, responseID)
	var shown *responses.Error
	if errors.As(err, &shown) {
		return responseID, transcript.Transcript{}, nil
	}
	if err != nil {
		return "", transcript.Transcript{}, err
	}
	out, err := k.outcome(ctx, e)
	if err != nil {
		return "", transcript.Transcript{}, err
	}
	return responseID, out.Conversation, nil
}
