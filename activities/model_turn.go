package activities

import (
	"context"
	"errors"
	"strings"

	"perdure/internal/blob"
	"perdure/internal/events"
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
	// Tries is the number of attempts that were given up before this turn; see [ModelTurnResult.Try].
	Tries int `json:"tries,omitempty"`
	// Fallback is how many models failed at this turn before.
	Fallback int `json:"fallback,omitempty"`
	// Listed are the labels of servers that were not listed in this run, because the conversation has their tools already.
	Listed []string `json:"listed,omitempty"`
	// Attempts is how often the provider may fail at the turn after it has taken it; 0 is as often as the step is tried.
	Attempts int32 `json:"attempts,omitempty"`
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
	// Approvals says, by server label, which calls need the client's approval; nil in the dialect that has no approvals.
	Approvals map[string]responses.ApprovalPolicy `json:"approvals,omitempty"`
	// Truncate drops the oldest items of a conversation that is too long for the model.
	Truncate bool `json:"truncate,omitempty"`
	// Organization is whose compacted conversations may be opened.
	Organization string `json:"organization,omitempty"`
}

// ModelTurnResult is what the model said. Item IDs are numbered from NextItem: first Items, then Calls, then Functions.
type ModelTurnResult struct {
	// Folded replaces the conversation of the input when it was folded.
	Folded *transcript.Transcript `json:"folded,omitempty"`
	// Items are the reasoning and the message, if any.
	Items []blob.Value `json:"items,omitempty"`
	// Calls are the MCP calls that the model asked for, in its order.
	Calls []ToolCall `json:"calls,omitempty"`
	// Functions are function_call items for the client: the run ends with them. Their call IDs are those of [responses.CallID], by the
	// number of the item and Try.
	Functions []blob.Value `json:"functions,omitempty"`
	// Try is the number of the attempt, counted over the whole run so that no two attempts give the same ID to an item.
	Try    int          `json:"try,omitempty"`
	Finish model.Finish `json:"finish"`
	// Throttled is how many attempts before this one the provider refused because there were too many.
	Throttled int             `json:"throttled,omitempty"`
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
	// Repeatable is set for a tool that its server declares read-only or idempotent. An operator's [RetryPolicy] may say otherwise.
	Repeatable bool `json:"repeatable,omitempty"`
	// ThoughtSignature is opaque and goes into the item, for the model that gave it.
	ThoughtSignature string `json:"thought_signature,omitempty"`
	// Refused is the finished mcp_call item of a call that cannot be made.
	Refused *blob.Value `json:"refused,omitempty"`
	// Approval is the mcp_approval_request item of a call that the client must approve first: the run ends with it.
	Approval *blob.Value `json:"approval,omitempty"`
	// ApprovalRequestID is set for a call that the client approved.
	ApprovalRequestID string `json:"approval_request_id,omitempty"`
}

// ModelTurn asks the model to go on with the conversation. Its errors have the type [ErrTypeModel].
func (a *Activities) ModelTurn(ctx context.Context, in ModelTurnInput) (ModelTurnResult, error) {
	beat := a.beat(ctx, in.ResponseID)
	defer beat.stop()
	store := a.Blobs.For(in.ResponseID)
	conversation, folded, err := transcript.Fold(ctx, store, in.Conversation)
	if err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	items, err := transcript.LoadShort(ctx, store, conversation, func(item responses.Item) { model.Shorten(item, a.MaxToolOutput) })
	if err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	var settings Settings
	if err := store.Unpack(ctx, in.Settings, &settings); err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	if items, err = a.openCompactions(items, settings.Organization); err != nil {
		return ModelTurnResult{}, err
	}
	s := &settlement{Activities: a, in: in, store: store, try: try(ctx, in), tools: newToolset(settings, items, in)}
	told := a.tellTurn(in, s.try)
	told.step.Publish(events.Event{Kind: events.TurnStarted, Turn: in.Turn, Try: s.try, Index: in.NextItem})
	d := newDraft(in, s.try, told)
	answer, err := a.ask(ctx, in, a.turn(in, settings, items, s.tools), d, settings.Truncate)
	if err != nil {
		return ModelTurnResult{}, a.modelError(ctx, in, beat, err)
	}
	result := ModelTurnResult{Try: s.try, Finish: answer.Finish, Usage: answer.Usage, Throttled: beat.throttled()}
	if folded {
		result.Folded = &conversation
	}
	if err := s.addItems(ctx, &result, d, answer); err != nil {
		return ModelTurnResult{}, storageError(err)
	}
	told.last(ctx, events.Event{Kind: events.TurnDone, Turn: in.Turn, Try: s.try, Index: in.NextItem, Slots: s.slots})
	return result, nil
}

// ask makes the turn. A conversation that is too long for the model is cut, if that is wanted, and the model is asked again.
func (a *Activities) ask(ctx context.Context, in ModelTurnInput, turn model.Turn, d *draft, truncate bool) (model.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.ModelTimeout)
	defer cancel()
	all := len(turn.Items)
	for cuts := 0; ; cuts++ {
		answer, err := a.Models.Stream(ctx, turn, d.add)
		var fault *model.Error
		tooLong := errors.As(err, &fault) && fault.Kind == model.KindContextLength
		if !truncate || !tooLong || d.begun() || cuts == maxCuts || !cutOldest(&turn) {
			return answer, err
		}
		a.Logger.InfoContext(ctx, "the conversation is too long for the model: its oldest items are left out",
			"response", in.ResponseID, "model", in.Model, "items", all, "left_out", all-len(turn.Items))
	}
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
