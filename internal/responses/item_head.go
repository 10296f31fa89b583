package responses

// IDOf returns an item's own ID, empty when it has none.
func IDOf(item Item) string {
	id, _ := itemHead(item)
	return *id
}

// itemHead returns the place of an item's ID and, for an item that has a status in every form that clients know, of its status.
func itemHead(item Item) (id, status *string) {
	switch it := item.(type) {
	case *Message:
		return &it.ID, &it.Status
	case *FunctionCall:
		return &it.ID, &it.Status
	case *FunctionCallOutput:
		return &it.ID, &it.Status
	case *Reasoning:
		return &it.ID, nil
	case *MCPListTools:
		return &it.ID, nil
	case *MCPCall:
		return &it.ID, nil
	case *MCPApprovalRequest:
		return &it.ID, nil
	case *MCPApprovalResponse:
		return &it.ID, nil
	case *ItemReference:
		return &it.ID, nil
	case *Compaction:
		return &it.ID, nil
	default:
		return new(string), nil
	}
}
