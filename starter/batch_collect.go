package starter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"perdure/internal/batch"
	"perdure/internal/responses"
	"perdure/workflows"
)

// collectAtOnce is how many lines are looked up at the same time.
const collectAtOnce = 8

// BatchCollect writes what lines came to into the files of their batch, as one part of each, and notes how far the batch is. What lines came
// to is asked of Temporal. An attempt that is repeated writes the same part, which is then there already.
func (k *Intake) BatchCollect(ctx context.Context, in workflows.BatchCollectInput) (workflows.BatchCollectResult, error) {
	out := workflows.BatchCollectResult{Progress: in.Before}
	if err := k.needDatabase(); err != nil {
		return out, err
	}
	b, err := k.Store.Batch(ctx, in.Organization, in.BatchID)
	if err != nil {
		return out, err
	}
	var output, failed [][]byte
	for next := in.From; next <= in.Until; {
		activity.RecordHeartbeat(ctx, next)
		lines, err := k.Files.Lines(ctx, in.Organization, in.File, next, min(in.Until-next+1, linesAtOnce))
		if err != nil {
			return out, err
		}
		if len(lines) == 0 {
			return out, errors.New("the file of the batch has fewer lines than it had")
		}
		collected := make([]collected, len(lines))
		group, each := errgroup.WithContext(ctx)
		group.SetLimit(collectAtOnce)
		for i, l := range lines {
			group.Go(func() (err error) {
				collected[i], err = k.collectLine(each, &b, in, l.Number, customID(l.Text))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return out, err
		}
		for _, c := range collected {
			text, err := json.Marshal(c.Result)
			if err != nil {
				return out, err
			}
			out.Progress.Usage.Add(c.usage)
			if c.Succeeded() {
				out.Progress.Completed++
				output = append(output, text)
			} else {
				out.Progress.Failed++
				failed = append(failed, text)
			}
		}
		next = lines[len(lines)-1].Number + 1
	}
	if err := k.Files.Append(ctx, in.Organization, b.OutputFile, in.Part, output); err != nil {
		return out, err
	}
	if err := k.Files.Append(ctx, in.Organization, b.ErrorFile, in.Part, failed); err != nil {
		return out, err
	}
	return out, k.Store.AdvanceBatch(ctx, in.Organization, in.BatchID, out.Progress)
}

// linesAtOnce is how many requests are in memory at the same time.
const linesAtOnce = 100

// customID is the name that a line has for its request. The upload was checked to have one.
func customID(line []byte) string {
	var l struct {
		CustomID string `json:"custom_id"`
	}
	_ = json.Unmarshal(line, &l)
	return l.CustomID
}

// collected is a line of an output, and what it used.
type collected struct {
	batch.Result
	usage responses.Usage
}

// collectLine returns what a line came to.
func (k *Intake) collectLine(ctx context.Context, b *batch.Batch, in workflows.BatchCollectInput, number int, customID string) (collected, error) {
	unanswered := batch.CodeCancelled
	if in.Ending == batch.Expired {
		unanswered = batch.CodeExpired
	}
	if number >= in.Begun {
		return collected{Result: batch.Unanswered(b.ID, number, customID, unanswered)}, nil
	}
	id := batch.ResponseID(b.ID, number)
	var out workflows.Outcome
	err := k.Temporal.GetWorkflow(ctx, id, "").Get(ctx, &out)
	if hasEnded(err) && in.Ending != "" {
		// It was cancelled before it began, or somebody has deleted it.
		return collected{Result: batch.Unanswered(b.ID, number, customID, unanswered)}, nil
	}
	e := end{outcome: &out}
	if err != nil {
		if ctx.Err() != nil || temporalAway(err) {
			return collected{}, err
		}
		if e, err = ended(err); err != nil {
			return collected{}, err
		}
	}
	c := collected{usage: e.outcome.Usage}
	if e.outcome.Status == responses.ResponseCancelled && in.Ending != "" {
		c.Result = batch.Unanswered(b.ID, number, customID, unanswered)
		return c, nil
	}
	status, body, err := k.lineBody(ctx, b, id, e)
	c.Result = batch.Answered(b.ID, number, customID, status, body)
	return c, err
}

// lineBody is what the request of a line is answered with: with a response, or with an error where there is none. A run that has failed is
// answered with its response, too, which says why, but with the status of a failure, so that it is among those that can be retried.
func (k *Intake) lineBody(ctx context.Context, b *batch.Batch, id string, e end) (int, json.RawMessage, error) {
	if e.shown != nil {
		shown := *e.shown
		if e.outcome.Error != nil && statusOfType[e.outcome.Error.Type] != 0 { // what the first step was refused with
			shown.Status, shown.Type = statusOfType[e.outcome.Error.Type], e.outcome.Error.Type
		}
		body, err := shown.MarshalWire(k.ownDialect())
		return shown.Status, body, err
	}
	status := http.StatusOK
	switch e.outcome.Status {
	case responses.ResponseFailed:
		status = http.StatusBadGateway
	case responses.ResponseCancelled:
		status = http.StatusConflict // somebody has cancelled this one response
	}
	begun, err := k.begunResponse(ctx, b.Organization, id)
	if err != nil {
		return 0, nil, err
	}
	if begun == nil {
		body, err := notAnswered(e.outcome).MarshalWire(k.ownDialect())
		return max(status, http.StatusBadGateway), body, err
	}
	response, err := k.complete(ctx, begun, e.outcome, nil)
	if err != nil {
		return 0, nil, err
	}
	wire, err := response.MarshalWire(k.ownDialect())
	if err != nil {
		return 0, nil, err
	}
	return status, bytes.TrimRight(wire, "\n"), nil
}

// statusOfType has the HTTP statuses of the errors with which requests are refused.
var statusOfType = map[string]int{
	responses.ErrInvalidRequest: http.StatusBadRequest, responses.ErrForbidden: http.StatusForbidden, responses.ErrNotFound: http.StatusNotFound,
	responses.ErrConflict: http.StatusConflict, responses.ErrPayloadTooLarge: http.StatusRequestEntityTooLarge,
	responses.ErrExternalConnector: http.StatusFailedDependency,
}

// notAnswered is the error of a run of which nothing else is known.
func notAnswered(out *workflows.Outcome) *responses.Error {
	e := &responses.Error{
		Status: http.StatusBadGateway, Type: responses.ErrBadGateway,
		Message: "the response of this request is not there any more: it was deleted, or cancelled before it began",
	}
	if out.Error != nil {
		e.Message = out.Error.Message
	}
	return e
}

// begunResponse is a response as it was when its run began; nil where there is none: the request was never accepted, or the response is
// deleted.
func (k *Intake) begunResponse(ctx context.Context, organization, id string) (*responses.Response, error) {
	d, err := k.Temporal.DescribeWorkflow(ctx, id, "")
	if hasEnded(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if owner, _ := d.TypedSearchAttributes.GetKeyword(workflows.Organization); owner != organization {
		return nil, nil
	}
	e, err := k.envelope(ctx, &d.WorkflowExecutionMetadata)
	if errors.Is(err, errNotAccepted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e.response, nil
}
