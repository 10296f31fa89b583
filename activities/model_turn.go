package activities

import (
	"context"
	"encoding/json"
	"strings"

	"perdure/internal/blob"
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// ModelTurnInput asks the model for its next turn.
type ModelTurnInput struct {
	ResponseID string `json:"response_id"`
	// Turn counts from 1.
	Turn int `json:"turn"`
	// Model is "provider/model".
	Model        string                `json:"model"`
	Settings     blob.Value            `json:"settings"` // of Settings
	Conversation transcript.Transcript `json:"conversation"`
	// OutputFrom is the position of the response's first own item: tools listed before it are not this run's.
	OutputFrom int `json:"output_from"`
	// Steps are the positions at which the model's earlier turns begin.
	Steps []int `json:"steps,omitempty"`
	// NextItem is the number of the next item ID.
	NextItem int `json:"next_item"`
	// MaxOutputTokens is what is left of the request's limit.
	MaxOutputTokens *int `json:"max_output_tokens,omitempty"`
	// CallsLeft is what is left of max_tool_calls; nil means no limit. With none left, no MCP tool is offered.
	CallsLeft *int `json:"calls_left,omitempty"`
	// LastTurn is set when no turn can follow: calls of MCP tools are then answered with an error instead of being made.
	LastTurn bool `json:"last_turn,omitempty"`
}

// Settings are what all model turns of a run have in common.
type Settings struct {
	Instructions      string                    `json:"instructions,omitempty"`
	Functions         []*responses.FunctionTool `json:"functions,omitempty"`
	Choice            responses.ToolChoice      `json:"choice"`
	ParallelToolCalls *bool                     `json:"parallel_tool_calls,omitempty"`
	Temperature       *float64                  `json:"temperature,omitempty"`
	TopP              *float64                  `json:"top_p,omitempty"`
	PresencePenalty   *float64                  `json:"presence_penalty,omitempty"`
	FrequencyPenalty  *float64                  `json:"frequency_penalty,omitempty"`
	Effort            string                    `json:"effort,omitempty"`
	Verbosity         string                    `json:"verbosity,omitempty"`
	Format            responses.Format          `json:"format"`
}

// ModelTurnResult is what the model said. Item IDs are numbered from NextItem: first Items, then Calls, then Functions.
type ModelTurnResult struct {
	// Folded replaces the conversation of the input when it was folded.
	Folded *transcript.Transcript `json:"folded,omitempty"`
	// Items are the reasoning and the message, if any.
	Items []blob.Value `json:"items,omitempty"`
	// Calls are the MCP calls that the model asked for, in its order.
	Calls []ToolCall `json:"calls,omitempty"`
	// Functions are function_call items for the client: the run ends with them.
	Functions []blob.Value    `json:"functions,omitempty"`
	Finish    model.Finish    `json:"finish"`
	Usage     responses.Usage `json:"usage"`
}

// Finish reasons of a turn that end a run early.
const (
	FinishLength        = model.FinishLength
	FinishContentFilter = model.FinishContentFilter
)

// ToolCall is an MCP call that the model asked for.
type ToolCall struct {
	ItemID    string     `json:"item_id"`
	Server    string     `json:"server"`
	Tool      string     `json:"tool"`
	Arguments blob.Value `json:"arguments"` // a JSON string
	// Repeatable is set for a tool that its server declares read-only or idempotent.
	Repeatable bool `json:"repeatable,omitempty"`
	// ThoughtSignature is opaque and goes into the item, for the model that gave it.
	ThoughtSignature string `json:"thought_signature,omitempty"`
	// Refused is the finished mcp_call item of a call that cannot be made.
	Refused *blob.Value `json:"refused,omitempty"`
}

// ModelTurn asks the model to go on with the conversation. Its errors have the type [ErrTypeModel].
func (a *Activities) ModelTurn(ctx context.Context, in ModelTurnInput) (ModelTurnResult, error) {
	defer startHeartbeat(ctx, a.HeartbeatEvery).stop()
	conversation, folded, err := transcript.Fold(ctx, a.Blobs, in.Conversation)
	if err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	items, err := transcript.Load(ctx, a.Blobs, conversation, 0)
	if err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	var settings Settings
	if err := a.Blobs.Unpack(ctx, in.Settings, &settings); err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	tools := newToolset(settings, items[in.OutputFrom:], in)
	answer, err := a.ask(ctx, a.turn(in, settings, items, tools))
	if err != nil {
		return ModelTurnResult{}, modelError(ctx, in.Model, a.ModelTimeout, err)
	}
	result := ModelTurnResult{Finish: answer.Finish, Usage: answer.Usage}
	if folded {
		result.Folded = &conversation
	}
	return result, a.addItems(ctx, &result, in, answer, tools)
}

func (a *Activities) ask(ctx context.Context, turn model.Turn) (model.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.ModelTimeout)
	defer cancel()
	return a.Models.Stream(ctx, turn, nil)
}

