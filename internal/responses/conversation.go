package responses

import (
	"encoding/json"
	"strconv"
)

// ConversationPrefix begins every conversation ID, which is also the ID of the conversation's workflow.
const ConversationPrefix = "conv_"

// maxNewItems is how many items a client may add to a conversation at a time, as at OpenAI.
const maxNewItems = 20

// Conversation is a conversation as a client sees it.
type Conversation struct {
	ID        string            `json:"id"`
	Object    string            `json:"object"`     // "conversation"
	CreatedAt int64             `json:"created_at"` // Unix seconds
	Metadata  map[string]string `json:"metadata"`
}

// ConversationRequest asks for a new conversation, for a change of its metadata, or for more items in it.
type ConversationRequest struct {
	Items    []Item
	Metadata map[string]string // never nil where a request may have it
}

// DecodeConversation reads the request for a new conversation; no body asks for an empty one. Its error is always an [*Error] with
// HTTP status 400.
func DecodeConversation(body []byte) (*ConversationRequest, error) {
	if skipSpace(body, 0) == len(body) {
		body = []byte("{}")
	}
	return decodeBody(body, DialectAgent, func(o *object) *ConversationRequest {
		req := &ConversationRequest{Metadata: decodeMetadata(o)}
		if data, ok := o.take("items"); ok {
			req.Items = decodeNewItems(o, data)
		}
		return req
	})
}

// DecodeConversationUpdate reads the request for other metadata of a conversation. Null takes all of it away. Its error is always
// an [*Error] with HTTP status 400.
func DecodeConversationUpdate(body []byte) (*ConversationRequest, error) {
	return decodeBody(body, DialectAgent, func(o *object) *ConversationRequest {
		if !o.has("metadata") {
			o.fail(Invalid(o.at("metadata"), "is required; send null for none"))
		}
		return &ConversationRequest{Metadata: decodeMetadata(o)}
	})
}

// DecodeConversationItems reads the request for more items in a conversation. Its error is always an [*Error] with HTTP status 400.
func DecodeConversationItems(body []byte) (*ConversationRequest, error) {
	return decodeBody(body, DialectAgent, func(o *object) *ConversationRequest {
		req := &ConversationRequest{}
		data, ok := o.require("items")
		if !ok {
			return req
		}
		if req.Items = decodeNewItems(o, data); len(req.Items) == 0 {
			o.fail(Invalid(o.at("items"), "must not be empty"))
		}
		return req
	})
}

func decodeMetadata(o *object) map[string]string {
	if m := o.stringMap("metadata", maxMetadata, maxMetadataKey, maxMetadataText); m != nil {
		return m
	}
	return map[string]string{}
}

// decodeNewItems reads items that may refer to what the conversation has already: an output whose call is there, for instance.
func decodeNewItems(o *object, data json.RawMessage) []Item {
	var items []Item
	o.list(o.at("items"), data, maxNewItems, func(path string, data json.RawMessage) {
		item := decodeItem(o.object(path, data))
		if item == nil {
			return
		}
		if item.Type() == TypeItemReference {
			o.fail(notSupported(path+".type", "an item of type item_reference in a conversation"))
		}
		items = append(items, item)
	})
	return items
}

// Adopt makes items part of a conversation: it completes their status, and gives an ID to those that have none and to those whose ID
// is taken. What it gives as IDs ends in next and the numbers that follow. It adds all IDs to taken, and returns the next number and
// whether each item was changed.
func Adopt(conversationID string, next int, taken map[string]bool, items []Item) (int, []bool) {
	changed := make([]bool, len(items))
	for i, item := range items {
		id, status := itemHead(item)
		if status != nil && *status == "" {
			*status, changed[i] = StatusCompleted, true
		}
		for *id == "" || taken[*id] {
			*id = itemID(item.Type().idPrefix(), conversationID, strconv.Itoa(next))
			next++
			changed[i] = true
		}
		taken[*id] = true
	}
	return next, changed
}
