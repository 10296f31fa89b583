package starter

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"perdure/internal/identity"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/workflows"
)

// itemPage is a page of items as OpenAI's lists show it.
type itemPage struct {
	Object  string            `json:"object"`
	Data    []json.RawMessage `json:"data"`
	FirstID *string           `json:"first_id"`
	LastID  *string           `json:"last_id"`
	HasMore bool              `json:"has_more"`
}

// listInputItems lists the items that a request brought, the latest first unless it is asked otherwise.
func (s *Starter) listInputItems(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	e, err := s.stored(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	memory := s.memory(who)
	defer memory.done()
	items, err := s.inputItems(r.Context(), e.response.ID, memory)
	if err != nil {
		return err
	}
	page, err := pageOf(items, r.URL.Query(), s.dialect(r))
	if err != nil {
		return err
	}
	return s.writeValue(w, r, page)
}

// localActivity is what the SDK calls the markers of local steps. Histories have it, so it never changes.
const localActivity = "LocalActivity"

// inputItems reads the items from the run's own input.
func (s *Starter) inputItems(ctx context.Context, id string, memory *metered) ([]responses.Item, error) {
	in, err := s.input(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.items(ctx, id, in.Input, in.InputFrom, memory)
}

// input reads a run's input: its first event, or what its first step has made of a request. Until then it is empty and has a Request.
func (s *Starter) input(ctx context.Context, id string) (in workflows.ResponseInput, err error) {
	ctx, over := s.asking(ctx)
	defer over()
	history := s.Temporal.GetWorkflowHistory(ctx, id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := history.Next()
	if err != nil {
		return in, err
	}
	if err := s.decodeFetched(ctx, id, first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in); err != nil {
		return in, err
	}
	for in.Request != nil && history.HasNext() {
		event, err := history.Next()
		if err != nil {
			return in, err
		}
		// The first step is a local one, whose result is in a marker. Of an attempt that failed there is none.
		marker := event.GetMarkerRecordedEventAttributes()
		result, ok := marker.GetDetails()["result"]
		if marker.GetMarkerName() != localActivity || !ok {
			continue
		}
		var accepted workflows.Accepted
		if err := s.decodeFetched(ctx, id, result, &accepted); err != nil {
			return in, err
		}
		in = accepted.Input
	}
	return in, nil
}

// decodeFetched decodes the only value of payloads in a workflow's history.
func (s *Starter) decodeFetched(ctx context.Context, id string, payloads *commonpb.Payloads, out any) error {
	fetched, err := payload.Fetch(ctx, s.Blobs, payloads)
	if err != nil {
		return err
	}
	return s.payloadsOf(id).FromPayloads(fetched, out)
}

// pageOf cuts a page out of items, which stand in the order of the conversation.
func pageOf(items []responses.Item, params url.Values, d responses.Dialect) (itemPage, error) {
	page := itemPage{Object: "list", Data: []json.RawMessage{}}
	limit, err := pageLimit(params)
	if err != nil {
		return page, err
	}
	items = slices.Clone(items)
	switch params.Get("order") {
	case "", "desc":
		slices.Reverse(items)
	case "asc":
	default:
		return page, responses.Invalid("order", `must be "asc" or "desc"`)
	}
	if after := params.Get("after"); after != "" {
		at := slices.IndexFunc(items, func(item responses.Item) bool { return responses.IDOf(item) == after })
		if at < 0 {
			return page, responses.Invalid("after", "no item of the list has the id %q", clip(after))
		}
		items = items[at+1:]
	}
	if len(items) > limit {
		items, page.HasMore = items[:limit], true
	}
	for i, item := range items {
		data, err := responses.MarshalItem(item, d)
		if err != nil {
			return page, err
		}
		page.Data = append(page.Data, data)
		id := responses.IDOf(item)
		if i == 0 {
			page.FirstID = &id
		}
		page.LastID = &id
	}
	return page, nil
}