func (a *Activities) turn(in ModelTurnInput, s Settings, items []responses.Item, tools *toolset) model.Turn {
	choice := s.Choice
	if choice.Mode == responses.ToolChoiceRequired && in.Turn > 1 {
		// A choice that held for every turn would never let the model answer.
		choice.Mode = responses.ToolChoiceAuto
	}
	provider, name, _ := strings.Cut(in.Model, "/")
	return model.Turn{
		Model:             model.Ref{Provider: provider, Model: name},
		Instructions:      s.Instructions,
		Items:             items,
		Steps:             in.Steps,
		Tools:             tools.offered,
		Names:             tools.names,
		Choice:            choice,
		ParallelToolCalls: s.ParallelToolCalls,
		MaxOutputTokens:   in.MaxOutputTokens,
		Temperature:       s.Temperature,
		TopP:              s.TopP,
		PresencePenalty:   s.PresencePenalty,
		FrequencyPenalty:  s.FrequencyPenalty,
		Effort:            s.Effort,
		Verbosity:         s.Verbosity,
		Format:            s.Format,
		MaxToolOutput:     a.MaxToolOutput,
	}
}

// addItems turns the model's answer into items and calls.
func (a *Activities) addItems(ctx context.Context, r *ModelTurnResult, in ModelTurnInput, answer model.Answer, tools *toolset) error {
	next := in.NextItem
	id := func(t responses.ItemType) string {
		next++
		return responses.ItemID(t, in.ResponseID, next-1)
	}
	var said []responses.Item
	if answer.Reasoning != "" {
		said = append(said, &responses.Reasoning{
			ID:      id(responses.TypeReasoning),
			Summary: []responses.Part{{Type: responses.PartSummaryText, Text: answer.Reasoning}},
		})
	}
	if m := message(answer); m != nil {
		m.ID = id(responses.TypeMessage)
		said = append(said, m)
	}
	var functions []*responses.FunctionCall
	var calls []model.Call
	for _, call := range answer.Calls {
		if tools.offersFunction(call.Name) {
			functions = append(functions, &responses.FunctionCall{
				Name: call.Name, Arguments: call.Arguments, ThoughtSignature: call.ThoughtSignature,
				Status: responses.StatusCompleted,
			})
		} else {
			calls = append(calls, call)
		}
	}
	made := 0
	for _, call := range calls {
		settled, err := a.settle(ctx, tools, call, id(responses.TypeMCPCall), refusal(in, made))
		if err != nil {
			return storageError(err)
		}
		if settled.Refused == nil {
			made++
		}
		r.Calls = append(r.Calls, settled)
	}
	for _, f := range functions {
		// Not the model's own ID: some models begin at "call_0" in every turn, and a client replays all turns together.
		f.CallID = responses.CallID(in.ResponseID, next)
		f.ID = id(responses.TypeFunctionCall)
		values, err := transcript.Pack(ctx, a.Blobs, f)
		if err != nil {
			return storageError(err)
		}
		r.Functions = append(r.Functions, values...)
	}
	values, err := transcript.Pack(ctx, a.Blobs, said...)
	if err != nil {
		return storageError(err)
	}
	r.Items = values
	return nil
}

func message(answer model.Answer) *responses.Message {
	var parts []responses.Part
	if answer.Text != "" {
		parts = append(parts, responses.OutputText(answer.Text))
	}
	if answer.Refusal != "" {
		parts = append(parts, responses.Part{Type: responses.PartRefusal, Text: answer.Refusal})
	}
	if len(parts) == 0 {
		return nil
	}
	m := &responses.Message{Role: responses.RoleAssistant, Status: responses.StatusCompleted, Content: parts}
	if answer.Finish == model.FinishLength || answer.Finish == model.FinishContentFilter {
		m.Status = responses.StatusIncomplete
	}
	return m
}

