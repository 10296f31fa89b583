package responses

// MarshalItem renders one item as [Response.MarshalWire] renders it in the output.
func MarshalItem(item Item, d Dialect) ([]byte, error) {
	return marshalShown(inDialect(item, d))
}

// MarshalStarted renders an item as it is when a stream first shows it: with what identifies it, and empty.
func MarshalStarted(item Item, d Dialect) ([]byte, error) {
	switch it := item.(type) {
	case *Message:
		return encode(&Message{ID: it.ID, Role: it.Role, Status: StatusInProgress, Phase: it.Phase})
	case *Reasoning:
		return encode(&Reasoning{ID: it.ID})
	case *FunctionCall:
		return encode(&FunctionCall{ID: it.ID, CallID: it.CallID, Name: it.Name, Status: StatusInProgress})
	case *MCPListTools:
		return encode(startedList{TypeMCPListTools, it.ID, it.ServerLabel, []MCPToolInfo{}})
	case *MCPCall:
		started := &MCPCall{
			ID: it.ID, ServerLabel: it.ServerLabel, Name: it.Name, ApprovalRequestID: it.ApprovalRequestID, Status: StatusInProgress,
		}
		if d == DialectOpenAI {
			return encode(openAICall{started})
		}
		return encode(agentStartedCall{TypeMCPCall, it.ID, it.ServerLabel, it.Name, "", nil, nil})
	default:
		return MarshalItem(item, d)
	}
}

func marshalShown(item Item) ([]byte, error) {
	schemas := newHeldSchemas()
	body, err := encode(schemas.hold(item))
	if err != nil {
		return nil, err
	}
	return schemas.fill(body), nil
}

// inDialect returns the item with the members that it has in the dialect.
func inDialect(item Item, d Dialect) Item {
	call, ok := item.(*MCPCall)
	switch {
	case !ok:
		return item
	case d == DialectOpenAI:
		return openAICall{call}
	case call.Status == "" && call.ApprovalRequestID == "":
		return call
	default:
		bare := *call
		bare.Status, bare.ApprovalRequestID = "", ""
		return &bare
	}
}

// startedList is an [MCPListTools] of which nothing is known yet, not even whether it failed.
type startedList struct {
	Type        ItemType      `json:"type"`
	ID          string        `json:"id"`
	ServerLabel string        `json:"server_label"`
	Tools       []MCPToolInfo `json:"tools"`
}

// agentStartedCall is an [MCPCall] that has neither output nor error yet.
type agentStartedCall struct {
	Type        ItemType `json:"type"`
	ID          string   `json:"id"`
	ServerLabel string   `json:"server_label"`
	Name        string   `json:"name"`
	Arguments   string   `json:"arguments"`
	Output      *string  `json:"output"`
	Error       *string  `json:"error"`
}

// openAICall is an [MCPCall] in [DialectOpenAI].
type openAICall struct{ *MCPCall }

// MarshalJSON implements [json.Marshaler].
func (c openAICall) MarshalJSON() ([]byte, error) {
	shown := struct {
		Type              ItemType `json:"type"`
		ID                string   `json:"id,omitempty"`
		Status            string   `json:"status"`
		ApprovalRequestID *string  `json:"approval_request_id"`
		ServerLabel       string   `json:"server_label"`
		Name              string   `json:"name"`
		Arguments         string   `json:"arguments"`
		Output            *string  `json:"output"`
		Error             *string  `json:"error"`
		ThoughtSignature  string   `json:"thought_signature,omitempty"`
	}{
		TypeMCPCall, c.ID, c.status(), nullIfEmpty(c.ApprovalRequestID), c.ServerLabel, c.Name, c.Arguments, &c.Output, c.Error,
		c.ThoughtSignature,
	}
	if shown.Status != StatusCompleted {
		shown.Output = nullIfEmpty(c.Output)
	}
	return encode(shown)
}

func (c openAICall) status() string {
	switch {
	case c.Status != "":
		return c.Status
	case c.Error != nil:
		return "failed"
	default:
		return StatusCompleted
	}
}
