package starter

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"perdure/internal/responses"
	"perdure/internal/store"
)

// listOf is a page of what the database has.
type listOf[T any] struct {
	Object  string  `json:"object"`
	Data    []T     `json:"data"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore bool    `json:"has_more"`
	// NextPage is for the parameter page of the next request; null on the last page.
	NextPage *string `json:"next_page"`
}

func newList[T any](data []T, next string, id func(T) string) listOf[T] {
	l := listOf[T]{Object: "list", Data: data, HasMore: next != ""}
	if n := len(data); n > 0 {
		first, last := id(data[0]), id(data[n-1])
		l.FirstID, l.LastID = &first, &last
	} else {
		l.Data = []T{}
	}
	if l.HasMore {
		l.NextPage = &next
	}
	return l
}

// storePage reads the parameters of a list, which are limit, page and the filters named.
func storePage(r *http.Request, filters ...string) (store.Page, url.Values, error) {
	params := r.URL.Query()
	known := append([]string{"limit", "page"}, filters...)
	for name, values := range params {
		if !slices.Contains(known, name) {
			return store.Page{}, nil, responses.Invalid(clip(name), "unknown parameter; this list takes %s", strings.Join(known, ", "))
		}
		if len(values) > 1 || len(values[0]) > maxFilter {
			return store.Page{}, nil, responses.Invalid(name, "must be given once, with %d characters at most", maxFilter)
		}
	}
	limit, err := pageLimit(params)
	return store.Page{After: params.Get("page"), Limit: limit}, params, err
}
