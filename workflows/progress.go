package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
)

// tell shows an operator, in the Temporal Web UI, what the run is doing.
func (r *run) tell(ctx workflow.Context, doing string) {
	text := fmt.Sprintf("**%s**\n\n%s", doing, r.counts())
	if r.in.Carried != nil {
		// Temporal does not pass the summary of an execution on to the next.
		text += "\n\n" + r.in.Summary() + " · went on from an earlier execution, whose history was full"
	} else if r.requested {
		text += "\n\n" + r.in.Summary() // whoever started it could not know it
	}
	if r.in.Batch != "" {
		text += "\n\n" + r.in.place()
	}
	workflow.SetCurrentDetails(ctx, text)
}

// Summary says in a line what a run is: its first model and its MCP servers.
func (in *ResponseInput) Summary() string {
	text, separator := in.Models[0], " · "
	for _, server := range in.Servers {
		text += separator + server.Label
		separator = ", "
	}
	return text
}

// place says in a line what a run is part of.
func (in *ResponseInput) place() string {
	if in.CustomID == "" {
		return "of " + in.Batch
	}
	return in.CustomID + " of " + in.Batch
}

func (r *run) counts() string {
	return fmt.Sprintf("turn %d of %d · %d MCP calls · %d items · %d tokens in, %d out",
		r.turn, r.in.MaxSteps, r.calls, r.outputLen(), r.usage.InputTokens, r.usage.OutputTokens)
}

// announce answers the query [ProgressName] from now on, and says of a run that was queued that it has begun.
func (r *run) announce(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, ProgressName, func() (Outcome, error) {
		out := r.outcome()
		out.Discovered = r.discovered
		return out, nil
	})
	if err != nil {
		return err
	}
	if r.requested || !r.in.Background || r.in.Carried != nil {
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx, Status.ValueSet(responses.ResponseInProgress))
}

// tellOthers lets the conversation and the webhooks know how the run ended. None of them can fail the run, and they hear of a run
// that was cancelled, too.
func (r *run) tellOthers(ctx workflow.Context, out Outcome) {
	// It is never cancelled: that would reach the workflows that are started here, and which outlive the run.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if r.in.ConversationID != "" && (out.answered() || r.leavesCalls(ctx)) {
		signalConversation(ctx, r.in.ConversationID, ConversationAppend{
			ResponseID: r.in.ResponseID, Transcript: out.Conversation, From: r.in.InputFrom, Servers: out.Servers,
		})
	}
	if len(r.in.Webhooks) > 0 {
		startWebhooks(ctx, r.in.Webhooks, r.in.ResponseID, out.Status)
	}
}

func (out *Outcome) answered() bool {
	return out.Status == responses.ResponseCompleted || out.Status == responses.ResponseIncomplete
}

// leavesCalls reports whether the conversation gets the items of the run although it came to no answer: it has called tools, and a model
// that did not see that would call them again.
func (r *run) leavesCalls(ctx workflow.Context) bool {
	const change = "conversations get calls of runs without an answer"
	return r.calls > 0 && workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// publish shows how the run ended, in its details and in its search attributes.
func (r *run) publish(ctx workflow.Context, out Outcome) {
	text := out.Status
	if out.Reason != "" {
		text += " (" + out.Reason + ")"
	}
	if out.Error != nil {
		text += ": " + out.Error.Message
	}
	r.tell(ctx, text)
	err := workflow.UpsertTypedSearchAttributes(ctx, Status.ValueSet(out.Status), Model.ValueSet(out.Model))
	if err != nil {
		workflow.GetLogger(ctx).Error("search attributes could not be set", "error", err)
	}
}

// callsInWords names the calls of a turn, and counts those that do not fit.
func callsInWords(calls []activities.ToolCall) string {
	const most = 5
	names := make([]string, 0, most)
	for _, c := range calls[:min(len(calls), most)] {
		names = append(names, strings.TrimPrefix(c.Server+"."+c.Tool, ".")) // a tool that nobody offered has no server
	}
	text := "calling " + strings.Join(names, ", ")
	if more := len(calls) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
