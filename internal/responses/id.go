package responses

import "strconv"

// ResponsePrefix begins every response ID, which is also the ID of the run's workflow.
const ResponsePrefix = "resp_"

// Prefixes of item IDs. An mcp_call has the Agent API's prefix, which is "call_".
const (
	prefixMessage      = "msg_"
	prefixFunctionCall = "fc_"
	prefixReasoning    = "rs_"
	prefixListTools    = "mcpl_"
	prefixMCPCall      = "call_"
)

// ItemID derives the ID of the n-th item of a response from the response's own ID, so that every attempt at a step gives
// its items the same IDs. Clients must treat it as opaque.
func ItemID(itemType ItemType, responseID string, n int) string {
	return itemType.idPrefix() + responseID[min(len(ResponsePrefix), len(responseID)):] + "_" + strconv.Itoa(n)
}

// CallID derives the call_id of a function call that is the n-th item of a response. It is the item ID of no other item.
func CallID(responseID string, n int) string { return ItemID(TypeMCPCall, responseID, n) }

func (t ItemType) idPrefix() string {
	switch t {
	case TypeMessage:
		return prefixMessage
	case TypeFunctionCall:
		return prefixFunctionCall
	case TypeReasoning:
		return prefixReasoning
	case TypeMCPListTools:
		return prefixListTools
	case TypeMCPCall:
		return prefixMCPCall
	default:
		return string(t) + "_"
	}
}

// callIDPlace names the call_id of the n-th input item, for errors.
func callIDPlace(n int) string { return "input[" + strconv.Itoa(n) + "].call_id" }
