package starter

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/workflows"
)

// Sizes of a page of a list.
const (
	defaultPage = 20
	maxPage     = 100
)

// maxFilter is the longest value of a filter, in bytes.
const maxFilter = 256

var responseStatuses = []string{
	responses.ResponseQueued, responses.ResponseInProgress, responses.ResponseCompleted, responses.ResponseIncomplete,
	responses.ResponseFailed, responses.ResponseCancelled,
}

// listEntry is a response in a list: what is known of it without asking its run.
type listEntry struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	CreatedAt          int64             `json:"created_at"`
	Status             string            `json:"status"`
	Model              string            `json:"model"`
	Background         bool              `json:"background"`
	PreviousResponseID *string           `json:"previous_response_id"`
	Metadata           map[string]string `json:"metadata"`
}

type listPage struct {
	Object  string      `json:"object"`
	Data    []listEntry `json:"data"`
	FirstID *string     `json:"first_id"`
	LastID  *string     `json:"last_id"`
	HasMore bool        `json:"has_more"`
	// NextPage is for the parameter page of the next request; null on the last page.
	NextPage *string `json:"next_page"`
}

// listResponses lists the stored responses of the caller's organization, from Temporal's visibility: those under way first, then the
// others by their end, the latest first. A response appears there a moment after it was created.
func (s *Starter) listResponses(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	found, next, err := s.listRuns(r.Context(), who, r.URL.Query())
	if err != nil {
		return err
	}
	ctx, over := s.asking(r.Context())
	defer over()
	page := listPage{Object: "list", Data: []listEntry{}, HasMore: next != ""}
	for _, info := range found {
		entry, err := s.listEntry(ctx, info)
		if err != nil {
			return err
		}
		page.Data = append(page.Data, entry)
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	if page.HasMore {
		page.NextPage = &next
	}
	return s.writeValue(w, r, page)
}

// listRuns asks visibility for a page of runs. It returns what names the next page; empty when there is none.
func (s *Starter) listRuns(ctx context.Context, who identity.Principal, params url.Values) ([]*workflowpb.WorkflowExecutionInfo, string, error) {
	query, err := listQuery(params, who)
	if err != nil {
		return nil, "", err
	}
	limit, err := pageLimit(params)
	if err != nil {
		return nil, "", err
	}
	token, err := decodePage(params.Get("page"), query)
	if err != nil {
		return nil, "", err
	}
	ctx, over := s.asking(ctx)
	defer over()
	found, err := s.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, PageSize: int32(limit), NextPageToken: token, Query: query,
	})
	if err != nil || len(found.GetNextPageToken()) == 0 {
		return found.GetExecutions(), "", err
	}
	return found.GetExecutions(), encodePage(found.GetNextPageToken(), query), nil
}

// encodePage returns what a client names the next page by: Temporal's token for it, with a checksum of it and of the query. Temporal
// answers a token that it does not know as if it were away.
func encodePage(token []byte, query string) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(slices.Clone(token), pageSum(token, query)))
}

// decodePage returns the token of a page, which is empty for the first.
func decodePage(page, query string) ([]byte, error) {
	if page == "" {
		return nil, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(page)
	if n := len(data) - crc32.Size; err == nil && n > 0 && binary.BigEndian.Uint32(data[n:]) == pageSum(data[:n], query) {
		return data[:n], nil
	}
	return nil, responses.Invalid("page", "must be the next_page of an earlier answer to the same query")
}

func pageSum(token []byte, query string) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(token), crc32.IEEETable, []byte(query))
}

// listFilters are the parameters that narrow a list to one value of a search attribute.
var listFilters = map[string]string{
	"model": workflows.Model.GetName(), "user": workflows.User.GetName(), "server_label": workflows.Servers.GetName(),
	"batch": workflows.BatchID.GetName(),
}

