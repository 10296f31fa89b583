package starter

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// BatchLimits bound batches.
type BatchLimits struct {
	// Concurrency is how many lines of a batch run at the same time, unless its request wants fewer, and Places how many of all batches of
	// an organization.
	Concurrency, Places int
	// UnderWay is how many batches of an organization there may be that have not ended.
	UnderWay int
	// Run is what batches are told of the rest.
	Run workflows.BatchLimits
}

// createBatch makes a batch of a file of requests, and begins it.
func (s *Starter) createBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	given, err := decodeBatch(body, s.Limits.Batch)
	if err != nil {
		return err
	}
	b := given.batch(who, key)
	b.Fingerprint = fingerprint(key, body)
	if err = s.checkInputFile(r.Context(), who, b.InputFile); err != nil {
		b, err = s.repeatedBatch(r, who, b, err)
	} else {
		b, err = s.beginBatch(w, r, who, b)
	}
	return s.answerBatch(w, r, &b, err)
}

// answerBatch answers with a batch that was made or changed.
func (s *Starter) answerBatch(w http.ResponseWriter, r *http.Request, b *batch.Batch, err error) error {
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showBatch(b, nil))
}

// beginBatch stores a new batch and begins it. First the row, then the workflow, under an ID that is the row's: whoever repeats the request
// with its key, or looks at the batch, begins what a starter that died in between has left.
func (s *Starter) beginBatch(w http.ResponseWriter, r *http.Request, who identity.Principal, b batch.Batch) (batch.Batch, error) {
	ctx := r.Context()
	var err error
	if b.MembersOnly, err = s.isMember(ctx, who); err != nil {
		return b, err
	}
	err = s.Store.AddBatch(ctx, actor(r, who), b, s.Limits.Batch.UnderWay)
	switch {
	case errors.Is(err, store.ErrConflict):
		return s.repeatedBatch(r, who, b, err)
	case errors.Is(err, store.ErrTooMany):
		return b, &refusal{tooManyBatches(), retryBatch}
	case err != nil:
		return b, err
	}
	// Nobody can repeat a request without a key, other than by one for another batch: what could not be begun is taken back.
	if err := s.startBatch(ctx, who, &b); err != nil && (b.Fingerprint != "" || s.takeBack(context.WithoutCancel(ctx), actor(r, who), &b)) {
		return b, err
	}
	s.Logger.InfoContext(ctx, "batch started", "request", requestID(w), "batch", b.ID, "organization", who.Organization, "user", who.User, "key", who.Key)
	return b, nil
}

func tooManyBatches() *responses.Error {
	return &responses.Error{
		Status: http.StatusTooManyRequests, Type: responses.ErrRateLimited, Code: "batch_limit_exceeded",
		Message: "the organization has as many batches under way as it may have; wait until one has ended",
	}
}

// retryBatch is when one who has too many batches may try again.
const retryBatch = time.Minute

// repeatedBatch returns the batch that a request made which came before. If there is none, its error is the reason for which the request
// makes none now.
func (s *Starter) repeatedBatch(r *http.Request, who identity.Principal, b batch.Batch, reason error) (batch.Batch, error) {
	if b.Fingerprint == "" {
		return b, reason
	}
	before, err := s.Store.Batch(r.Context(), who.Organization, b.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return b, reason
	case err != nil:
		return b, err
	case before.Fingerprint != b.Fingerprint:
		return b, keyReused()
	}
	return before, s.heal(r.Context(), who, &before)
}

