package model

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

func say(role, text string) *responses.Message {
	part := responses.InputText(text)
	if role == responses.RoleAssistant {
		part = responses.OutputText(text)
	}
	return &responses.Message{Role: role, Content: []responses.Part{part}}
}

func function(callID, name, arguments string) *responses.FunctionCall {
	return &responses.FunctionCall{CallID: callID, Name: name, Arguments: arguments}
}

func result(callID, text string) *responses.FunctionCallOutput {
	return &responses.FunctionCallOutput{CallID: callID, Output: []responses.Part{responses.InputText(text)}}
}

func mcpCall(id, name, output string) *responses.MCPCall {
	return &responses.MCPCall{ID: id, ServerLabel: "gh", Name: name, Arguments: `{}`, Output: output}
}

func asks(id, name string) *responses.MCPApprovalRequest {
	return &responses.MCPApprovalRequest{ID: id, ServerLabel: "gh", Name: name, Arguments: `{}`, ThoughtSignature: "sig"}
}

func answers(id string, approve bool, reason string) *responses.MCPApprovalResponse {
	return &responses.MCPApprovalResponse{ApprovalRequestID: id, Approve: approve, Reason: reason}
}

func approved(call *responses.MCPCall, requestID string) *responses.MCPCall {
	call.ApprovalRequestID = requestID
	return call
}

func failed(call *responses.MCPCall, why string) *responses.MCPCall {
	call.Error = &why
	return call
}

// render shows messages one per line: role, calls as id=name(arguments), the call that a tool message answers, content.
func render(messages []message) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(m.Role)
		if m.ToolCallID != "" {
			b.WriteString(" " + m.ToolCallID)
		}
		for _, c := range m.ToolCalls {
			b.WriteString(" " + c.ID + "=" + c.Function.Name + "(" + c.Function.Arguments + ")")
			if c.ExtraContent != nil {
				b.WriteString("~" + c.ExtraContent.Google.ThoughtSignature)
			}
		}
		content, err := json.Marshal(m.Content)
		if err != nil {
			panic(err)
		}
		b.WriteString(" " + string(content) + "\n")
	}
	return b.String()
}

