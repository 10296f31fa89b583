package responses

// Identify completes an item of a request's input: with an ID if it came without one, and with its status, where items have one. An
// mcp_call keeps having no ID: it is also what the model knows the call by, which must not change when the same conversation is sent
// again.
func Identify(item Item, id string) {
	own, status := itemHead(item)
	if status != nil && *status == "" {
		*status = StatusCompleted
	}
	if *own == "" && item.Type() != TypeMCPCall {
		*own = id
	}
}