// refusal says why no call may be made after made others of this turn; "" means that one may.
func refusal(in ModelTurnInput, made int) string {
	switch {
	case in.LastTurn:
		return "not called: this was the last model turn that max_steps allows"
	case in.CallsLeft != nil && made >= *in.CallsLeft:
		return "not called: the limit that max_tool_calls sets is reached"
	default:
		return ""
	}
}

// settle resolves the name that the model wrote. A call that cannot be made becomes an mcp_call item with an error, which the
// model reads in its next turn: models recover from a wrong name or broken arguments when they are told.
func (a *Activities) settle(ctx context.Context, tools *toolset, call model.Call, id, refused string) (ToolCall, error) {
	item := &responses.MCPCall{ID: id, Name: call.Name, Arguments: call.Arguments, ThoughtSignature: call.ThoughtSignature}
	ref, known := tools.names.Resolve(call.Name)
	if known {
		item.ServerLabel, item.Name = ref.Server, ref.Name
	}
	switch {
	case !known || ref.Server == "" || !tools.allows(ref):
		// Models also call what an earlier turn of the conversation used, or what tool_choice left out.
		refused = "no tool of this name was offered"
	case refused != "":
	case !isJSONObject(item.Arguments):
		refused = argumentsNotObject
	}
	out := ToolCall{ItemID: id, Server: item.ServerLabel, Tool: item.Name, ThoughtSignature: call.ThoughtSignature}
	if refused != "" {
		item.Error = &refused
		values, err := transcript.Pack(ctx, a.Blobs, item)
		if err != nil {
			return ToolCall{}, err
		}
		out.Refused = &values[0]
		return out, nil
	}
	arguments, err := a.Blobs.Pack(ctx, item.Arguments, transcript.InlineBytes)
	if err != nil {
		return ToolCall{}, err
	}
	out.Arguments = arguments
	out.Repeatable = tools.repeatable[ref]
	return out, nil
}

func isJSONObject(s string) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal([]byte(s), &members) == nil && members != nil
}

// toolset is what one model turn may call.
type toolset struct {
	choice     responses.ToolChoice
	names      *model.Names // of all tools of the run, so that a tool's name stays when the choice changes
	offered    []model.Tool
	repeatable map[responses.ToolRef]bool
}

// newToolset reads the tools from the run's own mcp_list_tools items, so that they need not travel with every turn.
func newToolset(s Settings, output []responses.Item, in ModelTurnInput) *toolset {
	t := &toolset{choice: s.Choice, repeatable: map[responses.ToolRef]bool{}}
	var functions []string
	for _, f := range s.Functions {
		functions = append(functions, f.Name)
	}
	var refs []responses.ToolRef
	for _, item := range output {
		if list, ok := item.(*responses.MCPListTools); ok {
			for _, tool := range list.Tools {
				refs = append(refs, responses.ToolRef{Server: list.ServerLabel, Name: tool.Name})
			}
		}
	}
	t.names = model.NewNames(functions, refs)
	for _, f := range s.Functions {
		if t.allows(responses.ToolRef{Name: f.Name}) {
			t.offered = append(t.offered, model.Tool{
				Ref: responses.ToolRef{Name: f.Name}, Description: f.Description, Schema: f.Parameters, Strict: isTrue(f.Strict),
			})
		}
	}
	noCalls := in.CallsLeft != nil && *in.CallsLeft == 0
	for _, item := range output {
		list, ok := item.(*responses.MCPListTools)
		if !ok || noCalls {
			continue
		}
		for _, tool := range list.Tools {
			t.offer(list.ServerLabel, tool)
		}
	}
	return t
}

func (t *toolset) offer(label string, tool responses.MCPToolInfo) {
	ref := responses.ToolRef{Server: label, Name: tool.Name}
	if a := tool.Annotations; a != nil && (a.ReadOnly || a.Idempotent) {
		t.repeatable[ref] = true
	}
	if t.allows(ref) {
		t.offered = append(t.offered, model.Tool{Ref: ref, Description: tool.Description, Schema: json.RawMessage(tool.InputSchema)})
	}
}

func (t *toolset) allows(ref responses.ToolRef) bool { return t.choice.Allows(ref.Server, ref.Name) }

// offersFunction reports whether name is that of a function which the client may be asked to call.
func (t *toolset) offersFunction(name string) bool {
	ref, known := t.names.Resolve(name)
	return known && ref.Server == "" && t.allows(ref)
}
