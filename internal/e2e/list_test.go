package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"perdure/internal/modeltest"
)

// list is a page of responses.
type list struct {
	Object   string
	Data     []listed
	FirstID  string  `json:"first_id"`
	LastID   string  `json:"last_id"`
	HasMore  bool    `json:"has_more"`
	NextPage *string `json:"next_page"`
}

func (l list) ids() []string {
	var ids []string
	for _, r := range l.Data {
		ids = append(ids, r.ID)
	}
	return ids
}

// list lists responses; the query is one of a URL.
func (s *stack) list(t *testing.T, query string) list {
	t.Helper()
	return listOf(t, s.sendAgain(t, http.MethodGet, "/responses?"+query, ""))
}

// listOf reads a list that must be there.
func listOf(t *testing.T, a answer) list {
	t.Helper()
	var l list
	if err := json.Unmarshal(a.body, &l); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	if n := len(l.Data); l.Object != "list" || (n > 0 && (l.FirstID != l.Data[0].ID || l.LastID != l.Data[n-1].ID)) {
		t.Errorf("not a list: %s", a.body)
	}
	if l.HasMore != (l.NextPage != nil) {
		t.Errorf("has_more and next_page contradict each other: %s", a.body)
	}
	return l
}

// listed is a response in a list.
type listed struct {
	ID, Object string
	Background bool
}

// ownRuns is a query for the runs that a test makes from now on with the model that it plugs in with [ask]. The Temporal server may
// know of others that an earlier run of the same test has made.
func ownRuns(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("created_after=%d&model=%s", time.Now().Unix(), url.QueryEscape("openai/gpt-5.5@"+plugName(t)))
}

// awaitListed waits until a list has so many responses: they appear a moment after they were created.
func (s *stack) awaitListed(t *testing.T, query string, n int) []listed {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		l := s.list(t, query)
		if len(l.Data) == n {
			return l.Data
		}
		select {
		case <-deadline:
			t.Fatalf("%s lists %d responses, want %d", query, len(l.Data), n)
		case <-time.After(pollEvery):
		}
	}
}

// TestList pins the filters of the list and its pages.
func TestList(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	const runs = 5
	release := make(chan struct{})
	_, tool := startHostile(t)
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		switch r.Last().Content {
		case "hold":
			return modeltest.Text("held").HoldAfter(1, release)
		case "fail":
			return modeltest.Status(401, nil, `{"error":{"message":"Incorrect API key provided"}}`)
		default:
			return modeltest.Text("done")
		}
	})
	ask(t, model, `"input": "x"`)
	mine := ownRuns(t)
	begin := time.Now().Unix()
	var done []string
	for range runs {
		done = append(done, s.create(t, askAgain(t, `"input": "x"`)).ID)
	}
	withTool := s.create(t, askAgain(t, `"input": "x", "tools": [%s]`, tool)).ID
	failed := s.create(t, askAgain(t, `"input": "fail"`)).ID
	hidden := s.create(t, askAgain(t, `"input": "x", "store": false`)).ID
	held := s.create(t, askAgain(t, `"input": "hold", "background": true`)).ID
	s.awaitStatus(t, held, "in_progress")
	all := append(slices.Clone(done), withTool, failed, held)
	for query, want := range map[string][]string{
		"":                                       all,
		"&status=completed":                      append(slices.Clone(done), withTool),
		"&status=failed":                         {failed},
		"&status=in_progress":                    {held},
		"&status=cancelled":                      nil,
		"&server_label=s":                        {withTool},
		"&server_label=nobody":                   nil,
		"&user=" + user:                          all,
		"&user=nobody":                           nil,
		"&status=failed&user=x":                  nil,
		fmt.Sprintf("&created_before=%d", begin): nil,
		fmt.Sprintf("&created_before=%d", begin+3600): all,
	} {
		entries := s.awaitListed(t, mine+query, len(want))
		var ids []string
		for _, e := range entries {
			ids = append(ids, e.ID)
			if e.Object != "response" || e.Background != (e.ID == held) {
				t.Errorf("got the entry %+v", e)
			}
		}
		slices.Sort(ids)
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			t.Errorf("%q lists %v, want %v", query, ids, want)
		}
	}
	later := strings.Replace(mine, "created_after=", "created_after=9", 1)
	if l := s.list(t, later); len(l.Data) > 0 {
		t.Errorf("%s lists %v", later, l.ids())
	}
	if slices.Contains(s.list(t, mine).ids(), hidden) {
		t.Error("a response that is not stored is listed")
	}
	checkPages(t, s, mine, len(all))
	for query, word := range map[string]string{
		"limit=0": "limit", "limit=101": "limit", "limit=x": "limit", "page=%21": "page", "page=abcd": "page", "status=gone": "status",
		"created_after=x": "created_after", "colour=red": "colour", "model=%27": "model",
	} {
		refused(t, s.send(t, http.MethodGet, "/responses?"+query, ""), http.StatusBadRequest, word)
	}
	close(release)
	s.awaitStatus(t, held, "completed")
}

// checkPages reads a list in pages of every size.
func checkPages(t *testing.T, s *stack, query string, n int) {
	t.Helper()
	whole := s.list(t, query).ids()
	for size := 1; size <= n+1; size++ {
		var got []string
		page := ""
		for {
			l := s.list(t, fmt.Sprintf("%s&limit=%d%s", query, size, page))
			if len(l.Data) > size {
				t.Fatalf("a page of %d has %d", size, len(l.Data))
			}
			got = append(got, l.ids()...)
			if !l.HasMore || len(got) > n {
				break
			}
			page = "&page=" + url.QueryEscape(*l.NextPage)
		}
		if !slices.Equal(got, whole) {
			t.Errorf("in pages of %d: %v, want %v", size, got, whole)
		}
	}
}
