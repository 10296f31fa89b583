package starter

import (
	"context"
	"errors"

	"perdure/contract"
	"perdure/internal/batch"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// BatchAccept is the first step of a batch that began with a request: it does what the API does before it starts one. It may be repeated.
func (k *Intake) BatchAccept(ctx context.Context, in workflows.BatchAcceptInput) (workflows.BatchInput, error) {
	if err := k.needDatabase(); err != nil {
		return workflows.BatchInput{}, err
	}
	out, err := k.takeBatch(ctx, in)
	return out, stepError(ctx, err)
}

func (k *Intake) takeBatch(ctx context.Context, in workflows.BatchAcceptInput) (workflows.BatchInput, error) {
	var out workflows.BatchInput
	r := in.Request
	if !batch.IsID(in.BatchID) {
		return out, responses.Invalid("workflow_id", "the ID of the workflow, %q, must be one of a batch: %s and 1 to 64 small letters, digits "+
			"and -, such as %s with a UUID", clip(in.BatchID), batch.Prefix, batch.Prefix)
	}
	if err := checkCaller(r.Organization, r.User, r.Role, r.Key); err != nil {
		return out, err
	}
	who, err := k.principal(ctx, contract.Request{
		Organization: r.Organization, User: r.User, Role: r.Role, Key: r.Key, MembersOnly: r.MembersOnly,
	})
	if err != nil {
		return out, err
	}
	given, err := decodeBatch(r.Body, k.Limits.Batch)
	if err != nil {
		return out, err
	}
	b := given.batch(who, "")
	b.ID, b.Started, b.Fingerprint, b.MembersOnly = in.BatchID, true, fingerprint(in.BatchID, r.Body), r.MembersOnly
	if b, err = k.keepBatch(ctx, who, b); err != nil {
		return out, err
	}
	if err := k.beginFiles(ctx, &b); err != nil {
		return out, err
	}
	return k.batchInput(who, &b), nil
}

// keepBatch stores a batch, unless an attempt before has.
func (k *Intake) keepBatch(ctx context.Context, who identity.Principal, b batch.Batch) (batch.Batch, error) {
	before, err := k.Store.Batch(ctx, who.Organization, b.ID)
	if err == nil && before.Fingerprint == b.Fingerprint {
		return before, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return b, err
	}
	if err := k.checkInputFile(ctx, who, b.InputFile); err != nil {
		return b, err
	}
	err = k.Store.AddBatch(ctx, who.Acts("temporal"), b, k.Limits.Batch.UnderWay)
	if errors.Is(err, store.ErrTooMany) {
		return b, tooManyBatches()
	}
	return b, err
}
