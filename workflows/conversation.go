package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/transcript"
)

// Names of the conversation's workflow and of what it answers to. They are part of every history: they never change.
const (
	ConversationName = "Conversation"
	// ConversationAppendName is the signal with a [ConversationAppend].
	ConversationAppendName = "append"
	// ConversationStateName is the query for the [ConversationState] as it is now.
	ConversationStateName = "state"
	// Updates take a [ConversationChange] and return the [ConversationState] after it. The last one waits for appends under way and
	// changes nothing.
	ConversationAddName        = "add_items"
	ConversationDeleteItemName = "delete_item"
	ConversationMetadataName   = "set_metadata"
	ConversationDeleteName     = "delete"
	ConversationSettleName     = "settle"
)

// Types of the errors with which a conversation refuses a change.
const (
	ErrTypeConversationGone = "conversation_not_found"
	ErrTypeConversationFull = activities.ErrTypeConversationFull
	ErrTypeItemNotFound     = "item_not_found"
)

const (
	// MaxConversationItems is as many as a request may bring as its input.
	MaxConversationItems = 20_000
	// maxApplied is how many responses a conversation remembers, so that none is added twice. A signal that is repeated comes soon.
	maxApplied = 100
	// maxConversationEvents is how long a history may get before the workflow goes on in a new one.
	maxConversationEvents = 2_000
)

