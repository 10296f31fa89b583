package activities_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/activities"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// The run of these tests has two servers and, where a test says so, functions.
var (
	docs = &responses.MCPListTools{ID: "mcpl_1_0", ServerLabel: "docs", Tools: []responses.MCPToolInfo{
		{Name: "read", Description: "Reads.", InputSchema: anySchema, Annotations: &responses.ToolAnnotations{ReadOnly: true}},
		{Name: "write", InputSchema: anySchema, Annotations: &responses.ToolAnnotations{}},
	}}
	wiki = &responses.MCPListTools{ID: "mcpl_1_1", ServerLabel: "wiki", Tools: []responses.MCPToolInfo{
		{Name: "put", InputSchema: anySchema, Annotations: &responses.ToolAnnotations{Idempotent: true}},
		{Name: "read", InputSchema: anySchema},
	}}
	anySchema = responses.Schema(`{"type":"object","properties":{"q":{"type":"string"}}}`)
	weather   = &responses.FunctionTool{Name: "weather", Description: "Tells.", Parameters: json.RawMessage(anySchema)}
	question  = &responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("What is it?")}}
)

// turnInput is the first turn of a run with both servers; 2 is the number of its next item.
func (f *fixture) turnInput(s activities.Settings, extra ...responses.Item) activities.ModelTurnInput {
	in := activities.ModelTurnInput{
		ResponseID: responseID, Turn: 1, Model: provider + "/m", Settings: f.value(s), OutputFrom: 1, NextItem: 2,
	}
	in.Conversation.Append(f.pack(append([]responses.Item{question, docs, wiki}, extra...)...)...)
	return in
}

func (f *fixture) turn(in activities.ModelTurnInput) activities.ModelTurnResult {
	f.t.Helper()
	out, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, in)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func TestModelTurnNumbersItsItems(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(
		modeltest.Calls(
			modeltest.Call{ID: "call_0", Name: "weather", Arguments: `{"q":"here"}`, ThoughtSignature: "sig-f"},
			modeltest.Call{ID: "call_1", Name: "docs__write", Arguments: `{"q":"1"}`, ThoughtSignature: "sig-m"},
			modeltest.Call{ID: "call_2", Name: "weather", Arguments: `{"q":"there"}`},
			modeltest.Call{ID: "call_3", Name: "wiki__read", Arguments: `{"q":"2"}`},
		).WithReasoning("Thinking.").WithText("I look it up.").WithUsage(30, 10, 5),
	))
	f := setup(t, m.URL())
	got := f.turn(f.turnInput(activities.Settings{Functions: []*responses.FunctionTool{weather}}))

	var ids []string
	for _, v := range got.Items {
		switch item := unpack[responses.Item](f, v).(type) {
		case *responses.Reasoning:
			ids = append(ids, item.ID+" "+item.Summary[0].Text)
		case *responses.Message:
			ids = append(ids, item.ID+" "+item.Status+" "+item.Content[0].Text)
		}
	}
	for _, c := range got.Calls {
		if c.Refused != nil {
			t.Errorf("call %s is refused", c.ItemID)
		}
		ids = append(ids, fmt.Sprintf("%s %s.%s %s %s", c.ItemID, c.Server, c.Tool, c.Arguments.JSON, c.ThoughtSignature))
	}
	for _, v := range got.Functions {
		c := unpack[*responses.FunctionCall](f, v)
		ids = append(ids, fmt.Sprintf("%s %s %s %s %s %s", c.ID, c.CallID, c.Name, c.Arguments, c.Status, c.ThoughtSignature))
	}
	want := []string{
		"rs_1_2 Thinking.", "msg_1_3 completed I look it up.",
		`call_1_4 docs.write "{\"q\":\"1\"}" sig-m`, `call_1_5 wiki.read "{\"q\":\"2\"}" `,
		`fc_1_6 call_1_6 weather {"q":"here"} completed sig-f`, `fc_1_7 call_1_7 weather {"q":"there"} completed `,
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Usage.InputTokens != 30 || got.Usage.InputTokensDetails.CachedTokens != 10 || got.Usage.OutputTokens != 5 {
		t.Errorf("usage %+v", got.Usage)
	}
	if got.Finish != "tool_calls" || got.Folded != nil {
		t.Errorf("finish %s, folded %v", got.Finish, got.Folded)
	}
}

