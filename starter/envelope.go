package starter

import (
	"context"
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/workflows"
)

// memoFingerprint is the member of a run's memo that tells a repeated request from another one under the same Idempotency-Key. It is
// stored: it never changes. The other members are [workflows.MemoResponse] and [workflows.MemoTitle].
const memoFingerprint = "fingerprint"

// inlineResponse is how many bytes of a response's beginning its run's memo holds itself. Lists show it, so it is kept short.
const inlineResponse = 4 << 10

// errNotAccepted is for a run that began with a request which has not become a response yet, and may never.
var errNotAccepted = errors.New("starter: the run has not accepted its request")

// envelope is what any starter can know of a run without asking it.
type envelope struct {
	// response is as it was when the run began; it is the caller's own copy.
	response    *responses.Response
	fingerprint string
	stored      bool
	user        string
	status      string // the last that the run announced
	created     time.Time
	running     bool
}

// memo returns what a run carries for those who ask for it later, and how many bytes the response has in it.
func (k *Intake) memo(ctx context.Context, response *responses.Response, fingerprint string) (memo map[string]any, size int, err error) {
	packed, size, err := k.packResponse(ctx, response)
	memo = map[string]any{workflows.MemoResponse: packed}
	if fingerprint != "" {
		memo[memoFingerprint] = fingerprint
	}
	return memo, size, err
}

// packResponse returns a response for a memo, and how many bytes it has.
func (k *Intake) packResponse(ctx context.Context, response *responses.Response) (packed blob.Value, size int, err error) {
	wire, err := response.MarshalWire(responses.DialectOpenAI)
	if err != nil {
		return packed, 0, err
	}
	packed, err = k.Blobs.For(response.ID).Pack(ctx, string(wire), inlineResponse)
	return packed, len(wire), err
}

// find returns the run of a response that the caller may know of. Its error is a 404 for any other.
func (k *Intake) find(ctx context.Context, who identity.Principal, id string) (*envelope, error) {
	ctx, over := k.asking(ctx)
	defer over()
	d, err := k.describe(ctx, who, id)
	if err != nil {
		return nil, err
	}
	e, err := k.envelope(ctx, &d.WorkflowExecutionMetadata)
	if errors.Is(err, errNotAccepted) {
		return nil, responseNotFound(id)
	}
	return e, err
}

// describe is find for what Temporal knows of the run.
func (k *Intake) describe(ctx context.Context, who identity.Principal, id string) (*client.WorkflowExecutionDescription, error) {
	if !responses.IsResponseID(id) {
		return nil, responseNotFound(id)
	}
	var d *client.WorkflowExecutionDescription
	var deleted bool
	var both errgroup.Group // neither look cuts the other one short, which the server would take for a fault of its own
	both.Go(func() (err error) { d, err = k.Temporal.DescribeWorkflow(ctx, id, ""); return err })
	both.Go(func() (err error) { deleted, err = k.deleted(ctx, id); return err })
	if err := both.Wait(); hasEnded(err) || deleted {
		return nil, responseNotFound(id)
	} else if err != nil {
		return nil, err
	}
	organization, _ := d.TypedSearchAttributes.GetKeyword(workflows.Organization)
	if organization != who.Organization || d.WorkflowType.Name != workflows.ResponseName {
		return nil, responseNotFound(id)
	}
	if d.Status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		k.gates.runs.Ended(id)
	}
	return d, nil
}

// locate is stored for what Temporal knows of the run.
func (k *Intake) locate(ctx context.Context, who identity.Principal, id string) (*client.WorkflowExecutionDescription, error) {
	ctx, over := k.asking(ctx)
	defer over()
	d, err := k.describe(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if stored, _ := d.TypedSearchAttributes.GetBool(workflows.Stored); !stored {
		return nil, responseNotFound(id)
	}
	return d, nil
}

func (k *Intake) envelope(ctx context.Context, d *client.WorkflowExecutionMetadata) (*envelope, error) {
	e := announced(d)
	return e, k.readMemo(ctx, d.WorkflowExecution.ID, d.Memo, e)
}

// announced is what a run's search attributes say of it.
func announced(d *client.WorkflowExecutionMetadata) *envelope {
	e := &envelope{created: d.WorkflowStartTime, running: d.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	e.status, _ = d.TypedSearchAttributes.GetKeyword(workflows.Status)
	e.user, _ = d.TypedSearchAttributes.GetKeyword(workflows.User)
	e.stored, _ = d.TypedSearchAttributes.GetBool(workflows.Stored)
	if created, ok := d.TypedSearchAttributes.GetTime(workflows.Created); ok {
		e.created = created
	}
	return e
}

// payloadsOf decodes what a workflow carries.
func (k *Intake) payloadsOf(workflowID string) converter.DataConverter {
	return payload.OfWorkflow(k.Payloads, k.Namespace, workflowID)
}

// readMemo takes over what a run carries for those who ask for it.
func (k *Intake) readMemo(ctx context.Context, workflowID string, memo *commonpb.Memo, e *envelope) error {
	var packed blob.Value
	if err := k.fromMemo(workflowID, memo, workflows.MemoResponse, &packed); err != nil {
		return err
	}
	if packed.JSON == nil && packed.Ref == "" {
		return errNotAccepted
	}
	if err := k.fromMemo(workflowID, memo, memoFingerprint, &e.fingerprint); err != nil {
		return err
	}
	var wire string
	err := k.Blobs.For(workflowID).Unpack(ctx, packed, &wire)
	if err != nil {
		return err
	}
	e.response, err = responses.UnmarshalResponse([]byte(wire))
	return err
}

// fromMemo leaves out as it is when the memo has no such member.
func (k *Intake) fromMemo(workflowID string, memo *commonpb.Memo, name string, out any) error {
	member, ok := memo.GetFields()[name]
	if !ok {
		return nil
	}
	return k.payloadsOf(workflowID).FromPayload(member, out)
}

// stored is find for a response that was created with store.
func (k *Intake) stored(ctx context.Context, who identity.Principal, id string) (*envelope, error) {
	e, err := k.find(ctx, who, id)
	if err == nil && !e.stored {
		return nil, responseNotFound(id)
	}
	return e, err
}
