package starter

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// before is the conversation that a request goes on with. Its zero value is an empty one.
type before struct {
	transcript transcript.Transcript
	// owner is the workflow ID of the response or the conversation that the transcript is of.
	owner string
	// bytes is the size of the transcript, and most what it may have with the request's items; 0 is no limit.
	bytes, most int64
	// What the last response of the conversation waits for.
	pendingCalls     []string
	pendingApprovals []string
	// servers are those whose tools the conversation lists.
	servers []workflows.ListedServer
	// answers are what the request says to approval requests of the conversation.
	answers answers
}

// before reads what the request refers to: an earlier response or a conversation, items and approval requests. A response carries
// all that came before it, so that a chain of any length is one read.
func (k *Intake) before(ctx context.Context, who identity.Principal, req *responses.Request, c call) (before, error) {
	var b before
	var err error
	switch {
	case req.PreviousResponseID != "":
		b, err = k.previous(ctx, who, req.PreviousResponseID, c)
	case req.Conversation != "":
		b, err = k.conversation(ctx, who, req.Conversation)
	}
	if err != nil {
		return b, err
	}
	if err := k.measure(ctx, req, &b, k.Limits.Run.ConversationBytes, c.memory); err != nil {
		return b, err
	}
	if err := k.resolveReferences(ctx, who, req, b, c.memory); err != nil {
		return b, err
	}
	if err := b.checkOutputs(req); err != nil {
		return b, err
	}
	b.answers, err = k.approvalAnswers(ctx, req, b, c)
	return b, err
}

// previous reads the response that the request goes on with.
func (k *Intake) previous(ctx context.Context, who identity.Principal, id string, c call) (before, error) {
	e, err := k.find(ctx, who, id)
	var shown *responses.Error
	if errors.As(err, &shown) && shown.Status == http.StatusNotFound {
		return before{}, previousNotFound(id)
	}
	if err != nil {
		return before{}, err
	}
	// The Agent API lets a response that is not stored be continued; OpenAI only on the WebSocket that created it.
	if !e.stored && !c.live[id] && (c.dialect == responses.DialectOpenAI || c.live != nil) {
		return before{}, previousNotFound(id)
	}
	out, err := k.outcome(ctx, e)
	if err != nil {
		return before{}, err
	}
	switch out.Status {
	case responses.ResponseQueued, responses.ResponseInProgress:
		return before{}, responses.Invalid("previous_response_id", "the response %q is still %s; go on with it when it has ended", id, out.Status)
	}
	if out.Conversation.Len() == 0 {
		return before{}, responses.Invalid("previous_response_id", "the response %q ended without an outcome; it cannot be continued", id)
	}
	return before{
		transcript: out.Conversation, owner: id, servers: out.Servers,
		pendingCalls: out.PendingCalls, pendingApprovals: out.PendingApprovals,
	}, nil
}

func previousNotFound(id string) *responses.Error {
	return &responses.Error{
		Status: http.StatusBadRequest, Type: responses.ErrInvalidRequest, Code: responses.CodePreviousResponseNotFound, Param: "previous_response_id",
		Message: "Previous response with id '" + clip(id) + "' not found.",
	}
}

// itemsBefore reads the conversation that a request goes on with.
func (k *Intake) itemsBefore(ctx context.Context, b before, memory *metered) ([]responses.Item, error) {
	return k.items(ctx, b.owner, b.transcript, 0, memory)
}

// checkOutputs wants every function call that the earlier response ended with to be answered, and nothing else.
func (b before) checkOutputs(req *responses.Request) error {
	if req.PreviousResponseID == "" {
		return nil
	}
	answered := map[string]bool{}
	for _, output := range req.OuterOutputs() {
		if !slices.Contains(b.pendingCalls, output.CallID) {
			return responses.Invalid(output.Place, "no function call of the conversation waits for an output with the call_id %q", clip(output.CallID))
		}
		answered[output.CallID] = true
	}
	for _, id := range b.pendingCalls {
		if !answered[id] {
			return responses.Invalid("input", "no function_call_output answers the call %q of the previous response", id)
		}
	}
	return nil
}

// takeOver copies the conversation that a request goes on with to the new response, so that each of the two can be deleted without the
// other. One that was deleted just now is not found.
func (k *Intake) takeOver(ctx context.Context, store *blob.Store, b before, req *responses.Request) (transcript.Transcript, error) {
	own, err := transcript.Copy(ctx, store, k.Blobs.For(b.owner), b.transcript)
	return own, k.ifGone(ctx, b, req, err)
}

// ifGone makes a not found of the error of a conversation that was deleted just now. Others it returns as they are.
func (k *Intake) ifGone(ctx context.Context, b before, req *responses.Request, err error) error {
	if !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	k.Logger.WarnContext(ctx, "a conversation that a request goes on with was deleted, or its values are missing", "of", b.owner, "error", err)
	if req.Conversation != "" {
		return conversationNotFound(req.Conversation)
	}
	return previousNotFound(req.PreviousResponseID)
}