// ConversationState is all that a conversation is. It starts the conversation's workflow and answers its query.
type ConversationState struct {
	ConversationID string `json:"conversation_id"`
	// Organization is the tenant.
	Organization string                `json:"organization"`
	Transcript   transcript.Transcript `json:"transcript"`
	// Servers are those whose tools the transcript lists, each as it was listed last.
	Servers   []ListedServer    `json:"servers,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	CreatedAt int64             `json:"created_at"` // Unix seconds
	// NextItem is the number of the next item that gets its ID from the conversation.
	NextItem int `json:"next_item,omitempty"`
	// Applied are the IDs of the last responses whose items were added.
	Applied []string `json:"applied,omitempty"`
	// Unsettled is set in the answer to a query while items of a response that has ended are on their way.
	Unsettled bool `json:"unsettled,omitempty"`
}

// ConversationAppend has a conversation go on with the items of a run: those of Transcript from position From on.
type ConversationAppend struct {
	ResponseID string                `json:"response_id"`
	Transcript transcript.Transcript `json:"transcript"`
	From       int                   `json:"from,omitempty"`
	// Servers are those whose tools the run's conversation lists.
	Servers []ListedServer `json:"servers,omitempty"`
}

// ConversationChange is what a client asks of a conversation. Which member counts is told by the update's name.
type ConversationChange struct {
	Organization string                `json:"organization"` // the caller's
	Added        transcript.Transcript `json:"added,omitzero"`
	ItemID       string                `json:"item_id,omitempty"`
	Metadata     map[string]string     `json:"metadata,omitempty"`
}

// Conversation keeps a conversation until it is deleted. Its workflow ID is the conversation's. Runs add their items by a signal, and
// clients make their changes by updates; they are applied one after another.
func Conversation(ctx workflow.Context, state ConversationState) error {
	c := &conversation{state: state, turn: workflow.NewMutex(ctx), appends: workflow.GetSignalChannel(ctx, ConversationAppendName)}
	if err := c.answer(ctx); err != nil {
		return err
	}
	for {
		err := workflow.Await(ctx, func() bool { return c.appends.Len() > 0 || c.over(ctx) && workflow.AllHandlersFinished(ctx) })
		if err != nil {
			return err
		}
		var a ConversationAppend
		switch {
		case c.receive(&a):
			c.appendRun(ctx, a)
		case c.deleted:
			return nil
		case c.over(ctx):
			return workflow.NewContinueAsNewError(ctx, ConversationName, c.state)
		}
	}
}

type conversation struct {
	state   ConversationState
	turn    workflow.Mutex // held by the change that is being made
	appends workflow.ReceiveChannel
	// appending is set from when a signal is received until its items are there.
	appending bool
	deleted   bool
}

// over reports whether this run of the workflow is to end.
func (c *conversation) over(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return c.deleted || info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() > maxConversationEvents
}

func (c *conversation) receive(a *ConversationAppend) bool {
	c.appending = c.appends.ReceiveAsync(a)
	return c.appending
}

func (c *conversation) settled() bool { return c.appends.Len() == 0 && !c.appending }

func (c *conversation) answer(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, ConversationStateName, func() (ConversationState, error) {
		state := c.state
		state.Unsettled = !c.settled()
		return state, nil
	})
	if err != nil {
		return err
	}
	updates := []struct {
		name   string
		change func(workflow.Context, ConversationChange) error
		check  func(ConversationChange) error
	}{
		{ConversationAddName, c.addItems, func(in ConversationChange) error { return c.room(in.Added.Len()) }},
		{ConversationDeleteItemName, c.deleteItem, nil},
		{ConversationMetadataName, c.setMetadata, nil},
		{ConversationDeleteName, c.delete, nil},
		{ConversationSettleName, func(workflow.Context, ConversationChange) error { return nil }, nil},
	}
	for _, u := range updates {
		handler := func(ctx workflow.Context, in ConversationChange) (ConversationState, error) {
			return c.apply(ctx, in, u.change)
		}
		refuse := func(in ConversationChange) error {
			if err := c.known(in); err != nil || u.check == nil {
				return err
			}
			return u.check(in)
		}
		if err := workflow.SetUpdateHandlerWithOptions(ctx, u.name, handler, workflow.UpdateHandlerOptions{Validator: refuse}); err != nil {
			return err
		}
	}
	return nil
}

// apply makes a client's change when all before it have been made. A run whose client has its answer comes before.
func (c *conversation) apply(
	ctx workflow.Context, in ConversationChange, change func(workflow.Context, ConversationChange) error,
) (ConversationState, error) {
	if err := workflow.Await(ctx, c.settled); err != nil {
		return ConversationState{}, err
	}
	if err := c.turn.Lock(ctx); err != nil {
		return ConversationState{}, err
	}
	defer c.turn.Unlock()
	if err := c.known(in); err != nil { // it may have been deleted meanwhile
		return ConversationState{}, err
	}
	if err := change(ctx, in); err != nil {
		return ConversationState{}, err
	}
	return c.state, nil
}

// known refuses a caller of another organization as if there were no conversation.
func (c *conversation) known(in ConversationChange) error {
	if c.deleted || in.Organization != c.state.Organization {
		return refusal(ErrTypeConversationGone, "no such conversation")
	}
	return nil
}

func (c *conversation) room(items int) error {
	if c.state.Transcript.Len()+items > MaxConversationItems {
		return refusal(ErrTypeConversationFull, fmt.Sprintf("a conversation holds %d items at the most", MaxConversationItems))
	}
	return nil
}

func refusal(kind, message string) error {
	return temporal.NewNonRetryableApplicationError(message, kind, nil)
}

// appendRun adds the items of a run. Nobody waits for it, so its failure is only logged.
func (c *conversation) appendRun(ctx workflow.Context, a ConversationAppend) {
	defer func() { c.appending = false }()
	if err := c.turn.Lock(ctx); err != nil {
		return
	}
	defer c.turn.Unlock()
	if c.deleted || slices.Contains(c.state.Applied, a.ResponseID) {
		return
	}
	err := c.extend(ctx, a.Transcript, a.From, a.ResponseID, conversationOptions(runAppendAttempts, "items of "+a.ResponseID))
	if err != nil {
		workflow.GetLogger(ctx).Error("items of a response are missing in its conversation", "response", a.ResponseID, "error", err)
		return
	}
	c.state.Servers = relisted(c.state.Servers, a.Servers)
	applied := append(slices.Clone(c.state.Applied), a.ResponseID)
	c.state.Applied = applied[max(0, len(applied)-maxApplied):]
}

// relisted replaces the servers that were listed anew.
func relisted(servers, anew []ListedServer) []ListedServer {
	kept := slices.DeleteFunc(slices.Clone(servers), func(s ListedServer) bool {
		return slices.ContainsFunc(anew, func(n ListedServer) bool { return n.Label == s.Label })
	})
	return append(kept, anew...)
}

func (c *conversation) addItems(ctx workflow.Context, in ConversationChange) error {
	return c.extend(ctx, in.Added, 0, "", conversationOptions(changeAttempts, "new items"))
}

func (c *conversation) extend(
	ctx workflow.Context, added transcript.Transcript, from int, responseID string, o workflow.ActivityOptions,
) error {
	if err := c.room(added.Len() - from); err != nil {
		return err
	}
	var longer activities.ConversationAppendResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), activities.ConversationAppendName, activities.ConversationAppendInput{
		ConversationID: c.state.ConversationID, Transcript: c.state.Transcript, NextItem: c.state.NextItem,
		Added: added, From: from, ResponseID: responseID,
	}).Get(ctx, &longer)
	if err != nil {
		return err
	}
	c.state.Transcript, c.state.NextItem = longer.Transcript, longer.NextItem
	return nil
}

func (c *conversation) deleteItem(ctx workflow.Context, in ConversationChange) error {
	var shorter activities.ConversationDeleteItemResult
	err := workflow.ExecuteActivity(
		workflow.WithActivityOptions(ctx, conversationOptions(changeAttempts, "without "+in.ItemID)), activities.ConversationDeleteItemName,
		activities.ConversationDeleteItemInput{
			ConversationID: c.state.ConversationID, Transcript: c.state.Transcript, ItemID: in.ItemID,
		},
	).Get(ctx, &shorter)
	if err != nil {
		return err
	}
	if !shorter.Found {
		return refusal(ErrTypeItemNotFound, "no such item in the conversation")
	}
	c.state.Transcript = shorter.Transcript
	c.state.Servers = nil // the item may have been the list of one of them
	return nil
}

func (c *conversation) setMetadata(_ workflow.Context, in ConversationChange) error {
	c.state.Metadata = in.Metadata
	return nil
}

func (c *conversation) delete(workflow.Context, ConversationChange) error {
	c.deleted = true
	return nil
}

// signalConversation gives the items of a run to its conversation, and waits until they have reached it. A conversation that was
// deleted meanwhile takes nothing, which is no failure of the run.
func signalConversation(ctx workflow.Context, conversationID string, a ConversationAppend) {
	err := workflow.SignalExternalWorkflow(ctx, conversationID, "", ConversationAppendName, a).Get(ctx, nil)
	if err != nil {
		workflow.GetLogger(ctx).Warn("conversation did not take the items of a response",
			"conversation", conversationID, "response", a.ResponseID, "error", err)
	}
}
