package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/contract"
	"perdure/internal/blob"
	"perdure/internal/responses"
)

// Names of the steps of a run that began with a request. They are those of the API, which is why they are not among the activities; see
// starter.Intake. They are part of every history: they never change.
const (
	AcceptName = "accept"
	RenderName = "render"
)

// ErrTypeRefused is the type of the error of a request that is not accepted, whose details are a [Refusal] and whose message is fit for
// the caller. It never changes.
const ErrTypeRefused = "refused"

// AcceptInput is a request that a run began with.
type AcceptInput struct {
	ResponseID string           `json:"response_id"`
	Request    contract.Request `json:"request"`
	Created    time.Time        `json:"created"`
}

// Accepted is what the API would have started the run with.
type Accepted struct {
	Input ResponseInput `json:"input"`
	// Response is for the run's memo.
	Response blob.Value `json:"response"`
	// Title is the beginning of what is asked; empty where there is nothing to show.
	Title  string `json:"title,omitempty"`
	Stored bool   `json:"stored,omitempty"`
}

// Refusal is an error that the API would have answered the request with.
type Refusal struct {
	// Status is the HTTP status, Type a type of [responses.Error], and Code its word in the dialect of OpenAI.
	Status int    `json:"status"`
	Type   string `json:"type"`
	Param  string `json:"param,omitempty"`
	Code   string `json:"code,omitempty"`
}

// RenderInput asks for a response as it is on the wire.
type RenderInput struct {
	ResponseID   string  `json:"response_id"`
	Organization string  `json:"organization"`
	Outcome      Outcome `json:"outcome"`
}

// RenderResult is the response, or that it is too long.
type RenderResult struct {
	Response contract.JSON `json:"response,omitempty"`
	Omitted  bool          `json:"omitted,omitempty"`
}

// accept has a request made into the input of its run, and makes the run look like one that the API has started. The response's ID is
// the workflow's.
func accept(ctx workflow.Context, request contract.Request) (ResponseInput, error) {
	err := workflow.SetQueryHandler(ctx, ProgressName, func() (Outcome, error) {
		return Outcome{Status: responses.ResponseQueued}, nil
	})
	if err != nil {
		return ResponseInput{}, err
	}
	workflow.SetCurrentDetails(ctx, "**accepting the request**")
	info := workflow.GetInfo(ctx)
	var accepted Accepted
	err = workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, acceptOptions()), AcceptName, AcceptInput{
		ResponseID: info.WorkflowExecution.ID, Request: request, Created: info.WorkflowStartTime,
	}).Get(ctx, &accepted)
	if err != nil {
		return ResponseInput{}, notAccepted(err)
	}
	in := accepted.Input
	memo := map[string]any{MemoResponse: accepted.Response}
	if accepted.Title != "" {
		memo[MemoTitle] = accepted.Title
	}
	if err := workflow.UpsertMemo(ctx, memo); err != nil {
		return in, err
	}
	return in, workflow.UpsertTypedSearchAttributes(ctx, append(in.attributes(request, responses.ResponseInProgress),
		Stored.ValueSet(accepted.Stored), Created.ValueSet(info.WorkflowStartTime))...)
}

// attributes are the search attributes of a request's run.
func (in *ResponseInput) attributes(request contract.Request, status string) []temporal.SearchAttributeUpdate {
	attributes := []temporal.SearchAttributeUpdate{
		Organization.ValueSet(request.Organization), User.ValueSet(request.User), Model.ValueSet(in.Models[0]),
		Servers.ValueSet(in.Labels()), Status.ValueSet(status),
	}
	if request.Key != "" {
		attributes = append(attributes, Key.ValueSet(request.Key))
	}
	if request.Batch != "" {
		attributes = append(attributes, BatchID.ValueSet(request.Batch))
	}
	return attributes
}

// Labels are those of the run's servers.
func (in *ResponseInput) Labels() []string {
	labels := make([]string, len(in.Servers))
	for i, server := range in.Servers {
		labels[i] = server.Label
	}
	return labels
}

// notAccepted makes a failure of the step's error.
func notAccepted(err error) error {
	if temporal.IsCanceledError(err) {
		return err
	}
	f := &failure{kind: ErrTypeFailed, message: "the request could not be accepted: the database or the storage is away", cause: err}
	var app *temporal.ApplicationError
	var refusal Refusal
	if !errors.As(err, &app) || app.Type() != ErrTypeRefused || app.Details(&refusal) != nil {
		return f
	}
	f.kind, f.message, f.param, f.shown = ErrTypeInvalid, app.Message(), refusal.Param, &refusal
	if refusal.Type == responses.ErrExternalConnector {
		f.kind = ErrTypeDiscovery
	}
	return f
}

// refused ends a run that never was one.
func refused(ctx workflow.Context, err error) (Outcome, error) {
	var out Outcome
	if !out.end(ctx, err) {
		return out, err
	}
	text := "**" + out.Status + "**"
	if out.Error != nil {
		text += ": " + out.Error.Message
	}
	workflow.SetCurrentDetails(ctx, text)
	return out, out.result(err)
}

// render puts the response into the outcome, if that is wanted. Nobody waits for the response of a run that was cancelled.
func (r *run) render(ctx workflow.Context, out *Outcome) {
	if r.in.Return != contract.ReturnResponse || out.Status == responses.ResponseCancelled {
		return
	}
	if r.timeIsOver(ctx) { // a storage that is away must not have Temporal end the run, which would lose the rest
		out.ResponseOmitted = true
		return
	}
	var result RenderResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, renderOptions()), RenderName, RenderInput{
		ResponseID: r.in.ResponseID, Organization: r.in.Organization, Outcome: *out,
	}).Get(ctx, &result)
	if err != nil {
		workflow.GetLogger(ctx).Warn("the response is not in the result", "response", r.in.ResponseID, "error", err)
		result = RenderResult{Omitted: true}
	}
	out.Response, out.ResponseOmitted = result.Response, result.Omitted
}
