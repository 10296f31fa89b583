package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Page is a part of a list, which is ordered by time, the newest first.
type Page struct {
	// After is the cursor of the page before; empty for the first page.
	After string
	// Limit is how many there are in a page, at most 200; 0 is 50.
	Limit int
}

const (
	defaultLimit = 50
	maxLimit     = 200
)

func (p Page) size() int {
	if p.Limit <= 0 {
		return defaultLimit
	}
	return min(p.Limit, maxLimit)
}

// place is where a page begins: behind the row of this time and ID.
type place struct {
	micros int64
	id     string
}

func (p place) cursor() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", p.micros, p.id))
}

func (p Page) place() (place, error) {
	if p.After == "" {
		return place{micros: math.MaxInt64}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(p.After)
	at, id, ok := strings.Cut(string(text), " ")
	n, numberErr := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || numberErr != nil || len(id) > 200 {
		return place{}, ErrCursor
	}
	return place{n, id}, nil
}

// list runs the query of a page, and returns its rows and the cursor of the next page, empty if there is none. The query ends with the
// place to begin behind and with how many rows to return; its arguments for these come after args.
func list[T any](ctx context.Context, s *Store, what string, p Page, query string, args []any, scan func(row) (T, error), at func(T) (time.Time, string)) (items []T, next string, err error) {
	from, err := p.place()
	if err != nil {
		return nil, "", s.failed(ctx, what, err)
	}
	// One more than the page has, to see whether there is another page.
	rows, err := s.db.QueryContext(ctx, query, append(args, from.micros, from.id, p.size()+1)...)
	if err != nil {
		return nil, "", s.failed(ctx, what, err)
	}
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, "", s.failed(ctx, what, err)
		}
		items = append(items, item)
	}
	if err := rows.Err(); err != nil {
		return nil, "", s.failed(ctx, what, err)
	}
	if len(items) > p.size() {
		items = items[:p.size()]
		last, id := at(items[len(items)-1])
		next = place{micros(last), id}.cursor()
	}
	return items, next, nil
}