// listQuery translates the parameters of a list into a query of visibility.
func listQuery(params url.Values, who identity.Principal) (string, error) {
	terms := []string{
		"WorkflowType = '" + workflows.ResponseName + "'",
		workflows.Organization.GetName() + " = " + quoted(who.Organization),
		workflows.Stored.GetName() + " = true",
		// Of a run that went on as a new execution, the last one stands for all.
		"ExecutionStatus != 'ContinuedAsNew'",
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params.Get(name)
		if len(params[name]) > 1 || len(value) > maxFilter || strings.ContainsAny(value, "'\"\\\x00") {
			return "", responses.Invalid(name, "must be given once, with %d characters at most and without quotes", maxFilter)
		}
		attribute, filter := listFilters[name]
		switch {
		case filter:
			terms = append(terms, attribute+" = "+quoted(value))
		case name == "status":
			term, err := statusTerm(value)
			if err != nil {
				return "", err
			}
			terms = append(terms, term)
		case name == "created_after", name == "created_before":
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return "", responses.Invalid(name, "must be a time in seconds since 1970")
			}
			comparison := map[string]string{"created_after": ">=", "created_before": "<"}[name]
			terms = append(terms, fmt.Sprintf("%s %s '%s'", workflows.Created.GetName(), comparison, time.Unix(seconds, 0).UTC().Format(time.RFC3339)))
		case name == "limit", name == "page":
		default:
			return "", responses.Invalid(name, "unknown parameter; a list takes batch, created_after, created_before, limit, model, page, "+
				"server_label, status and user")
		}
	}
	return strings.Join(terms, " AND "), nil
}

// statusTerm finds runs by their status. A run that was terminated or timed out could not say how it ended.
func statusTerm(status string) (string, error) {
	if !slices.Contains(responseStatuses, status) {
		return "", responses.Invalid("status", "must be one of %s", strings.Join(responseStatuses, ", "))
	}
	term := workflows.Status.GetName() + " = '" + status + "'"
	switch status {
	case responses.ResponseQueued, responses.ResponseInProgress:
		return term + " AND ExecutionStatus = 'Running'", nil
	case responses.ResponseFailed:
		return "(" + term + " OR ExecutionStatus = 'Terminated' OR ExecutionStatus = 'TimedOut')", nil
	default:
		return term, nil
	}
}

func quoted(value string) string { return "'" + value + "'" }

func pageLimit(params url.Values) (int, error) {
	value := params.Get("limit")
	if value == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxPage {
		return 0, responses.Invalid("limit", "must be between 1 and %d", maxPage)
	}
	return n, nil
}

func (s *Starter) listEntry(ctx context.Context, info *workflowpb.WorkflowExecutionInfo) (listEntry, error) {
	e := envelope{running: info.GetCloseTime() == nil}
	err := s.readMemo(ctx, info.GetExecution().GetWorkflowId(), info.GetMemo(), &e)
	if errors.Is(err, errNotAccepted) { // it was started so that it is listed: what is known of it is what its starter said
		e.response, err = &responses.Response{Status: responses.ResponseQueued, Metadata: map[string]string{}}, nil
	}
	if isLost(err) {
		// One response whose key or value is gone must not hide the others. What can be searched for is neither encrypted nor elsewhere.
		s.Logger.WarnContext(ctx, "a listed response cannot be read", "response", info.GetExecution().GetWorkflowId(), "error", err)
		e.response, err = &responses.Response{Metadata: map[string]string{}}, nil
	}
	if err != nil {
		return listEntry{}, err
	}
	entry := listEntry{
		ID: info.GetExecution().GetWorkflowId(), Object: "response",
		Status: e.response.Status, Model: e.response.Model, Background: e.response.Background,
		PreviousResponseID: e.response.PreviousResponseID, Metadata: e.response.Metadata,
	}
	created := info.GetStartTime().AsTime()
	attributes := info.GetSearchAttributes().GetIndexedFields() // which are never encrypted
	for name, into := range map[string]any{
		workflows.Status.GetName(): &entry.Status, workflows.Model.GetName(): &entry.Model, workflows.Created.GetName(): &created,
	} {
		if payload, ok := attributes[name]; ok {
			if err := converter.GetDefaultDataConverter().FromPayload(payload, into); err != nil {
				return listEntry{}, err
			}
		}
	}
	entry.CreatedAt = created.Unix()
	if !e.running && (entry.Status == responses.ResponseQueued || entry.Status == responses.ResponseInProgress) {
		entry.Status = responses.ResponseFailed
	}
	return entry, nil
}

// isLost reports whether what is stored of a run cannot be read any more: its key, or the value itself, is gone.
func isLost(err error) bool {
	return errors.Is(err, secret.ErrOpen) || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt)
}