// startBatch begins a batch, if it has not begun.
func (s *Starter) startBatch(ctx context.Context, who identity.Principal, b *batch.Batch) error {
	if err := s.beginFiles(ctx, b); err != nil {
		return err
	}
	in := s.batchInput(who, b)
	options := client.StartWorkflowOptions{
		ID:                    b.ID,
		TaskQueue:             s.TaskQueue,
		WorkflowTaskTimeout:   taskTimeout,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:         in.Summary(),
		Priority:              temporal.Priority{PriorityKey: workflows.PriorityBatch, FairnessKey: b.Organization},
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.Organization.ValueSet(b.Organization),
			workflows.User.ValueSet(b.User),
			workflows.Key.ValueSet(b.Key),
			workflows.BatchID.ValueSet(b.ID),
			workflows.Status.ValueSet(string(batch.InProgress)),
			workflows.Created.ValueSet(b.Times.Created),
		),
	}
	err := s.starting(ctx, who, func(ctx context.Context) error {
		_, err := s.Temporal.ExecuteWorkflow(ctx, options, workflows.BatchName, in)
		return err
	})
	var taken *serviceerror.WorkflowExecutionAlreadyStarted
	if err != nil && !errors.As(err, &taken) {
		return err
	}
	b.Started = true
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	return s.Store.StartedBatch(noting, b.Organization, b.ID)
}

// batchInput is the input of a batch's workflow. Somebody else than the one who made it may begin it, and lends it no rights.
func (k *Intake) batchInput(who identity.Principal, b *batch.Batch) workflows.BatchInput {
	limits := k.Limits.Batch.Run
	limits.Places, limits.RunTimeout = k.Limits.Batch.Places, k.Limits.RunTimeout
	in := workflows.BatchInput{
		BatchID: b.ID, Organization: b.Organization, User: b.User, Key: b.Key, Concurrency: b.Concurrency,
		MembersOnly: b.MembersOnly, Created: b.Times.Created, Deadline: b.Expires(), Limits: limits,
	}
	if who.User == b.User && who.Role == identity.Admin {
		in.Role = string(identity.Admin)
	}
	return in
}

// takeBack removes a batch that could not be begun. If its workflow begins later nevertheless, it finds that there is no such batch; if that
// was faster, the batch is there and runs, and takeBack returns false.
func (s *Starter) takeBack(ctx context.Context, by identity.Actor, b *batch.Batch) bool {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	err := s.Store.RemoveBatch(ctx, b.Organization, b.ID)
	if errors.Is(err, store.ErrConflict) {
		return false
	}
	if err == nil {
		err = s.Files.Release(ctx, b.ID)
	}
	for _, id := range []string{b.OutputFile, b.ErrorFile} {
		if err == nil {
			err = s.Files.Delete(ctx, by, id)
		}
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "a batch that was not begun is left in the list", "batch", b.ID, "error", err)
	}
	return true
}

// checkInputFile wants a file of the caller's organization that has requests.
func (k *Intake) checkInputFile(ctx context.Context, who identity.Principal, id string) error {
	f, err := k.Files.Get(ctx, who.Organization, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return responses.Invalid("input_file_id", "there is no file '%s'", clip(id))
	case err != nil:
		return err
	case f.Purpose != file.PurposeBatch:
		return responses.Invalid("input_file_id", "the purpose of the file is %s: upload one with the purpose %s", f.Purpose, file.PurposeBatch)
	}
	return nil
}

// ownBatch returns a batch of the caller's organization; a 404 for any other.
func (s *Starter) ownBatch(ctx context.Context, who identity.Principal, id string) (batch.Batch, error) {
	if !batch.IsID(id) {
		return batch.Batch{}, batchNotFound(id)
	}
	b, err := s.Store.Batch(ctx, who.Organization, id)
	if errors.Is(err, store.ErrNotFound) {
		return b, batchNotFound(id)
	}
	return b, err
}

func batchNotFound(id string) *responses.Error {
	return &responses.Error{Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "No batch found with id '" + clip(id) + "'."}
}

// getBatch answers with a batch as it is now.
func (s *Starter) getBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	b, err := s.ownBatch(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	s.tryHeal(r.Context(), who, &b)
	p := s.batchProgress(r.Context(), &b)
	return s.writeValue(w, r, showBatch(&b, p))
}

