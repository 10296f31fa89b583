package activities

import (
	"encoding/json"
	"slices"

	"perdure/internal/model"
	"perdure/internal/responses"
)

// maxCuts is how often one attempt at a turn may leave out more of a conversation that is too long.
const maxCuts = 6

// cutOldest leaves out about half of what may be left out of a turn's conversation, the oldest of it, and reports whether there was
// anything. The last message of the user stays with all that follows it; so do instructions, and lists of tools, which take no room.
// What belongs together, such as a call and its output, stays or goes as a whole.
func cutOldest(turn *model.Turn) bool {
	groups := groupsOf(turn.Items)
	left := 0
	for _, g := range groups {
		left += g.bytes
	}
	drop := map[int]bool{}
	for taken, i := 0, 0; i < len(groups) && 2*taken < left; i++ {
		for _, n := range groups[i].items {
			drop[n] = true
		}
		taken += groups[i].bytes
	}
	if len(drop) == 0 {
		return false
	}
	kept := make([]responses.Item, 0, len(turn.Items)-len(drop))
	steps := slices.Clone(turn.Steps)
	for i, item := range turn.Items {
		if !drop[i] {
			kept = append(kept, item)
			continue
		}
		for n, start := range turn.Steps {
			if i < start {
				steps[n]--
			}
		}
	}
	turn.Items, turn.Steps = kept, steps
	return true
}

// group is items that may be left out together.
type group struct {
	items []int
	bytes int // about, and never 0
}

// groupsOf returns what may be left out, oldest first.
func groupsOf(items []responses.Item) []*group {
	last := lastOfUser(items)
	var groups []*group
	byID := map[string]*group{}
	for i, item := range items {
		var g *group
		id := groupID(item)
		if id != "" {
			g = byID[id]
		}
		if g == nil {
			g = &group{}
			groups = append(groups, g)
			if id != "" {
				byID[id] = g
			}
		}
		g.items = append(g.items, i)
		data, _ := json.Marshal(item) // a size is wanted, not the text
		g.bytes += 1 + len(data)
	}
	return slices.DeleteFunc(groups, func(g *group) bool {
		return slices.ContainsFunc(g.items, func(i int) bool { return i >= last || stays(items[i]) })
	})
}

func lastOfUser(items []responses.Item) int {
	for i, item := range slices.Backward(items) {
		if m, ok := item.(*responses.Message); ok && m.Role == responses.RoleUser {
			return i
		}
	}
	return 0
}

// groupID is the same for items that belong together, and empty for an item that stands alone.
func groupID(item responses.Item) string {
	switch it := item.(type) {
	case *responses.FunctionCall:
		return "call " + it.CallID
	case *responses.FunctionCallOutput:
		return "call " + it.CallID
	case *responses.MCPApprovalRequest:
		return "approval " + it.ID
	case *responses.MCPApprovalResponse:
		return "approval " + it.ApprovalRequestID
	case *responses.MCPCall:
		if it.ApprovalRequestID != "" {
			return "approval " + it.ApprovalRequestID
		}
	}
	return ""
}

// stays reports whether an item is never left out.
func stays(item responses.Item) bool {
	switch it := item.(type) {
	case *responses.MCPListTools:
		return true
	case *responses.Message:
		return it.Role == responses.RoleSystem || it.Role == responses.RoleDeveloper
	}
	return false
}
