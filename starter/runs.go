package starter

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// RunFilter narrows a list of runs. Its zero value is the first page of all.
type RunFilter struct {
	Status, Model, User, Server string
	Batch                       string    // the ID of the batch that they are part of
	After, Before               time.Time // of their creation; After is inclusive
	Limit                       int       // between 1 and 100; 0 is the default
	Page                        string    // [RunList.Next] of an earlier answer to the same filter
}

// RunList is a page of runs: those under way first, then the others by their end, the latest first.
type RunList struct {
	Runs []RunRow
	Next string // of the next page; empty on the last
}

// RunRow is a run in a list.
type RunRow struct {
	ID, Status, Model, User, Key string
	Servers                      []string
	// Title is the beginning of what the run was asked; empty for one of an earlier release, or one that cannot be read.
	Title      string
	Background bool
	Created    time.Time
	Ended      time.Time // zero while it goes on
}

// Runs lists the stored runs of the caller's organization. Its error is a 400 for a filter that is not valid.
func (s *Starter) Runs(ctx context.Context, who identity.Principal, f RunFilter) (RunList, error) {
	if err := s.checkTemporal(); err != nil {
		return RunList{}, err
	}
	params := url.Values{}
	for name, value := range map[string]string{
		"status": f.Status, "model": f.Model, "user": f.User, "server_label": f.Server, "batch": f.Batch, "page": f.Page,
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"created_after": f.After, "created_before": f.Before} {
		if !at.IsZero() {
			params.Set(name, strconv.FormatInt(at.Unix(), 10))
		}
	}
	if f.Limit != 0 {
		params.Set("limit", strconv.Itoa(f.Limit))
	}
	found, next, err := s.listRuns(ctx, who, params)
	if err != nil {
		return RunList{}, err
	}
	list := RunList{Next: next}
	for _, info := range found {
		row, err := s.runRow(ctx, info)
		if err != nil {
			return RunList{}, err
		}
		list.Runs = append(list.Runs, row)
	}
	return list, nil
}

func (s *Starter) runRow(ctx context.Context, info *workflowpb.WorkflowExecutionInfo) (RunRow, error) {
	entry, err := s.listEntry(ctx, info)
	if err != nil {
		return RunRow{}, err
	}
	row := RunRow{
		ID: entry.ID, Status: entry.Status, Model: entry.Model, Background: entry.Background, Created: time.Unix(entry.CreatedAt, 0),
	}
	if ended := info.GetCloseTime(); ended != nil {
		row.Ended = ended.AsTime()
	}
	attributes := info.GetSearchAttributes().GetIndexedFields() // which are never encrypted
	for name, into := range map[string]any{
		workflows.User.GetName(): &row.User, workflows.Key.GetName(): &row.Key, workflows.Servers.GetName(): &row.Servers,
		workflows.Created.GetName(): &row.Created,
	} {
		if payload, ok := attributes[name]; ok {
			if err := converter.GetDefaultDataConverter().FromPayload(payload, into); err != nil {
				return RunRow{}, err
			}
		}
	}
	err = s.fromMemo(entry.ID, info.GetMemo(), workflows.MemoTitle, &row.Title)
	if errors.Is(err, secret.ErrOpen) { // which was told with the rest of the memo
		err = nil
	}
	return row, err
}

// RunItems is how many items of a run's input and of its output are shown of it, the last of each.
const RunItems = 30

// RunShown is a run as members of its organization may see it.
type RunShown struct {
	ID, Status, Model, User, Key string
	Servers                      []string
	Created, Ended               time.Time // Ended is zero while it goes on
	Running                      bool
	// Request is the response as it was when the run began, which repeats the request without its secrets. It is nil where Unreadable
	// says why.
	Request    *responses.Response
	Unreadable string
	// Input is what the request brought, and Output what came of it once the run has ended: the last [RunItems] of InputLen and OutputLen.
	Input, Output       []responses.Item
	InputLen, OutputLen int
	// Usage, Error and Reason, for which it is incomplete, are those of a run that has ended.
	Usage  *responses.Usage
	Error  *responses.RunError
	Reason string
	// Batch is the ID of the batch that the run is part of; empty for most.
	Batch string
	// Streams is set while the event log has the run's events.
	Streams bool
}

