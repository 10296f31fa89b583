package apiclient

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// maxPage is the largest page that servers give.
const maxPage = 100

// List returns the objects of a list, page by page, at most limit of them; 0 is all.
func (c *Client) List(ctx context.Context, path string, query url.Values, limit int) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		for n := 0; ; {
			size := maxPage
			if limit > 0 {
				size = min(size, limit-n)
			}
			query.Set("limit", strconv.Itoa(size))
			var page struct {
				Data     []json.RawMessage `json:"data"`
				HasMore  bool              `json:"has_more"`
				LastID   *string           `json:"last_id"`
				NextPage *string           `json:"next_page"`
			}
			if err := c.Call(ctx, Request{Method: http.MethodGet, Path: path, Query: query}, &page); err != nil {
				yield(nil, err)
				return
			}
			for _, object := range page.Data {
				if !yield(object, nil) {
					return
				}
				if n++; n == limit {
					return
				}
			}
			// Lists of ours name the next page. OpenAI's go on after an object.
			switch {
			case !page.HasMore || len(page.Data) == 0:
				return
			case page.NextPage != nil:
				query.Set("page", *page.NextPage)
			case page.LastID != nil:
				query.Set("after", *page.LastID)
			default:
				return
			}
		}
	}
}

// Listed is List with each object read into a value.
func Listed[T any](ctx context.Context, c *Client, path string, query url.Values, limit int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for object, err := range c.List(ctx, path, query, limit) {
			var v T
			if err == nil {
				err = json.Unmarshal(object, &v)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}
