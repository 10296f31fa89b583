package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/responses"
)

// modelTurn asks the models in order until one answers. A model that failed is not asked again in the same run.
func (r *run) modelTurn(ctx workflow.Context) (activities.ModelTurnResult, error) {
	r.turn++
	for first := r.model; ; {
		if r.timeIsOver(ctx) {
			return activities.ModelTurnResult{}, outOfTime()
		}
		answer, err := r.ask(ctx, r.model-first)
		r.throttled += answer.Throttled + activities.Throttled(err)
		if err == nil {
			r.accept(answer)
			return answer, nil
		}
		if attempts, stopped := stoppedAfter(err); stopped {
			r.tries += attempts // so that no two attempts have the same number
			continue
		}
		if !temporal.IsCanceledError(err) && r.timeIsOver(ctx) {
			return answer, outOfTime()
		}
		if temporal.IsCanceledError(err) || r.model+1 >= len(r.in.Models) {
			return answer, failed(ErrTypeFailed, "the model could not be asked", err)
		}
		workflow.GetLogger(ctx).Warn("model failed, asking the next one", "model", r.in.Models[r.model], "error", err)
		r.model++
	}
}

// ask asks the model in use, after so many others have failed at the same turn.
func (r *run) ask(ctx workflow.Context, fallback int) (activities.ModelTurnResult, error) {
	model := r.in.Models[r.model]
	r.tell(ctx, "asking "+model)
	summary := fmt.Sprintf("model_turn %d · %s", r.turn, model)
	ctx = r.inTime(ctx, modelTurnOptions(r.in.Limits, r.model+1 == len(r.in.Models), summary))
	var answer activities.ModelTurnResult
	err := workflow.ExecuteActivity(ctx, activities.ModelTurnName, activities.ModelTurnInput{
		ResponseID:      r.in.ResponseID,
		Turn:            r.turn,
		Model:           model,
		Settings:        r.in.Settings,
		Conversation:    r.transcript,
		OutputFrom:      r.in.Input.Len(),
		Steps:           r.steps,
		NextItem:        r.nextItem,
		MaxOutputTokens: r.maxOutputTokens(),
		CallsLeft:       r.callsLeft(),
		Tries:           r.tries,
		Fallback:        fallback,
		Listed:          r.in.Listed,
		Attempts:        r.in.Limits.ModelAttempts,
		LastTurn:        r.turn >= r.in.MaxSteps,
	}).Get(ctx, &answer)
	return answer, err
}

// accept takes over what a turn said. Its function calls come after the items of its MCP calls.
func (r *run) accept(answer activities.ModelTurnResult) {
	if answer.Folded != nil {
		r.transcript = *answer.Folded
	}
	r.steps = append(r.steps, r.transcript.Len())
	r.add(answer.Items...)
	r.nextItem += len(answer.Items) + len(answer.Calls)
	for range answer.Functions {
		r.pendingCalls = append(r.pendingCalls, responses.CallID(r.in.ResponseID, r.newItem(), answer.Try))
	}
	r.tries = max(answer.Try-1, 0)
	r.usage.Add(answer.Usage)
}

func (r *run) add(items ...blob.Value) { r.transcript.Append(items...) }

// outputLen is how many items of output the conversation has.
func (r *run) outputLen() int { return r.transcript.Len() - r.in.Input.Len() }

// maxOutputTokens is what the request's limit leaves for the next turn; nil means no limit.
func (r *run) maxOutputTokens() *int {
	if r.in.MaxOutputTokens == nil {
		return nil
	}
	left := max(r.outputTokensLeft(), 1)
	return &left
}

// outputTokensLeft is never 0 when the request has no limit.
func (r *run) outputTokensLeft() int {
	if r.in.MaxOutputTokens == nil {
		return responses.MinOutputTokens
	}
	return max(*r.in.MaxOutputTokens-r.usage.OutputTokens, 0)
}

// callsLeft is what max_tool_calls leaves; nil means no limit.
func (r *run) callsLeft() *int {
	if r.in.MaxToolCalls == nil {
		return nil
	}
	left := max(*r.in.MaxToolCalls-r.calls, 0)
	return &left
}
