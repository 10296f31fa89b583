package starter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"perdure/contract"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// Bounds of what a request says beside its body, in characters.
const (
	maxBatch    = 256
	maxCustomID = 512
)

// Register makes a worker take requests from Temporal.
func (k *Intake) Register(r worker.Registry) {
	r.RegisterActivityWithOptions(k.Accept, activity.RegisterOptions{Name: workflows.AcceptName})
	r.RegisterActivityWithOptions(k.Render, activity.RegisterOptions{Name: workflows.RenderName})
	k.registerBatches(r)
}

// Accept is the first step of a run that began with a request: it does what the API does before it starts one. Its error for a request
// that is refused has the type [workflows.ErrTypeRefused]; any other may pass.
func (k *Intake) Accept(ctx context.Context, in workflows.AcceptInput) (workflows.Accepted, error) {
	accepted, err := k.take(ctx, in)
	return accepted, stepError(ctx, err)
}

// stepError makes the error of a step of what the API would answer. What would be the client's fault there is final, but for there being too
// much at the moment, and all else may pass.
func stepError(ctx context.Context, err error) error {
	shown := wireError(err)
	if err == nil || ctx.Err() != nil || shown == nil || shown.Status >= http.StatusInternalServerError {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(shown.Message, workflows.ErrTypeRefused, temporal.ApplicationErrorOptions{
		NonRetryable: shown.Status != http.StatusTooManyRequests,
		Details:      []any{workflows.Refusal{Status: shown.Status, Type: shown.Type, Param: shown.Param, Code: shown.Code}},
	})
}

func (k *Intake) take(ctx context.Context, in workflows.AcceptInput) (workflows.Accepted, error) {
	var out workflows.Accepted
	if err := checkRequest(in); err != nil {
		return out, err
	}
	who, err := k.principal(ctx, in.Request)
	if err != nil {
		return out, err
	}
	body, err := k.bodyOf(ctx, in.Request)
	if err != nil {
		return out, err
	}
	req, impatient, err := decodeRequested(body, k.ownDialect(), in.Request.Line == nil)
	if err != nil {
		return out, err
	}
	if err := k.validate(req); err != nil {
		return out, err
	}
	dialect := k.ownDialect()
	memory := k.memory(who)
	defer memory.done()
	before, err := k.before(ctx, who, req, call{dialect: dialect, memory: memory})
	if err != nil {
		return out, err
	}
	if out.Input, err = k.runInput(ctx, who, in.ResponseID, req, before, dialect); err != nil {
		return out, err
	}
	out.Input.Background = !impatient
	out.Input.Batch, out.Input.CustomID, out.Input.Return = in.Request.Batch, in.Request.CustomID, in.Request.Return
	if in.Request.Batch != "" {
		out.Input.Webhooks = nil // whoever made the batch hears of its end
	}
	out.Stored, out.Title = req.Store, titleOf(req.Input)
	out.Response, _, err = k.packResponse(ctx, newResponse(req, dialect, in.ResponseID, in.Created))
	return out, err
}

// checkRequest checks all but the body.
func checkRequest(in workflows.AcceptInput) error {
	r := in.Request
	switch {
	case !responses.IsResponseID(in.ResponseID):
		return responses.Invalid("workflow_id", "the ID of the workflow, %q, must be one of a response: resp_ and 1 to 200 letters, digits, "+
			"_ and -, such as resp_ with a UUID", clip(in.ResponseID))
	case (len(r.Body) == 0) == (r.Line == nil):
		return responses.Invalid("request.body", "must be set, unless request.line is")
	case r.Line != nil && (r.Line.Number < 1 || r.Line.File == ""):
		return responses.Invalid("request.line", "must have a file, and a number that counts its lines from 1")
	case len(r.Batch) > maxBatch:
		return responses.Invalid("request.batch", "must have %d characters at most", maxBatch)
	case len(r.CustomID) > maxCustomID:
		return responses.Invalid("request.custom_id", "must have %d characters at most", maxCustomID)
	case r.Return != "" && r.Return != contract.ReturnResponse:
		return responses.Invalid("request.return", "must be %q or left out", contract.ReturnResponse)
	}
	return checkCaller(r.Organization, r.User, r.Role, r.Key)
}

// checkCaller checks for whom a request says that it is.
func checkCaller(organization, user, role, key string) error {
	if role != "" && role != string(identity.Member) && role != string(identity.Admin) {
		return responses.Invalid("request.role", "must be member, admin or left out")
	}
	for _, n := range []struct{ place, name string }{{"request.organization", organization}, {"request.user", user}} {
		if err := identity.CheckName(n.name); err != nil {
			return responses.Invalid(n.place, "%s", err)
		}
	}
	if key == "" {
		return nil
	}
	if err := identity.CheckKey(key); err != nil {
		return responses.Invalid("request.key", "%s", err)
	}
	return nil
}

// principal is whom a request is for. Who may start workflows is trusted to say so; what that one may use is what the database says, and
// nobody whom it does not know is an admin.
func (k *Intake) principal(ctx context.Context, r contract.Request) (identity.Principal, error) {
	who := identity.Principal{
		Organization: r.Organization, User: r.User, Key: r.Key, Role: identity.Member, Scopes: identity.ScopeResponses,
	}
	if k.Store == nil {
		return who, nil
	}
	member, err := k.Store.Member(ctx, r.Organization, r.User)
	switch {
	case err == nil:
		if r.Role == string(identity.Admin) {
			who.Role = member.Role
		}
		return who, nil
	case !errors.Is(err, store.ErrNotFound):
		return who, err
	case r.MembersOnly:
		return who, forbidden("the user " + r.User + " is not a member of the organization any more")
	default:
		return who, nil
	}
}

func (k *Intake) bodyOf(ctx context.Context, r contract.Request) ([]byte, error) {
	body := []byte(r.Body)
	if r.Line != nil {
		if k.Line == nil {
			return nil, errNoDatabase // which is no fault of the request's: it is tried again
		}
		var err error
		if body, err = k.Line(ctx, r.Organization, r.Line.File, r.Line.Number); err != nil {
			return nil, err
		}
	}
	if k.Limits.Body > 0 && int64(len(body)) > k.Limits.Body {
		return nil, tooLargeError(k.Limits.Body)
	}
	return body, nil
}

// decodeRequested reads the body of a request for which nobody holds a connection open: it is a background one unless it says no, and
// then impatient, or cannot be one. One that stands in a history has no secrets.
func decodeRequested(body []byte, d responses.Dialect, open bool) (req *responses.Request, impatient bool, err error) {
	if req, err = responses.DecodeRequest(body, d); err != nil {
		return nil, false, err
	}
	var said struct {
		Background *bool `json:"background"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, false, err // which the decoder would have found
	}
	if said.Background == nil {
		req.Background = req.Store
	} else {
		impatient = !*said.Background
	}
	req.Stream = false
	if open {
		err = refuseSecrets(req)
	}
	return req, impatient, err
}

// refuseSecrets refuses what is to stay in a history in the clear.
func refuseSecrets(req *responses.Request) error {
	const remedy = "would stay readable in Temporal's history; save a connector with it, and name that with connector_id"
	for i, tool := range req.Tools {
		t, ok := tool.(*responses.MCPTool)
		place := "tools[" + strconv.Itoa(i) + "]."
		switch {
		case !ok:
		case t.Authorization != "":
			return responses.Invalid(place+"authorization", "%s", remedy)
		case len(t.Headers) > 0:
			return responses.Invalid(place+"headers", "%s", remedy)
		}
	}
	return nil
}

// Render returns a response as it is on the wire, for whoever started its run and cannot ask the API.
func (k *Intake) Render(ctx context.Context, in workflows.RenderInput) (workflows.RenderResult, error) {
	e, err := k.find(ctx, identity.Principal{Organization: in.Organization}, in.ResponseID)
	if err != nil {
		return workflows.RenderResult{}, err
	}
	response, err := k.complete(ctx, e.response, &in.Outcome, nil)
	if err != nil {
		return workflows.RenderResult{}, err
	}
	wire, err := response.MarshalWire(k.ownDialect())
	if err != nil || len(wire) > contract.MaxResponse {
		return workflows.RenderResult{Omitted: true}, err
	}
	return workflows.RenderResult{Response: wire}, nil
}