// Run returns a run. Its error is a 404 for one that the caller may not see, or that is not stored.
func (s *Starter) Run(ctx context.Context, who identity.Principal, id string) (*RunShown, error) {
	if err := s.checkTemporal(); err != nil {
		return nil, err
	}
	d, err := s.locate(ctx, who, id)
	if err != nil {
		return nil, err
	}
	e := announced(&d.WorkflowExecutionMetadata)
	shown := &RunShown{ID: id, Status: e.status, Created: e.created, Running: e.running, Streams: time.Since(e.created) <= s.EventAge}
	if d.WorkflowCloseTime != nil {
		shown.Ended = *d.WorkflowCloseTime
	}
	shown.attributes(d.TypedSearchAttributes)
	if !e.running && isRunning(shown.Status) {
		shown.Status = responses.ResponseFailed
	}
	err = s.readMemo(ctx, id, d.Memo, e)
	if errors.Is(err, errNotAccepted) {
		return shown, nil // there is no more of it yet
	}
	if err == nil {
		shown.Request = e.response
		err = s.readRun(ctx, shown, e)
	}
	if isLost(err) || hasEnded(err) {
		s.Logger.WarnContext(ctx, "a run cannot be read", "response", id, "error", err)
		shown.Unreadable, err = unreadable(err), nil
	}
	return shown, err
}

// readRun adds what the request brought, and what came of it.
func (s *Starter) readRun(ctx context.Context, shown *RunShown, e *envelope) error {
	in, err := s.input(ctx, shown.ID)
	if err != nil {
		return err
	}
	if shown.Input, shown.InputLen, err = s.lastItems(ctx, shown.ID, in.Input, in.InputFrom); err != nil || e.running {
		return err
	}
	out, err := s.outcome(ctx, e)
	if err != nil {
		return err
	}
	shown.Status, shown.Error, shown.Reason, shown.Usage = out.Status, out.Error, out.Reason, &out.Usage
	if out.Model != "" {
		shown.Model = out.Model
	}
	shown.Output, shown.OutputLen, err = s.lastItems(ctx, shown.ID, out.Conversation, out.OutputFrom)
	return err
}

// lastItems returns the last items of a transcript that begin at a position, and how many there are from there on.
func (s *Starter) lastItems(ctx context.Context, id string, t transcript.Transcript, from int) ([]responses.Item, int, error) {
	store := s.Blobs.For(id)
	values, err := transcript.Values(ctx, store, t, max(from, t.Len()-RunItems))
	if err != nil {
		return nil, 0, err
	}
	items, err := transcript.Unpack(ctx, store, values)
	return items, t.Len() - from, err
}

func (r *RunShown) attributes(a temporal.SearchAttributes) {
	r.Model, _ = a.GetKeyword(workflows.Model)
	r.User, _ = a.GetKeyword(workflows.User)
	r.Key, _ = a.GetKeyword(workflows.Key)
	r.Servers, _ = a.GetKeywordList(workflows.Servers)
	r.Batch, _ = a.GetKeyword(workflows.BatchID)
}

// DeleteRun removes a run and its events. One under way is ended.
func (s *Starter) DeleteRun(r *http.Request, who identity.Principal, id string) error {
	if err := s.checkTemporal(); err != nil {
		return err
	}
	return s.removeRun(r, who, id)
}

// RunJSON returns a response as GET /v1/responses/{id} does.
func (s *Starter) RunJSON(r *http.Request, who identity.Principal, id string) ([]byte, error) {
	if err := s.checkTemporal(); err != nil {
		return nil, err
	}
	e, err := s.stored(r.Context(), who, id)
	if err != nil {
		return nil, err
	}
	memory := s.memory(who)
	defer memory.done()
	response, err := s.load(r.Context(), e, memory)
	if err != nil {
		return nil, err
	}
	return response.MarshalWire(s.dialect(r))
}
