package activities

import (
	"context"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// ConversationAppendInput adds a part of one transcript to a conversation's.
type ConversationAppendInput struct {
	ConversationID string                `json:"conversation_id"`
	Transcript     transcript.Transcript `json:"transcript"` // the conversation's
	// NextItem is the number of the next item that gets its ID from the conversation.
	NextItem int `json:"next_item"`
	// Added are the items of Added from position From on.
	Added transcript.Transcript `json:"added"`
	From  int                   `json:"from"`
	// ResponseID is set when the items are those of a run. IDs derived from it are not looked for in the conversation.
	ResponseID string `json:"response_id,omitempty"`
}

// ConversationAppendResult is the longer conversation.
type ConversationAppendResult struct {
	Transcript transcript.Transcript `json:"transcript"`
	NextItem   int                   `json:"next_item"`
}

// ConversationAppend adds items to a conversation. Its errors have the type [ErrTypeStorage], or [ErrTypeConversationFull].
func (a *Activities) ConversationAppend(ctx context.Context, in ConversationAppendInput) (ConversationAppendResult, error) {
	if err := a.count(ctx, in.ConversationID, &in.Transcript); err != nil {
		return ConversationAppendResult{}, storageError(err)
	}
	values, next, err := a.adopted(ctx, in)
	if err != nil {
		return ConversationAppendResult{}, storageError(err)
	}
	extended, err := transcript.Extend(ctx, a.Blobs.For(in.ConversationID), in.Transcript, values)
	if err != nil {
		return ConversationAppendResult{}, storageError(err)
	}
	return ConversationAppendResult{Transcript: extended, NextItem: next}, nil
}

// count counts the bytes of a transcript that may have been begun before they were counted.
func (a *Activities) count(ctx context.Context, id string, t *transcript.Transcript) (err error) {
	if t.Bytes == 0 {
		t.Bytes, err = transcript.Size(ctx, a.Blobs.For(id), *t)
	}
	return err
}

// checkRoom refuses items for which a conversation has no room. It is read as a whole by each run that goes on with it.
func (a *Activities) checkRoom(in ConversationAppendInput, added []blob.Value) error {
	most := a.MaxConversation
	if in.ResponseID != "" {
		most *= 2 // the run was let in, and nobody could be told that its items are missing
	}
	if most == 0 || in.Transcript.Bytes+transcript.Bytes(added) <= most {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the conversation would have %d bytes with these items, and one may have %d (limits.conversation_bytes): delete items of it, "+
			"or begin a new one", in.Transcript.Bytes+transcript.Bytes(added), most), ErrTypeConversationFull, nil)
}

// adopted returns the items to add, each with an ID that no other item of the conversation has, and the next number. They are in the
// conversation's own store.
func (a *Activities) adopted(ctx context.Context, in ConversationAppendInput) ([]blob.Value, int, error) {
	store := a.Blobs.For(in.ConversationID)
	source := store
	if in.ResponseID != "" {
		source = a.Blobs.For(in.ResponseID)
	}
	values, err := transcript.Values(ctx, source, in.Added, in.From)
	if err != nil {
		return nil, 0, err
	}
	if err := a.checkRoom(in, values); err != nil {
		return nil, 0, err
	}
	if err := transcript.CopyValues(ctx, store, source, values); err != nil {
		return nil, 0, err
	}
	items, err := transcript.Unpack(ctx, store, values)
	if err != nil {
		return nil, 0, err
	}
	taken := map[string]bool{}
	if anyForeign(items, in.ResponseID) {
		if taken, err = itemIDs(ctx, store, in.Transcript); err != nil {
			return nil, 0, err
		}
	}
	next, changed := responses.Adopt(in.ConversationID, in.NextItem, taken, items)
	out := make([]blob.Value, len(values))
	for i, item := range items {
		if !changed[i] {
			out[i] = values[i]
			continue
		}
		packed, err := transcript.Pack(ctx, store, item)
		if err != nil {
			return nil, 0, err
		}
		out[i] = packed[0]
	}
	return out, next, nil
}

// anyForeign reports whether there is an item whose ID was not made for a run that is added once.
func anyForeign(items []responses.Item, responseID string) bool {
	unique := strings.TrimPrefix(responseID, responses.ResponsePrefix)
	for _, item := range items {
		if id := responses.IDOf(item); id != "" && (unique == "" || !strings.Contains(id, unique)) {
			return true
		}
	}
	return false
}

func itemIDs(ctx context.Context, store *blob.Store, t transcript.Transcript) (map[string]bool, error) {
	items, err := transcript.Load(ctx, store, t, 0)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(items))
	for _, item := range items {
		ids[responses.IDOf(item)] = true
	}
	return ids, nil
}

// ConversationDeleteItemInput takes an item out of a conversation.
type ConversationDeleteItemInput struct {
	ConversationID string                `json:"conversation_id"`
	Transcript     transcript.Transcript `json:"transcript"`
	ItemID         string                `json:"item_id"`
}

// ConversationDeleteItemResult is the shorter conversation. Found is false when it has no such item.
type ConversationDeleteItemResult struct {
	Transcript transcript.Transcript `json:"transcript"`
	Found      bool                  `json:"found"`
}

// ConversationDeleteItem takes an item out of a conversation. Its errors have the type [ErrTypeStorage].
func (a *Activities) ConversationDeleteItem(ctx context.Context, in ConversationDeleteItemInput) (ConversationDeleteItemResult, error) {
	store := a.Blobs.For(in.ConversationID)
	items, err := transcript.Load(ctx, store, in.Transcript, 0)
	if err != nil {
		return ConversationDeleteItemResult{}, storageError(err)
	}
	for i, item := range items {
		if responses.IDOf(item) != in.ItemID {
			continue
		}
		if err := a.count(ctx, in.ConversationID, &in.Transcript); err != nil {
			return ConversationDeleteItemResult{}, storageError(err)
		}
		shorter, err := transcript.Remove(ctx, store, in.Transcript, i)
		if err != nil {
			return ConversationDeleteItemResult{}, storageError(err)
		}
		return ConversationDeleteItemResult{Transcript: shorter, Found: true}, nil
	}
	return ConversationDeleteItemResult{Transcript: in.Transcript}, nil
}
