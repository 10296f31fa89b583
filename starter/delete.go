package starter

import (
	"context"
	"errors"
	"net/http"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"perdure/activities"
	"perdure/internal/identity"
	"perdure/internal/store"
	"perdure/workflows"
)

// removeRun has a stored response removed, after what its conversation has to be told. One that can no longer be read goes as well; what it
// would have told its conversation is not known then.
func (s *Starter) removeRun(r *http.Request, who identity.Principal, id string) error {
	ctx := r.Context()
	var owner string
	e, err := s.stored(ctx, who, id)
	if isLost(err) {
		var d *client.WorkflowExecutionDescription
		if d, err = s.locate(ctx, who, id); err == nil {
			owner = announced(&d.WorkflowExecutionMetadata).user
		}
	} else if err == nil {
		owner, err = e.user, s.settleConversation(ctx, who, e)
	}
	if err != nil {
		return err
	}
	if err := s.deleteRun(ctx, who, id); err != nil {
		return err
	}
	s.note(r, who, store.ActResponseDelete, id, owner)
	return nil
}

// note adds to the audit log what somebody has done to a response of a user, where there is a database. It stays done if the log cannot be
// written, which the log of the process says then: whoever stops a run is not to wait for a database.
func (s *Starter) note(r *http.Request, who identity.Principal, action, id, user string) {
	if s.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), noteTimeout)
	defer cancel()
	by := actor(r, who)
	if err := s.Store.Record(ctx, by, action, id, map[string]string{"user": user}); err != nil {
		s.Logger.ErrorContext(ctx, "the audit log lacks an event", "action", action, "target", id, "of", user,
			"organization", by.Organization, "user", by.User, "key", by.Key, "address", by.Address, "error", err)
	}
}

// noteTimeout bounds how long a request that is done waits for the audit log.
const noteTimeout = 3 * time.Second

// deleteRun has a response or a conversation removed. Nobody finds it any more from then on, although Temporal takes its time.
func (s *Starter) deleteRun(ctx context.Context, who identity.Principal, id string) error {
	options := client.StartWorkflowOptions{
		ID:                       workflows.DeletionID(id),
		TaskQueue:                s.TaskQueue,
		WorkflowExecutionTimeout: workflows.DeletionTimeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		EnableEagerStart:         s.Eager,
		StaticSummary:            "delete " + id,
		Priority:                 priority(who, true),
	}
	return s.starting(ctx, who, func(ctx context.Context) error {
		_, err := s.Temporal.ExecuteWorkflow(ctx, options, workflows.DeletionName, activities.DeleteInput{WorkflowID: id})
		return err
	})
}

// deleted reports whether somebody has had a response removed.
func (k *Intake) deleted(ctx context.Context, id string) (bool, error) {
	_, err := k.Temporal.DescribeWorkflow(ctx, workflows.DeletionID(id), "")
	if hasEnded(err) {
		return false, nil
	}
	return err == nil, err
}

// hasEnded reports whether Temporal says that there is no such execution, or none under way.
func hasEnded(err error) bool {
	var missing *serviceerror.NotFound
	return errors.As(err, &missing)
}
