package starter

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// conversationTimeout bounds how long a conversation is waited for, which needs a worker to answer.
const conversationTimeout = 30 * time.Second

// createConversation starts the workflow that keeps a new conversation.
func (s *Starter) createConversation(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	req, err := responses.DecodeConversation(body)
	if err != nil {
		return err
	}
	state := workflows.ConversationState{
		ConversationID: responses.ConversationPrefix + uuid.NewString(), Organization: who.Organization,
		Metadata: req.Metadata, CreatedAt: time.Now().Unix(),
	}
	state.NextItem, _ = responses.Adopt(state.ConversationID, 0, map[string]bool{}, req.Items)
	if state.Transcript, err = s.newItems(r.Context(), state.ConversationID, req.Items); err != nil {
		return err
	}
	if err := s.startConversation(r.Context(), who, state); err != nil {
		return err
	}
	return s.answerConversation(w, r, state)
}

// newItems returns the transcript of nothing but the items, for a conversation that the caller may change.
func (s *Starter) newItems(ctx context.Context, conversationID string, items []responses.Item) (transcript.Transcript, error) {
	store := s.Blobs.For(conversationID)
	values, err := transcript.Pack(ctx, store, items...)
	if err != nil {
		return transcript.Transcript{}, err
	}
	return transcript.Extend(ctx, store, transcript.Transcript{}, values)
}

func (s *Starter) startConversation(ctx context.Context, who identity.Principal, state workflows.ConversationState) error {
	options := client.StartWorkflowOptions{
		ID:                    state.ConversationID,
		TaskQueue:             s.TaskQueue,
		WorkflowTaskTimeout:   taskTimeout,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		EnableEagerStart:      s.Eager,
		StaticSummary:         "conversation",
		Priority:              priority(who, false),
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.Organization.ValueSet(who.Organization),
			workflows.User.ValueSet(who.User),
		),
	}
	return s.starting(ctx, who, func(ctx context.Context) error {
		_, err := s.Temporal.ExecuteWorkflow(ctx, options, workflows.ConversationName, state)
		return err
	})
}

// getConversation answers with a conversation, without its items.
func (s *Starter) getConversation(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	state, err := s.conversationState(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerConversation(w, r, state)
}

// updateConversation replaces a conversation's metadata.
func (s *Starter) updateConversation(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	req, err := responses.DecodeConversationUpdate(body)
	if err != nil {
		return err
	}
	state, err := s.changeConversation(
		r.Context(), who, r.PathValue("id"), workflows.ConversationMetadataName, workflows.ConversationChange{Metadata: req.Metadata})
	if err != nil {
		return err
	}
	return s.answerConversation(w, r, state)
}

// deleteConversation ends a conversation, so that nobody finds it any more, and then removes what is kept of it.
func (s *Starter) deleteConversation(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	_, err := s.changeConversation(r.Context(), who, id, workflows.ConversationDeleteName, workflows.ConversationChange{})
	if err != nil {
		return err
	}
	if err := s.deleteRun(r.Context(), who, id); err != nil {
		s.Logger.WarnContext(r.Context(), "history of a deleted conversation is left to expire", "conversation", id, "error", err)
	}
	return s.writeValue(w, r, map[string]any{"id": id, "object": "conversation.deleted", "deleted": true})
}

func (s *Starter) answerConversation(w http.ResponseWriter, r *http.Request, state workflows.ConversationState) error {
	metadata := state.Metadata
	if metadata == nil {
		metadata = map[string]string{} // null is not a map to strict clients
	}
	return s.writeValue(w, r, responses.Conversation{
		ID: state.ConversationID, Object: "conversation", CreatedAt: state.CreatedAt, Metadata: metadata,
	})
}

// conversation returns what a request goes on with that names a conversation.
func (k *Intake) conversation(ctx context.Context, who identity.Principal, id string) (before, error) {
	state, err := k.conversationState(ctx, who, id)
	var shown *responses.Error
	if errors.As(err, &shown) && shown.Status == http.StatusNotFound {
		shown.Param = "conversation"
	}
	return before{transcript: state.Transcript, owner: id, servers: state.Servers}, err
}

// conversationState returns a conversation with the items of every run whose client has its answer. A conversation that the caller
// may not know of is a 404.
func (k *Intake) conversationState(ctx context.Context, who identity.Principal, id string) (workflows.ConversationState, error) {
	state, err := k.queryConversation(ctx, who, id)
	if err != nil || !state.Unsettled {
		return state, err
	}
	return k.changeConversation(ctx, who, id, workflows.ConversationSettleName, workflows.ConversationChange{})
}

// queryConversation returns a conversation as it is now, as long as the caller may know of it.
func (k *Intake) queryConversation(ctx context.Context, who identity.Principal, id string) (workflows.ConversationState, error) {
	var state workflows.ConversationState
	if !validConversationID(id) {
		return state, conversationNotFound(id)
	}
	ctx, cancel := context.WithTimeout(ctx, conversationTimeout)
	defer cancel()
	defer k.gates.temporal.Watch()()
	answer, err := k.Temporal.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
		WorkflowID: id, QueryType: workflows.ConversationStateName, QueryRejectCondition: enumspb.QUERY_REJECT_CONDITION_NOT_OPEN,
	})
	switch {
	case err != nil:
		return state, conversationError(ctx, id, err)
	case answer.QueryRejected != nil:
		return state, conversationNotFound(id)
	}
	if err := answer.QueryResult.Get(&state); err != nil {
		return state, err
	}
	if state.Organization != who.Organization {
		return workflows.ConversationState{}, conversationNotFound(id)
	}
	return state, nil
}