func TestMessages(t *testing.T) {
	t.Parallel()
	user, assistant := responses.RoleUser, responses.RoleAssistant
	for name, test := range map[string]struct {
		turn Turn
		want string
	}{
		"instructions first": {
			Turn{Instructions: "Be kind.", Items: []responses.Item{say(user, "hi")}},
			`system "Be kind."
			 user "hi"`,
		},
		"roles": {
			Turn{Items: []responses.Item{say("system", "s"), say("developer", "d"), say(user, "u"), say(assistant, "a"), say(assistant, "b")}},
			`system "s"
			 system "d"
			 user "u"
			 assistant "a"
			 assistant "b"`,
		},
		"several texts": {
			Turn{Items: []responses.Item{&responses.Message{Role: user, Content: []responses.Part{responses.InputText("a"), responses.InputText("b")}}}},
			`user "a\nb"`,
		},
		"image": {
			Turn{Items: []responses.Item{&responses.Message{Role: user, Content: []responses.Part{
				responses.InputText("look"), {Type: responses.PartInputImage, ImageURL: "https://x/y.png", Detail: "original"},
			}}}},
			`user [{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}}]`,
		},
		"refusal": {
			Turn{Items: []responses.Item{&responses.Message{Role: assistant, Content: []responses.Part{{Type: responses.PartRefusal, Text: "no"}}}}},
			`assistant "no"`,
		},
		"empty assistant message": {
			Turn{Items: []responses.Item{say(user, "u"), &responses.Message{Role: assistant}}},
			`user "u"`,
		},
		"text and calls merge": {
			Turn{Items: []responses.Item{say(user, "u"), say(assistant, "wait"), function("c1", "f", `{"a":1}`), function("c2", "g", ""), result("c1", "1"), result("c2", "2"), say(assistant, "done")}},
			`user "u"
			 assistant c1=f({"a":1}) c2=g({}) "wait"
			 tool c1 "1"
			 tool c2 "2"
			 assistant "done"`,
		},
		"answers in another order": {
			Turn{Items: []responses.Item{function("c1", "f", "{}"), function("c2", "f", "{}"), result("c2", "2"), result("c1", "1")}},
			`assistant c1=f({}) c2=f({}) null
			 tool c1 "1"
			 tool c2 "2"`,
		},
		"one after the other": {
			Turn{Items: []responses.Item{function("c1", "f", "{}"), result("c1", "1"), function("c2", "f", "{}"), result("c2", "2")}},
			`assistant c1=f({}) null
			 tool c1 "1"
			 assistant c2=f({}) null
			 tool c2 "2"`,
		},
		"a message between call and answer": {
			Turn{Items: []responses.Item{function("c1", "f", "{}"), say(user, "hurry"), result("c1", "1")}},
			`assistant c1=f({}) null
			 tool c1 "1"
			 user "hurry"`,
		},
		"unanswered": {
			Turn{Items: []responses.Item{function("c1", "f", "{}"), say(user, "never mind")}},
			`assistant c1=f({}) null
			 tool c1 "(this call was not answered)"
			 user "never mind"`,
		},
		"answer without a call": {
			Turn{Items: []responses.Item{result("c1", "1")}},
			`user "Output of an earlier tool call: 1"`,
		},
		"the same call ID again": {
			Turn{Items: []responses.Item{function("c", "f", "{}"), result("c", "1"), function("c", "f", "{}"), result("c", "2")}},
			`assistant c=f({}) null
			 tool c "1"
			 assistant call_830ca531a0457280b5101d595ec3d6fa=f({}) null
			 tool call_830ca531a0457280b5101d595ec3d6fa "2"`,
		},
		"calls of MCP servers": {
			Turn{Items: []responses.Item{say(assistant, "wait"), mcpCall("call_1", "list", "L"), mcpCall("call_2", "read", ""), failed(mcpCall("call_3", "write", ""), "denied")}},
			`assistant call_1=gh__list({}) "wait"
			 tool call_1 "L"
			 assistant call_2=gh__read({}) null
			 tool call_2 "(no output)"
			 assistant call_3=gh__write({}) null
			 tool call_3 "The tool call failed: denied"`,
		},
		"calls of known steps": {
			Turn{
				Items: []responses.Item{
					say(user, "u"), mcpCall("call_1", "list", "1"), mcpCall("call_2", "list", "2"),
					&responses.Reasoning{}, say(assistant, "more"), mcpCall("call_3", "list", "3"), mcpCall("call_4", "list", "4"),
				},
				Steps: []int{1, 3},
			},
			`user "u"
			 assistant call_1=gh__list({}) call_2=gh__list({}) null
			 tool call_1 "1"
			 tool call_2 "2"
			 assistant call_3=gh__list({}) call_4=gh__list({}) "more"
			 tool call_3 "3"
			 tool call_4 "4"`,
		},
		"function and MCP calls of one turn": {
			Turn{Items: []responses.Item{function("c1", "f", "{}"), mcpCall("call_2", "list", "2"), result("c1", "1")}},
			`assistant c1=f({}) call_2=gh__list({}) null
			 tool c1 "1"
			 tool call_2 "2"`,
		},
		"what is skipped": {
			Turn{Items: []responses.Item{&responses.MCPListTools{ServerLabel: "gh"}, say(user, "u"), &responses.Reasoning{}}},
			`user "u"`,
		},
		"a call that was approved stands where it was made": {
			Turn{Items: []responses.Item{say(user, "u"), say(assistant, "may I"), asks("r1", "write"), answers("r1", true, ""), approved(mcpCall("call_1", "write", "done"), "r1"), say(assistant, "it is done")}},
			`user "u"
			 assistant call_1=gh__write({}) "may I"
			 tool call_1 "done"
			 assistant "it is done"`,
		},
		"calls that were not approved": {
			Turn{Items: []responses.Item{say(user, "u"), say(assistant, "may I"), asks("r1", "write"), asks("r2", "read"), answers("r2", false, "too late"), answers("r1", false, "")}},
			`user "u"
			 assistant r1=gh__write({})~sig r2=gh__read({})~sig "may I"
			 tool r1 "This call was not made: the user did not approve it."
			 tool r2 "This call was not made: the user did not approve it. The reason given: too late"`,
		},
		"calls that nobody approved": {
			Turn{Items: []responses.Item{asks("r1", "write"), asks("r2", "read"), say(user, "never mind"), asks("r3", "write"), answers("r3", true, "")}},
			`assistant r1=gh__write({})~sig r2=gh__read({})~sig null
			 tool r1 "This call was not made: no approval was given."
			 tool r2 "This call was not made: no approval was given."
			 user "never mind"
			 assistant r3=gh__write({})~sig null
			 tool r3 "This call was approved, but it was not made."`,
		},
		"a call, a call that was approved and one that was not, made at once": {
			Turn{Items: []responses.Item{
				say(user, "u"), mcpCall("call_1", "list", "1"), asks("r1", "write"), asks("r2", "write"), function("c1", "f", "{}"),
				result("c1", "f"), answers("r1", true, ""), answers("r2", false, ""), approved(mcpCall("call_2", "write", "2"), "r1"),
			}, Steps: []int{1, 8}},
			`user "u"
			 assistant call_1=gh__list({}) r2=gh__write({})~sig c1=f({}) null
			 tool call_1 "1"
			 tool r2 "This call was not made: the user did not approve it."
			 tool c1 "f"
			 assistant call_2=gh__write({}) null
			 tool call_2 "2"`,
		},
		"the same without steps, in the next run": {
			Turn{Items: []responses.Item{
				say(user, "u"), asks("r2", "write"), mcpCall("call_1", "list", "1"), function("c1", "f", "{}"),
				result("c1", "f"), answers("r2", false, ""), say(user, "go on"),
			}},
			`user "u"
			 assistant r2=gh__write({})~sig call_1=gh__list({}) c1=f({}) null
			 tool r2 "This call was not made: the user did not approve it."
			 tool call_1 "1"
			 tool c1 "f"
			 user "go on"`,
		},
		"an answer to a request that is not here": {
			Turn{Items: []responses.Item{say(user, "u"), answers("r9", true, "")}},
			`user "u"`,
		},
		"names and arguments that no provider takes": {
			Turn{Items: []responses.Item{function("c1", "a b", "not json"), result("c1", "1"), function("c2", "f", "[1]"), result("c2", "2")}},
			`assistant c1=a_b_KIRAPUUB({"invalid_arguments":"not json"}) null
			 tool c1 "1"
			 assistant c2=f({"invalid_arguments":"[1]"}) null
			 tool c2 "2"`,
		},
		"thought signature": {
			Turn{Items: []responses.Item{&responses.FunctionCall{CallID: "c1", Name: "f", ThoughtSignature: "sig"}, result("c1", "1")}},
			`assistant c1=f({})~sig null
			 tool c1 "1"`,
		},
		"image from a function": {
			Turn{Items: []responses.Item{function("c1", "shot", "{}"), function("c2", "f", "{}"), &responses.FunctionCallOutput{CallID: "c1", Output: []responses.Part{{Type: responses.PartInputImage, ImageURL: "data:image/png;base64,AA"}}}, result("c2", "2")}},
			`assistant c1=shot({}) c2=f({}) null
			 tool c1 "(no output)"
			 tool c2 "2"
			 user [{"type":"text","text":"Images that the tools returned:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]`,
		},
		"long output": {
			Turn{Items: []responses.Item{mcpCall("call_1", "list", "aéb"+strings.Repeat("x", 97))}, MaxToolOutput: 2},
			`assistant call_1=gh__list({}) null
			 tool call_1 "a\n[cut here: 100 of 101 bytes are left out]"`,
		},
	} {
		test.turn.Names = NewNames([]string{"f", "g"}, nil)
		want := strings.ReplaceAll(test.want, "\n\t\t\t ", "\n") + "\n"
		if diff := cmp.Diff(want, render(newMessages(test.turn, Quirks{}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMessagesKeepTheirPrefix(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("i", 41)
	items := []responses.Item{
		say(responses.RoleUser, "u"), mcpCall(long, "a", "1"), mcpCall("", "b", "2"), mcpCall("", "c", "3"), mcpCall(long, "d", "4"),
	}
	steps := []int{1, 3}
	var before string
	for n := 1; n <= len(items); n += 2 {
		got := render(newMessages(Turn{Items: items[:n], Steps: steps, Names: &Names{}}, Quirks{}))
		if !strings.HasPrefix(got, before) {
			t.Errorf("after %d items:\n%s\nwhich does not begin with\n%s", n, got, before)
		}
		before = got
	}
	seen := map[string]bool{}
	for _, m := range newMessages(Turn{Items: items, Names: &Names{}}, Quirks{}) {
		for _, c := range m.ToolCalls {
			if len(c.ID) > 40 || c.ID == "" || seen[c.ID] {
				t.Errorf("the ID %q is too long, empty or not unique", c.ID)
			}
			seen[c.ID] = true
		}
	}
}

func TestSystemRole(t *testing.T) {
	t.Parallel()
	got := render(newMessages(Turn{Instructions: "i", Items: []responses.Item{say("system", "s")}}, Quirks{SystemRole: RoleDeveloper}))
	if want := "developer \"i\"\ndeveloper \"s\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
