package starter

import (
	"context"

	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// measure finds out how large the conversation is that a request goes on with, and refuses one that is larger than most bytes already; 0
// is no limit. A conversation is in memory as a whole, in starters and in workers, and it grows with each request.
func (k *Intake) measure(ctx context.Context, req *responses.Request, b *before, most int64, memory *metered) error {
	b.most = most
	if most == 0 || b.transcript.Len() == 0 {
		return nil
	}
	values, err := k.values(ctx, b.owner, b.transcript, 0, memory)
	if err != nil {
		return k.ifGone(ctx, *b, req, err)
	}
	b.bytes = transcript.Bytes(values)
	return b.checkSize(req, 0)
}

// checkSize refuses a conversation that would be too large with so many bytes more. The error names what makes it so, and the remedy.
func (b before) checkSize(req *responses.Request, more int64) error {
	if b.most == 0 || b.bytes+more <= b.most {
		return nil
	}
	const format = "the conversation would have %d bytes with this request, and one may have %s (limits.conversation_bytes): %s"
	size, most := b.bytes+more, bytesInWords(b.most)
	switch {
	case more > b.most, b.bytes == 0:
		return responses.Invalid("input", format, size, most, "send fewer or shorter items")
	case req.Conversation != "":
		return responses.Invalid("conversation", format, size, most, "delete items of it, or begin a new one with what is still needed")
	default:
		return responses.Invalid("previous_response_id", format, size, most,
			"make it short with POST /v1/responses/compact, or begin a new one with what is still needed")
	}
}

// values returns the items of a transcript from a position on, as they are kept. To find them, all before them may have to be read, which
// counts as memory meanwhile.
func (k *Intake) values(ctx context.Context, owner string, t transcript.Transcript, from int, memory *metered) ([]blob.Value, error) {
	held := memory.held()
	if from < t.Folded {
		if err := memory.take(t.Bytes); err != nil {
			return nil, err
		}
		defer memory.keep(held)
	}
	return transcript.Values(ctx, k.Blobs.For(owner), t, from)
}

// items reads the items of a transcript from a position on. They count as memory, which whoever has them gives back.
func (k *Intake) items(ctx context.Context, owner string, t transcript.Transcript, from int, memory *metered) ([]responses.Item, error) {
	values, err := k.values(ctx, owner, t, from, memory)
	if err != nil {
		return nil, err
	}
	if err := memory.take(transcript.Bytes(values)); err != nil {
		return nil, err
	}
	return transcript.Unpack(ctx, k.Blobs.For(owner), values)
}
