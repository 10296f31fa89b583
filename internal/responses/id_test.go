package responses_test

import (
	"strings"
	"testing"

	"perdure/internal/responses"
)

var itemPrefixes = map[responses.ItemType]string{
	responses.TypeMessage: "msg_", responses.TypeFunctionCall: "fc_", responses.TypeFunctionCallOutput: "fco_",
	responses.TypeReasoning: "rs_", responses.TypeMCPListTools: "mcpl_", responses.TypeMCPCall: "call_",
	responses.TypeMCPApprovalRequest: "mcpr_", responses.TypeMCPApprovalResponse: "mcpa_", responses.TypeCompaction: "cmp_",
}

const exampleResponse = "resp_0b3e6b0c-52a3-4be5-9d0a-0c2a2f8d8f11"

func TestItemIDs(t *testing.T) {
	t.Parallel()
	for itemType, prefix := range itemPrefixes {
		for id, end := range map[string]string{
			responses.ItemID(itemType, exampleResponse, 7):            "_7",
			responses.RetriedItemID(itemType, exampleResponse, 7, 1):  "_7",
			responses.RetriedItemID(itemType, exampleResponse, 7, 2):  "_7r2",
			responses.RetriedItemID(itemType, exampleResponse, 0, 10): "_0r10",
			responses.InputItemID(itemType, exampleResponse, 3):       "_i3",
		} {
			if want := prefix + "0b3e6b0c-52a3-4be5-9d0a-0c2a2f8d8f11" + end; id != want {
				t.Errorf("ID of %s is %q, want %q", itemType, id, want)
			}
			if response, ok := responses.ParseItemID(id); response != exampleResponse || !ok {
				t.Errorf("ParseItemID(%q) is %q, %v", id, response, ok)
			}
		}
	}
	agent := responses.MCPCallID(responses.DialectAgent, exampleResponse, 7, 1)
	openAI := responses.MCPCallID(responses.DialectOpenAI, exampleResponse, 7, 1)
	if agent != responses.ItemID(responses.TypeMCPCall, exampleResponse, 7) || openAI != "mcp_0b3e6b0c-52a3-4be5-9d0a-0c2a2f8d8f11_7" {
		t.Errorf("IDs of an MCP call are %q and %q", agent, openAI)
	}
	if again := responses.MCPCallID(responses.DialectOpenAI, exampleResponse, 7, 3); again != openAI+"r3" {
		t.Errorf("the ID of a third attempt is %q", again)
	}
	if response, ok := responses.ParseItemID(openAI); response != exampleResponse || !ok {
		t.Errorf("ParseItemID(%q) is %q, %v", openAI, response, ok)
	}
	if call, item := responses.CallID("resp_5f", 7, 1), responses.ItemID(responses.TypeFunctionCall, "resp_5f", 7); call == item {
		t.Errorf("a function call and its item have the ID %q", call)
	}
	if a, b := responses.ItemID(responses.TypeMessage, "resp_1", 11), responses.ItemID(responses.TypeMessage, "resp_11", 1); a == b {
		t.Errorf("items of two responses have the ID %q", a)
	}
}

func TestParseItemIDRefuses(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", "msg", "msg_", "msg_1", "msg__1", "msg_5f_", "msg_5f_x", "msg_5f_1r", "msg_5f_1r2r3", "msg_5f_i", "msg_5f_i1r2", "msg_5f_-1",
		"msg_5f_1 ", " msg_5f_1", "msg_5f_1\n", "msg_5/f_1", "msg_5\x00f_1", "msg_é_1", "resp_5f_1", "conv_5f_1", "item_5f_1", "_5f_1",
		exampleResponse, "msg_5f_1234567890", "msg_" + strings.Repeat("f", 251) + "_1",
	} {
		if response, ok := responses.ParseItemID(id); ok || response != "" {
			t.Errorf("ParseItemID(%q) is %q, %v", id, response, ok)
		}
	}
	// Whatever a response's ID may look like, its last part is the item's number.
	if response, ok := responses.ParseItemID("msg_a_1_2"); response != "resp_a_1" || !ok {
		t.Errorf("response is %q, %v", response, ok)
	}
}