// listBatches lists the batches of the caller's organization, the newest first.
func (s *Starter) listBatches(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	params := r.URL.Query()
	for name, values := range params {
		if name != "after" && name != "limit" {
			return responses.Invalid(clip(name), "unknown parameter; this list takes after, limit")
		}
		if len(values) > 1 {
			return responses.Invalid(name, "must be given once")
		}
	}
	limit, err := pageLimit(params)
	if err != nil {
		return err
	}
	batches, more, err := s.Store.Batches(r.Context(), who.Organization, params.Get("after"), limit)
	if errors.Is(err, store.ErrCursor) {
		return responses.Invalid("after", "must be the ID of a batch")
	}
	if err != nil {
		return err
	}
	shown := make([]shownBatch, len(batches))
	for i := range batches {
		s.tryHeal(r.Context(), who, &batches[i])
		shown[i] = showBatch(&batches[i], nil)
	}
	list := newList(shown, "", func(b shownBatch) string { return b.ID })
	list.HasMore = more
	return s.writeValue(w, r, list)
}

// controlled makes a handler of a change of a batch that runs.
func (s *Starter) controlled(c workflows.BatchControl) tenantHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		b, err := s.controlBatch(r, who, r.PathValue("id"), c)
		return s.answerBatch(w, r, &b, err)
	}
}

// controlBatch changes a batch that runs: in the database, which is what counts, and then by a signal, so that it holds at once. A signal
// that is lost costs some seconds: the workflow looks into the database now and then.
func (s *Starter) controlBatch(r *http.Request, who identity.Principal, id string, c workflows.BatchControl) (batch.Batch, error) {
	ctx := r.Context()
	b, err := s.ownBatch(ctx, who, id)
	if err != nil {
		return b, err
	}
	if b.Status.Ended() || b.Status == batch.Finalizing {
		return b, conflict("Cannot " + string(c) + " a batch with status '" + string(b.Status) + "'.")
	}
	by := actor(r, who)
	if c == workflows.BatchCancel {
		_, err = s.Store.CancelBatch(ctx, by, b.ID)
	} else {
		err = s.Store.PauseBatch(ctx, by, b.ID, c == workflows.BatchPause)
	}
	if err != nil {
		return b, err
	}
	s.tryHeal(ctx, who, &b)
	asking, over := s.asking(ctx)
	defer over()
	if err := s.Temporal.SignalWorkflow(asking, b.ID, "", workflows.BatchControlName, c); err != nil {
		s.Logger.WarnContext(ctx, "a batch hears later of what is wanted of it", "batch", b.ID, "control", c, "error", err)
	}
	return s.Store.Batch(ctx, who.Organization, b.ID)
}

// retryBatchLines makes a batch of those lines of one that has ended that have failed.
func (s *Starter) retryBatchLines(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	of, err := s.ownBatch(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	b, err := s.retryFailed(w, r, who, &of, key, body)
	return s.answerBatch(w, r, &b, err)
}

// retryFailed makes a batch of the lines of another that have failed.
func (s *Starter) retryFailed(w http.ResponseWriter, r *http.Request, who identity.Principal, of *batch.Batch, key string, body []byte) (batch.Batch, error) {
	given, err := decodeRetry(body, of, s.Limits.Batch)
	if err != nil {
		return batch.Batch{}, err
	}
	b := given.batch(who, key)
	b.InputFile, b.RetryOf, b.OutputAge = file.NewID(), of.ID, of.OutputAge
	b.Fingerprint = fingerprint(key, []byte(of.ID+"\n"+strings.TrimSpace(string(body))))
	switch {
	case !of.Status.Ended():
		return b, conflict("Cannot retry a batch with status '" + string(of.Status) + "'.")
	case of.Failed == 0:
		return s.repeatedBatch(r, who, b, conflict("No line of the batch has failed."))
	}
	return s.beginBatch(w, r, who, b)
}
