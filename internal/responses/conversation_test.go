package responses

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeConversation(t *testing.T) {
	t.Parallel()
	const message = `{"role":"user","content":"hi"}`
	many := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(message+",", n), ",") + "]" }
	decoders := map[string]func([]byte) (*ConversationRequest, error){
		"create": DecodeConversation, "update": DecodeConversationUpdate, "items": DecodeConversationItems,
	}
	tests := []struct {
		decoder, body string
		want          string // the number of items and the metadata, or the place of the error
	}{
		{"create", ``, "0 map[]"},
		{"create", ` {}`, "0 map[]"},
		{"create", `{"items":null,"metadata":null}`, "0 map[]"},
		{"create", `{"items":` + many(20) + `,"metadata":{"k":"v"}}`, "20 map[k:v]"},
		{"create", `{"items":` + many(21) + `}`, "items"},
		{"create", `{"items":"hi"}`, "items"},
		{"create", `{"name":"x"}`, "name"},
		{"create", `[]`, ""},
		{"create", `{"metadata":{"k":1}}`, "metadata.k"},
		{"update", `{"metadata":{"k":"v"}}`, "0 map[k:v]"},
		{"update", `{"metadata":null}`, "0 map[]"},
		{"update", `{}`, "metadata"},
		{"update", `{"metadata":{},"items":[]}`, "items"},
		{"items", `{"items":[{"type":"function_call_output","call_id":"c","output":"x"}]}`, "1 map[]"},
		{"items", `{"items":` + many(21) + `}`, "items"},
		{"items", `{"items":[]}`, "items"},
		{"items", `{}`, "items"},
		{"items", `{"items":[` + message + `,{"role":"critic","content":"x"}]}`, "items[1].role"},
		{"items", `{"items":[{"type":"item_reference","id":"msg_1"}]}`, "items[0].type"},
		{"items", `{"items":[` + message + `],"metadata":{}}`, "metadata"},
	}
	for _, tt := range tests {
		t.Run(tt.decoder+" "+clip(tt.body), func(t *testing.T) {
			t.Parallel()
			req, err := decoders[tt.decoder]([]byte(tt.body))
			var got string
			var shown *Error
			switch {
			case errors.As(err, &shown):
				got = shown.Param
			case err != nil:
				t.Fatal(err)
			default:
				got = fmt.Sprintf("%d %v", len(req.Items), req.Metadata)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q (error %v)", got, tt.want, err)
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	items := []Item{
		&Message{}, &Message{ID: "own", Status: StatusIncomplete}, &Reasoning{ID: "there"}, &FunctionCall{ID: "own"}, &MCPApprovalRequest{},
	}
	next, changed := Adopt("conv_1", 7, map[string]bool{"there": true, "msg_1_7": true}, items)
	var ids []string
	for _, item := range items {
		ids = append(ids, IDOf(item))
	}
	if diff := cmp.Diff([]string{"msg_1_8", "own", "rs_1_9", "fc_1_10", "mcpr_1_11"}, ids); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{true, false, true, true, true}, changed); diff != "" || next != 12 {
		t.Errorf("next is %d, changed (-want +got):\n%s", next, diff)
	}
	if m := items[0].(*Message); m.Status != StatusCompleted {
		t.Errorf("status %q", m.Status)
	}
}
