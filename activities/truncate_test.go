package activities_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/activities"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
)

// tooLong refuses conversations of more than so many bytes.
func tooLong(limit int) func(modeltest.Request) modeltest.Reply {
	return func(r modeltest.Request) modeltest.Reply {
		if len(r.Body) > limit {
			return modeltest.Status(400, nil, `{"error":{"code":"context_length_exceeded","message":"too long"}}`)
		}
		return modeltest.Text("answer")
	}
}

// long is a conversation of so many questions and answers and a call, before the last question.
func long(n int) []responses.Item {
	say := func(role, text string) *responses.Message {
		part := responses.InputText(text)
		if role == responses.RoleAssistant {
			part = responses.OutputText(text)
		}
		return &responses.Message{Role: role, Content: []responses.Part{part}}
	}
	items := []responses.Item{say(responses.RoleDeveloper, "rules")}
	for i := range n {
		items = append(items,
			say(responses.RoleUser, fmt.Sprintf("question %d %s", i, strings.Repeat("q", 300))),
			&responses.FunctionCall{CallID: fmt.Sprintf("c%d", i), Name: "weather", Arguments: `{}`},
			&responses.FunctionCallOutput{CallID: fmt.Sprintf("c%d", i), Output: []responses.Part{responses.InputText(strings.Repeat("o", 300))}},
			say(responses.RoleAssistant, "answer"))
	}
	return append(items, say(responses.RoleUser, "last question"), docs)
}

func TestModelTurnTruncates(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.NewFunc(tooLong(8_000)))
	f := setup(t, m.URL())
	items := long(40)
	past := len(items)
	// Two turns of this run stand after the question, each with two calls at once.
	for i := range 4 {
		items = append(items, &responses.MCPCall{ID: fmt.Sprintf("call_%d", i), ServerLabel: "docs", Name: "read", Arguments: "{}", Output: "o"})
	}
	in := activities.ModelTurnInput{
		ResponseID: responseID, Turn: 3, Model: provider + "/m", Settings: f.value(activities.Settings{Truncate: true}),
		OutputFrom: past - 1, NextItem: 5, Steps: []int{past, past + 2},
	}
	in.Conversation.Append(f.pack(items...)...)
	got := f.turn(in)
	if got.Folded != nil && got.Folded.Len() != len(items) {
		t.Errorf("the conversation now has %d items, want %d", got.Folded.Len(), len(items))
	}
	requests := m.Requests()
	if n := len(requests); n < 3 || n > 5 {
		t.Errorf("the model was asked %d times", n)
	}
	last := requests[len(requests)-1]
	if first := last.Messages[0]; first.Role != "system" || first.Content != "rules" {
		t.Errorf("first message %+v", first)
	}
	// The double refuses a call without its output. What is left is the newest, with the calls of a turn together.
	var shape []string
	for _, message := range last.Messages[len(last.Messages)-7:] {
		shape = append(shape, fmt.Sprintf("%s %d", message.Role, len(message.ToolCalls)))
	}
	want := []string{"user 0", "assistant 2", "tool 0", "tool 0", "assistant 2", "tool 0", "tool 0"}
	if diff := cmp.Diff(want, shape); diff != "" {
		t.Errorf("the end of what the model saw (-want +got):\n%s", diff)
	}
	if tools := last.ToolNames(); len(tools) != 2 {
		t.Errorf("tools %v", tools)
	}
	if log := f.log.String(); !strings.Contains(log, "its oldest items are left out") || !strings.Contains(log, "left_out=") {
		t.Error("nothing is logged")
	}
}

func TestTruncationEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		truncate bool
		items    []responses.Item
		asked    int
	}{
		{"not wanted", false, long(200), 1},
		{"nothing may be left out", true, []responses.Item{question, docs}, 1},
		{"six times at the most", true, long(200), 7},
		{"until nothing is left", true, long(2), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.NewFunc(tooLong(0)))
			f := setup(t, m.URL())
			in := activities.ModelTurnInput{
				ResponseID: responseID, Turn: 1, Model: provider + "/m", Settings: f.value(activities.Settings{Truncate: tt.truncate}),
				OutputFrom: len(tt.items) - 1, NextItem: 1,
			}
			in.Conversation.Append(f.pack(tt.items...)...)
			_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, in)
			if got := failureOf(t, err); got.Type != activities.ErrTypeModel || !got.Final || !strings.Contains(got.Message, "too long") {
				t.Errorf("got %+v", got)
			}
			if n := len(m.Requests()); n != tt.asked {
				t.Errorf("the model was asked %d times, want %d", n, tt.asked)
			}
		})
	}
}