// changeConversation asks a conversation for a change, and returns what it is after it.
func (k *Intake) changeConversation(
	ctx context.Context, who identity.Principal, id, update string, change workflows.ConversationChange,
) (workflows.ConversationState, error) {
	var state workflows.ConversationState
	if !validConversationID(id) {
		return state, conversationNotFound(id)
	}
	change.Organization = who.Organization
	ctx, cancel := context.WithTimeout(ctx, conversationTimeout)
	defer cancel()
	defer k.gates.temporal.Watch()()
	handle, err := k.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		UpdateID: uuid.NewString(), WorkflowID: id, UpdateName: update, Args: []any{change},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &state)
	}
	return state, conversationError(ctx, id, err)
}

// settleConversation waits until the conversation of a response that is about to be deleted has what it takes over from it.
func (s *Starter) settleConversation(ctx context.Context, who identity.Principal, e *envelope) error {
	if e.running || e.response.Conversation == nil {
		return nil
	}
	_, err := s.changeConversation(ctx, who, e.response.Conversation.ID, workflows.ConversationSettleName, workflows.ConversationChange{})
	var shown *responses.Error
	if errors.As(err, &shown) && shown.Status == http.StatusNotFound {
		return nil // it was deleted
	}
	return err
}

// conversationError is the error of a conversation that was asked for something within ctx.
func conversationError(ctx context.Context, id string, err error) error {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case hasEnded(err):
		return conversationNotFound(id)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return unavailable("the conversation does not answer; try again")
	case !errors.As(err, &app):
		return err
	}
	switch app.Type() {
	case workflows.ErrTypeConversationGone:
		return conversationNotFound(id)
	case workflows.ErrTypeConversationFull:
		return responses.Invalid("items", "%s", app.Message())
	case workflows.ErrTypeItemNotFound:
		return &responses.Error{Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: app.Message()}
	default:
		return err
	}
}

func conversationNotFound(id string) *responses.Error {
	return &responses.Error{
		Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "Conversation with id '" + clip(id) + "' not found.",
	}
}

// validConversationID keeps callers from asking workflows of other kinds.
func validConversationID(id string) bool {
	unique, ok := strings.CutPrefix(id, responses.ConversationPrefix)
	parsed, err := uuid.Parse(unique)
	return ok && err == nil && parsed.String() == unique
}
