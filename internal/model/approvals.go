package model

import (
	"math"

	"perdure/internal/responses"
)

// Texts of calls that were not made because of their approval.
const (
	notApproved = "This call was not made: the user did not approve it."
	noApproval  = "This call was not made: no approval was given."
	neverMade   = "This call was approved, but it was not made."
)

// approvals knows what became of the approval requests of a conversation.
type approvals struct {
	items  []responses.Item
	answer map[string]int  // the ID of a request → the index of the response to it
	made   map[string]bool // the IDs of requests whose call was made
}

func pairApprovals(items []responses.Item) approvals {
	a := approvals{items: items, answer: map[string]int{}, made: map[string]bool{}}
	for i, item := range items {
		switch it := item.(type) {
		case *responses.MCPApprovalResponse:
			if _, answered := a.answer[it.ApprovalRequestID]; !answered {
				a.answer[it.ApprovalRequestID] = i
			}
		case *responses.MCPCall:
			if it.ApprovalRequestID != "" {
				a.made[it.ApprovalRequestID] = true
			}
		}
	}
	return a
}

// of returns what the model is told of a request, and where it was answered: the far end when it was not. It reports false for a
// request whose call was made, which says it all.
func (a approvals) of(r *responses.MCPApprovalRequest) (text string, at int, ok bool) {
	if a.made[r.ID] {
		return "", 0, false
	}
	at, answered := a.answer[r.ID]
	if !answered {
		return noApproval, math.MaxInt, true
	}
	answer, _ := a.items[at].(*responses.MCPApprovalResponse)
	switch {
	case answer.Approve:
		return neverMade, at, true
	case answer.Reason != "":
		return notApproved + " The reason given: " + answer.Reason, at, true
	default:
		return notApproved, at, true
	}
}
