package starter

import (
	"net/http"
	"net/url"
	"slices"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

// listConversationItems lists the items of a conversation, the latest first unless it is asked otherwise.
func (s *Starter) listConversationItems(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	params := r.URL.Query()
	limit, err := pageLimit(params)
	if err != nil {
		return err
	}
	state, err := s.conversationState(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	from := 0
	if params.Get("after") == "" && params.Get("order") != "asc" {
		from = max(0, state.Transcript.Len()-limit-1) // one more than asked for shows that there is more
	}
	memory := s.memory(who)
	defer memory.done()
	items, err := s.items(r.Context(), state.ConversationID, state.Transcript, from, memory)
	if err != nil {
		return err
	}
	return s.answerItems(w, r, items, params)
}

// createConversationItems adds items to a conversation and answers with them.
func (s *Starter) createConversationItems(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	req, err := responses.DecodeConversationItems(body)
	if err != nil {
		return err
	}
	// Before anything is stored for a conversation, it must be the caller's.
	state, err := s.queryConversation(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	added, err := s.newItems(r.Context(), state.ConversationID, req.Items)
	if err != nil {
		return err
	}
	state, err = s.changeConversation(
		r.Context(), who, state.ConversationID, workflows.ConversationAddName, workflows.ConversationChange{Added: added})
	if err != nil {
		return err
	}
	// They are in the conversation: a refusal for want of memory would have clients add them again. To read them takes what they have, as
	// the body does, which is held, and a segment.
	items, err := s.items(r.Context(), state.ConversationID, state.Transcript, state.Transcript.Len()-added.Len(), nil)
	if err != nil {
		return err
	}
	return s.answerItems(w, r, items, url.Values{"order": {"asc"}, "limit": {"100"}})
}

func (s *Starter) answerItems(w http.ResponseWriter, r *http.Request, items []responses.Item, params url.Values) error {
	page, err := pageOf(items, params, s.dialect(r))
	if err != nil {
		return err
	}
	return s.writeValue(w, r, page)
}

// getConversationItem answers with one item of a conversation.
func (s *Starter) getConversationItem(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	state, err := s.conversationState(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	memory := s.memory(who)
	defer memory.done()
	items, err := s.items(r.Context(), state.ConversationID, state.Transcript, 0, memory)
	if err != nil {
		return err
	}
	id := r.PathValue("item")
	at := slices.IndexFunc(items, func(item responses.Item) bool { return responses.IDOf(item) == id })
	if at < 0 {
		return &responses.Error{
			Status: http.StatusNotFound, Type: responses.ErrNotFound,
			Message: "Item with id '" + clip(id) + "' not found in conversation with id '" + state.ConversationID + "'.",
		}
	}
	body, err := responses.MarshalItem(items[at], s.dialect(r))
	if err != nil {
		return err
	}
	s.writeJSON(w, r, http.StatusOK, body)
	return nil
}

// deleteConversationItem takes one item out of a conversation and answers with the conversation.
func (s *Starter) deleteConversationItem(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	state, err := s.changeConversation(
		r.Context(), who, r.PathValue("id"), workflows.ConversationDeleteItemName, workflows.ConversationChange{ItemID: r.PathValue("item")})
	if err != nil {
		return err
	}
	return s.answerConversation(w, r, state)
}
