package events

import (
	"encoding/json"

	"perdure/internal/blob"
)

// Kind says what an [Event] tells.
type Kind string

// The kinds of [Event]. They are stored: they never change.
const (
	// ListStarted: an MCP server's tools are being listed. Index, ItemID and Server are set.
	ListStarted Kind = "list_started"
	// ListDone: they were listed. Index, ItemID and Item, an mcp_list_tools item, are set.
	ListDone Kind = "list_done"
	// TurnStarted: an attempt at a model turn begins. Turn, Try and Index, that of the turn's first item, are set.
	TurnStarted Kind = "turn_started"
	// DeltaAdded: the model wrote a piece of an item. Turn, Try, Index, ItemID and Delta are set. The first delta of an item is
	// also its beginning, and may be empty.
	DeltaAdded Kind = "delta"
	// TurnDone: the model has finished a turn. Turn, Try, Index, that of the turn's first item, and Slots are set.
	TurnDone Kind = "turn_done"
	// CallStarted: a call that a user approved is made. Index, ItemID and Call are set. Calls of a turn begin with TurnDone.
	CallStarted Kind = "call_started"
	// CallDone: an MCP call has ended. Index, ItemID and Item, an mcp_call item, are set.
	CallDone Kind = "call_done"
	// Ended: the run is over. Whatever comes after the first such event does not count.
	Ended Kind = "ended"
)

// Event is what a step tells of its work. A reader gets the events of a response in the order in which the log stored them,
// which is the same for every reader.
type Event struct {
	Kind Kind `json:"kind"`
	// Turn counts from 1. Try orders the attempts at a turn: events of a lower one that come after those of a higher one are from
	// a worker that was given up, and do not count.
	Turn int `json:"turn,omitempty"`
	Try  int `json:"try,omitempty"`
	// Index is the item's place in the response's output.
	Index  int    `json:"index"`
	ItemID string `json:"item_id,omitempty"`
	Server string `json:"server,omitempty"` // its label
	// Item is the whole item, once it is done.
	Item  *blob.Value `json:"item,omitempty"`
	Delta *Delta      `json:"delta,omitempty"`
	Call  *Call       `json:"call,omitempty"`
	Slots []Slot      `json:"slots,omitempty"`
}

// The parts of an item to which a [Delta] may add.
const (
	PartText      = "text"
	PartRefusal   = "refusal"
	PartReasoning = "reasoning"
)

// Delta is a piece of text.
type Delta struct {
	Part string `json:"part"`
	// At is how many bytes of the part came before. A reader that has another number has missed some and waits for the whole.
	At   int    `json:"at"`
	Text string `json:"text"`
}

// Call is an MCP call that begins.
type Call struct {
	Server    string     `json:"server"`
	Tool      string     `json:"tool"`
	Arguments blob.Value `json:"arguments"` // a JSON string
	// ApprovalRequestID is the ID of the item with which the call was approved, if it was.
	ApprovalRequestID string `json:"approval_request_id,omitempty"`
}

// Slot is one item of a model turn, at [Event.Index] plus the slot's position: a finished item, or a call that begins.
type Slot struct {
	ItemID string      `json:"item_id"`
	Item   *blob.Value `json:"item,omitempty"`
	Call   *Call       `json:"call,omitempty"`
}

// Encode renders the event for the log.
func (e Event) Encode() ([]byte, error) { return json.Marshal(e) }
