package responses

import (
	"regexp"
	"strconv"
	"strings"
)

// ResponsePrefix begins every response ID, which is also the ID of the run's workflow.
const ResponsePrefix = "resp_"

// responseIDPattern is what an ID of a response can look like.
var responseIDPattern = regexp.MustCompile(`^resp_[A-Za-z0-9_-]{1,200}$`)

// IsResponseID reports whether an ID can be one of a response. It need not exist.
func IsResponseID(id string) bool { return responseIDPattern.MatchString(id) }

// Prefixes of item IDs. An mcp_call has the Agent API's prefix, which is "call_", or in [DialectOpenAI] OpenAI's.
const (
	prefixMessage          = "msg_"
	prefixFunctionCall     = "fc_"
	prefixFunctionOutput   = "fco_"
	prefixReasoning        = "rs_"
	prefixListTools        = "mcpl_"
	prefixMCPCall          = "call_"
	prefixOpenAIMCPCall    = "mcp_"
	prefixApprovalRequest  = "mcpr_"
	prefixApprovalResponse = "mcpa_"
	prefixCompaction       = "cmp_"
)

// itemIDPattern has the response's own part of an item's ID as its only group.
var itemIDPattern = regexp.MustCompile(
	`^(?:msg|fc|fco|rs|mcpl|call|mcp|mcpr|mcpa|cmp)_([A-Za-z0-9_-]{1,200})_(?:i[0-9]{1,9}|[0-9]{1,9}(?:r[0-9]{1,9})?)$`)

// ItemID derives the ID of the n-th item of a response from the response's own ID, so that every attempt at a step gives
// its items the same IDs. Clients must treat it as opaque.
func ItemID(itemType ItemType, responseID string, n int) string {
	return itemID(itemType.idPrefix(), responseID, strconv.Itoa(n))
}

// RetriedItemID is ItemID for an item of the try-th attempt at a step, from 1. A stream may have shown items of earlier attempts, and
// a client would take two items of one ID for the same item.
func RetriedItemID(itemType ItemType, responseID string, n, try int) string {
	if try <= 1 {
		return ItemID(itemType, responseID, n)
	}
	return ItemID(itemType, responseID, n) + "r" + strconv.Itoa(try)
}

// InputItemID derives the ID of the n-th item of a request's input from the ID of the response to it.
func InputItemID(itemType ItemType, responseID string, n int) string {
	return itemID(itemType.idPrefix(), responseID, "i"+strconv.Itoa(n))
}

// MCPCallID is RetriedItemID for an mcp_call, whose prefix depends on the dialect.
func MCPCallID(d Dialect, responseID string, n, try int) string {
	id := RetriedItemID(TypeMCPCall, responseID, n, try)
	if d == DialectOpenAI {
		return prefixOpenAIMCPCall + strings.TrimPrefix(id, prefixMCPCall)
	}
	return id
}

// CallID derives the call_id of a function call that is the n-th item of a response, made by the try-th attempt. It is the item ID of
// no other item.
func CallID(responseID string, n, try int) string {
	return RetriedItemID(TypeMCPCall, responseID, n, try)
}

// ParseItemID returns the ID of the response that an item belongs to, be it output or input. It is false for an ID that this server
// has not made. The item need not exist.
func ParseItemID(id string) (responseID string, ok bool) {
	match := itemIDPattern.FindStringSubmatch(id)
	if match == nil {
		return "", false
	}
	return ResponsePrefix + match[1], true
}

func itemID(prefix, responseID, n string) string {
	return prefix + responseID[min(len(ResponsePrefix), len(responseID)):] + "_" + n
}

func (t ItemType) idPrefix() string {
	switch t {
	case TypeMessage:
		return prefixMessage
	case TypeFunctionCall:
		return prefixFunctionCall
	case TypeFunctionCallOutput:
		return prefixFunctionOutput
	case TypeReasoning:
		return prefixReasoning
	case TypeMCPListTools:
		return prefixListTools
	case TypeMCPCall:
		return prefixMCPCall
	case TypeMCPApprovalRequest:
		return prefixApprovalRequest
	case TypeMCPApprovalResponse:
		return prefixApprovalResponse
	case TypeCompaction:
		return prefixCompaction
	default:
		return string(t) + "_"
	}
}