// refusals makes a turn in which the model asks for the calls, and returns for each "server.tool" and why it was refused.
func refusals(t *testing.T, change func(*activities.ModelTurnInput, *activities.Settings), calls ...modeltest.Call) []string {
	t.Helper()
	m := closed(t, modeltest.New(modeltest.Calls(calls...)))
	f := setup(t, m.URL())
	settings := activities.Settings{Functions: []*responses.FunctionTool{weather}}
	in := f.turnInput(settings)
	if change != nil {
		change(&in, &settings)
		in.Settings = f.value(settings)
	}
	out := f.turn(in)
	var got []string
	for _, c := range out.Calls {
		text := c.Server + "." + c.Tool
		if c.Repeatable {
			text += " (repeatable)"
		}
		if c.Refused != nil {
			item := unpack[*responses.MCPCall](f, *c.Refused)
			text += ": " + *item.Error
			if item.ID != c.ItemID || item.Output != "" || item.ServerLabel != c.Server || item.Name != c.Tool {
				t.Errorf("refused item %+v of call %+v", item, c)
			}
		}
		got = append(got, text)
	}
	for _, v := range out.Functions {
		got = append(got, "function "+unpack[*responses.FunctionCall](f, v).Name)
	}
	return got
}

func TestModelTurnSettlesCalls(t *testing.T) {
	t.Parallel()
	const unknown, notObject = ": no tool of this name was offered", ": the arguments are not a JSON object"
	ask := func(name, arguments string) modeltest.Call { return modeltest.Call{Name: name, Arguments: arguments} }
	left := func(n int) func(*activities.ModelTurnInput, *activities.Settings) {
		return func(in *activities.ModelTurnInput, _ *activities.Settings) { in.CallsLeft = &n }
	}
	choose := func(mode string, only ...responses.ToolRef) func(*activities.ModelTurnInput, *activities.Settings) {
		return func(_ *activities.ModelTurnInput, s *activities.Settings) {
			s.Choice = responses.ToolChoice{Mode: mode, Only: only}
		}
	}
	tests := []struct {
		name   string
		change func(*activities.ModelTurnInput, *activities.Settings)
		calls  []modeltest.Call
		want   []string
	}{
		{
			"repeatable is what the server declares", nil,
			[]modeltest.Call{ask("docs__read", "{}"), ask("docs__write", "{}"), ask("wiki__put", "{}"), ask("wiki__read", "{}")},
			[]string{"docs.read (repeatable)", "docs.write", "wiki.put (repeatable)", "wiki.read"},
		},
		{
			"unknown names", nil,
			[]modeltest.Call{ask("docs__nothing", "{}"), ask("nobody__read", "{}"), ask("read", "{}"), ask("docs.read", "{}")},
			[]string{".docs__nothing" + unknown, ".nobody__read" + unknown, ".read" + unknown, ".docs.read" + unknown},
		},
		{
			"arguments that are no object", nil,
			[]modeltest.Call{
				ask("docs__read", "[1]"), ask("docs__read", `"q"`), ask("docs__read", "null"), ask("docs__read", `{"q":`),
				ask("docs__read", "q=1"), ask("docs__read", ` {"q":1} `), ask("docs__read", ""),
			},
			[]string{
				"docs.read" + notObject, "docs.read" + notObject, "docs.read" + notObject, "docs.read" + notObject,
				"docs.read" + notObject, "docs.read (repeatable)", "docs.read (repeatable)",
			},
		},
		{
			"functions are the client's, whatever their arguments", nil,
			[]modeltest.Call{ask("weather", "[1]")},
			[]string{"function weather"},
		},
		{
			"max_tool_calls counts the calls that are made", left(2),
			[]modeltest.Call{ask("docs__read", "{}"), ask("nothing", "{}"), ask("docs__write", "{}"), ask("wiki__put", "{}")},
			[]string{"docs.read (repeatable)", ".nothing" + unknown, "docs.write", "wiki.put: not called: the limit that max_tool_calls sets is reached"},
		},
		{
			"no call left", left(0),
			[]modeltest.Call{ask("docs__read", "{}"), ask("weather", "{}")},
			[]string{"docs.read: not called: the limit that max_tool_calls sets is reached", "function weather"},
		},
		{
			"last turn", func(in *activities.ModelTurnInput, _ *activities.Settings) { in.LastTurn = true },
			[]modeltest.Call{ask("docs__read", "{}"), ask("weather", "{}")},
			[]string{"docs.read: not called: this was the last model turn that max_steps allows", "function weather"},
		},
		{
			"tools that tool_choice leaves out", choose(responses.ToolChoiceAuto, responses.ToolRef{Server: "docs", Name: "read"}),
			[]modeltest.Call{ask("docs__read", "{}"), ask("docs__write", "{}"), ask("wiki__read", "{}"), ask("weather", "{}")},
			[]string{"docs.read (repeatable)", "docs.write" + unknown, "wiki.read" + unknown, ".weather" + unknown},
		},
		{
			"tool_choice none", choose(responses.ToolChoiceNone),
			[]modeltest.Call{ask("docs__read", "{}"), ask("weather", "{}")},
			[]string{"docs.read" + unknown, ".weather" + unknown},
		},
		{
			"tools of an earlier response are not this run's",
			func(in *activities.ModelTurnInput, _ *activities.Settings) { in.OutputFrom = 2 },
			[]modeltest.Call{ask("docs__read", "{}"), ask("wiki__read", "{}")},
			[]string{".docs__read" + unknown, "wiki.read"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, refusals(t, tt.change, tt.calls...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestModelTurnOffersTools(t *testing.T) {
	t.Parallel()
	all := []string{"weather", "docs__read", "docs__write", "wiki__put", "wiki__read"}
	none := 0
	tests := []struct {
		name   string
		choice responses.ToolChoice
		change func(*activities.ModelTurnInput)
		tools  []string
		want   string // tool_choice of the request
	}{
		{"auto", responses.ToolChoice{Mode: responses.ToolChoiceAuto}, nil, all, ""},
		{"unset", responses.ToolChoice{}, nil, all, ""},
		{"none", responses.ToolChoice{Mode: responses.ToolChoiceNone}, nil, nil, ""},
		{"required", responses.ToolChoice{Mode: responses.ToolChoiceRequired}, nil, all, `"required"`},
		{
			"required holds for the first turn",
			responses.ToolChoice{Mode: responses.ToolChoiceRequired},
			func(in *activities.ModelTurnInput) { in.Turn = 2 }, all, "",
		},
		{
			"one tool", responses.ToolChoice{
				Mode: responses.ToolChoiceRequired, Only: []responses.ToolRef{{Server: "docs", Name: "write"}},
			}, nil, []string{"docs__write"}, `{"type":"function","function":{"name":"docs__write"}}`,
		},
		{
			"one server",
			responses.ToolChoice{Mode: responses.ToolChoiceAuto, Only: []responses.ToolRef{{Server: "wiki"}}},
			nil,
			[]string{"wiki__put", "wiki__read"},
			"",
		},
		{
			"one function",
			responses.ToolChoice{Mode: responses.ToolChoiceRequired, Only: []responses.ToolRef{{Name: "weather"}}},
			nil,
			[]string{"weather"},
			`{"type":"function","function":{"name":"weather"}}`,
		},
		{
			"no call left",
			responses.ToolChoice{Mode: responses.ToolChoiceAuto},
			func(in *activities.ModelTurnInput) { in.CallsLeft = &none },
			[]string{"weather"},
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(modeltest.Text("answer")))
			f := setup(t, m.URL())
			in := f.turnInput(activities.Settings{Functions: []*responses.FunctionTool{weather}, Choice: tt.choice})
			if tt.change != nil {
				tt.change(&in)
			}
			f.turn(in)
			request := m.Requests()[0]
			if got := request.ToolNames(); !slices.Equal(got, tt.tools) {
				t.Errorf("offered %v, want %v", got, tt.tools)
			}
			if got := string(request.ToolChoice); got != tt.want {
				t.Errorf("tool_choice %s, want %s", got, tt.want)
			}
		})
	}
}

func TestModelTurnPassesSettingsOn(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	number := func(v float64) *float64 { return &v }
	yes, limit := true, 77
	in := f.turnInput(activities.Settings{
		// Long enough to be stored by reference.
		Instructions: "Be brief. " + strings.Repeat("Really. ", 2000),
		Temperature:  number(0), TopP: number(0.5), PresencePenalty: number(0.1), FrequencyPenalty: number(0.2),
		Effort: "low", Verbosity: "high", ParallelToolCalls: &yes, Format: responses.Format{Type: responses.FormatJSONObject},
	})
	in.MaxOutputTokens = &limit
	if in.Settings.Ref == "" {
		t.Fatal("the settings are inline")
	}
	f.turn(in)
	request := m.Requests()[0]
	if first := request.Messages[0]; first.Role != "system" || !strings.HasPrefix(first.Content, "Be brief. Really.") {
		t.Errorf("first message %+v", first)
	}
	var body map[string]any
	if err := json.Unmarshal(request.Body, &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"model": "m", "temperature": 0.0, "top_p": 0.5, "presence_penalty": 0.1, "frequency_penalty": 0.2, "reasoning_effort": "low",
		"verbosity": "high", "parallel_tool_calls": true, "max_completion_tokens": 77.0,
		"response_format": map[string]any{"type": "json_object"},
	}
	for key, value := range want {
		if diff := cmp.Diff(value, body[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

func TestModelTurnFoldsALongConversation(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("first"), modeltest.Text("second"), modeltest.Text("again")))
	f := setup(t, m.URL())
	var past []responses.Item
	for n := range 5 {
		call := &responses.MCPCall{
			ID: fmt.Sprintf("call_1_%d", n), ServerLabel: "docs", Name: "read", Arguments: "{}",
			Output: fmt.Sprintf("page %d %s", n, strings.Repeat("x", 6000)),
		}
		past = append(past, call)
	}
	in := f.turnInput(activities.Settings{}, past...)
	first := f.turn(in)
	if first.Folded == nil || len(first.Folded.Tail) != 0 || first.Folded.Head == "" || first.Folded.Len() != in.Conversation.Len() {
		t.Fatalf("folded to %+v", first.Folded)
	}

	// The workflow goes on with what it was given. The model must see the same conversation, and the tools again.
	in.Conversation = *first.Folded
	in.Conversation.Append(first.Items...)
	in.NextItem++
	second := f.turn(in)
	if second.Folded != nil {
		t.Error("a short tail was folded")
	}
	before, after := m.Requests()[0], m.Requests()[1]
	if diff := cmp.Diff(before.Messages, after.Messages[:len(after.Messages)-1]); diff != "" {
		t.Errorf("the folded conversation differs (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before.ToolNames(), after.ToolNames()); diff != "" {
		t.Errorf("tools (-before +after):\n%s", diff)
	}
	if got := after.Last(); got.Content != "first" {
		t.Errorf("last message %+v", got)
	}
	if shown := len(before.Last().Content); shown > f.options.MaxToolOutput+100 {
		t.Errorf("the model sees %d bytes of an output, want about %d", shown, f.options.MaxToolOutput)
	}

	// An attempt that is made again folds to the same.
	again, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, f.turnInput(activities.Settings{}, past...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Folded, again.Folded); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
}

func TestModelTurnReplaysSignatures(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	past := &responses.MCPCall{ID: "call_1_9", ServerLabel: "docs", Name: "read", Arguments: "{}", Output: "o", ThoughtSignature: "sig"}
	f.turn(f.turnInput(activities.Settings{}, past))
	var got []string
	for _, message := range m.Requests()[0].Messages {
		for _, c := range message.ToolCalls {
			got = append(got, c.Name+" "+c.ThoughtSignature)
		}
	}
	if want := []string{"docs__read sig"}; !slices.Equal(got, want) {
		t.Errorf("replayed %v, want %v", got, want)
	}
}

func TestModelTurnStoresLongValuesByReference(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 4000)
	m := closed(t, modeltest.New(
		modeltest.Calls(
			modeltest.Call{Name: "docs__read", Arguments: `{"q":"` + long + `"}`},
			modeltest.Call{Name: "nothing", Arguments: `{"q":"` + long + `"}`},
			modeltest.Call{Name: "weather", Arguments: `{"q":"` + long + `"}`},
		).WithText(long),
	))
	f := setup(t, m.URL())
	got := f.turn(f.turnInput(activities.Settings{Functions: []*responses.FunctionTool{weather}}))
	if got.Items[0].Ref == "" || got.Calls[0].Arguments.Ref == "" || got.Calls[1].Refused.Ref == "" || got.Functions[0].Ref == "" {
		t.Error("a long value is inline")
	}
	if size := len(must(json.Marshal(got))); size > 2000 {
		t.Errorf("history would keep %d bytes", size)
	}
	var arguments string
	if err := f.blobs.Unpack(t.Context(), got.Calls[0].Arguments, &arguments); err != nil || arguments != `{"q":"`+long+`"}` {
		t.Errorf("arguments of %d bytes, error %v", len(arguments), err)
	}
}

func TestModelTurnMessages(t *testing.T) {
	t.Parallel()
	part := func(kind, text string) responses.Part { return responses.Part{Type: kind, Text: text} }
	tests := []struct {
		name   string
		reply  modeltest.Reply
		finish string
		status string
		want   []responses.Part // nil: no message
	}{
		{"text", modeltest.Text("yes"), "stop", responses.StatusCompleted, []responses.Part{part(responses.PartOutputText, "yes")}},
		{"as JSON", modeltest.Text("yes").AsJSON(), "stop", responses.StatusCompleted, []responses.Part{part(responses.PartOutputText, "yes")}},
		{"refusal", modeltest.Empty().WithRefusal("no"), "stop", responses.StatusCompleted, []responses.Part{part(responses.PartRefusal, "no")}},
		{
			"cut off", modeltest.Text("ye").WithFinish("length"), "length", responses.StatusIncomplete,
			[]responses.Part{part(responses.PartOutputText, "ye")},
		},
		{
			"filtered", modeltest.Text("ye").WithFinish("content_filter"), "content_filter", responses.StatusIncomplete,
			[]responses.Part{part(responses.PartOutputText, "ye")},
		},
		{"filtered whole", modeltest.Empty().WithFinish("content_filter"), "content_filter", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(tt.reply))
			f := setup(t, m.URL())
			got := f.turn(f.turnInput(activities.Settings{}))
			if string(got.Finish) != tt.finish {
				t.Errorf("finish %s", got.Finish)
			}
			if tt.want == nil {
				if len(got.Items) != 0 {
					t.Errorf("%d items", len(got.Items))
				}
				return
			}
			message := unpack[*responses.Message](f, got.Items[0])
			if message.Status != tt.status || message.Role != responses.RoleAssistant || message.ID != "msg_1_2" {
				t.Errorf("message %+v", message)
			}
			if diff := cmp.Diff(tt.want, message.Content); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestModelTurnWithoutItsConversation(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	in := f.turnInput(activities.Settings{})
	in.Conversation = transcript.Transcript{Head: "sha256-" + "00000000000000000000000000000000" + "00000000000000000000000000000000", Folded: 3}
	_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, in)
	// It may still be on its way here.
	if got := failureOf(t, err); got.Type != activities.ErrTypeStorage || got.Final {
		t.Errorf("got %+v", got)
	}
}
