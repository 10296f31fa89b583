package starter

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

func TestReadGet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		query, body string
		events      bool
		after       int
		param       string // of the error
	}{
		{"", "", false, -1, ""},
		{"stream=true", "", true, -1, ""},
		{"stream=true&starting_after=0", "", true, 0, ""},
		{"starting_after=3", `{"stream":true}`, true, 3, ""}, // OpenAI's SDK for Go
		{"", `{"stream":true,"starting_after":4}`, true, 4, ""},
		{"stream=false", `{"stream":true}`, false, -1, ""},
		{"stream=yes", "", false, 0, "stream"},
		{"starting_after=-1", "", false, 0, "starting_after"},
		{"starting_after=last", "", false, 0, "starting_after"},
		{"", `{"stream":`, false, 0, "none"},
	}
	for _, tt := range tests {
		events, after, err := readGet(must(url.ParseQuery(tt.query)), []byte(tt.body))
		if tt.param != "" {
			shown := wireError(err)
			if shown == nil || shown.Status != http.StatusBadRequest || shown.Param != strings.TrimPrefix(tt.param, "none") {
				t.Errorf("%q with %q: error %v, want one of %s", tt.query, tt.body, err, tt.param)
			}
			continue
		}
		if err != nil || events != tt.events || after != tt.after {
			t.Errorf("%q with %q: %v, %d, %v; want %v, %d", tt.query, tt.body, events, after, err, tt.events, tt.after)
		}
	}
}

func TestLargeBodyOfGet(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	url := handlers(t, newStarter(t.Context(), t.Context(), o).routes()).URL
	a, err := do(t.Context(), http.MethodGet, url+"/v1/responses/resp_1", strings.NewReader(strings.Repeat(" ", maxGetBody+1)), "Authorization", "Bearer "+apiKey)
	if err != nil || a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a GET with a large body: HTTP %d with %s, error %v", a.status, a.body, err)
	}
}

func TestListQuery(t *testing.T) {
	t.Parallel()
	const all = "WorkflowType = 'Response' AND PerdureOrganization = 'acme' AND PerdureStored = true AND ExecutionStatus != 'ContinuedAsNew'"
	tests := []struct{ params, want, param string }{
		{"", all, ""},
		{"limit=5&page=abc", all, ""},
		{"model=p/m&user=bob&server_label=docs", all + " AND PerdureModel = 'p/m' AND PerdureServers = 'docs' AND PerdureUser = 'bob'", ""},
		{"status=completed", all + " AND PerdureStatus = 'completed'", ""},
		{"status=queued", all + " AND PerdureStatus = 'queued' AND ExecutionStatus = 'Running'", ""},
		{"status=failed", all + " AND (PerdureStatus = 'failed' OR ExecutionStatus = 'Terminated' OR ExecutionStatus = 'TimedOut')", ""},
		{
			"created_after=0&created_before=86400",
			all + " AND PerdureCreated >= '1970-01-01T00:00:00Z' AND PerdureCreated < '1970-01-02T00:00:00Z'", "",
		},
		{"status=done", "", "status"},
		{"created_after=yesterday", "", "created_after"},
		{"organization=other", "", "organization"},
		{"model=" + url.QueryEscape("x' OR 'a'='a"), "", "model"},
		{"model=" + url.QueryEscape(`x\`), "", "model"},
		{"model=a&model=b", "", "model"},
		{"model=" + strings.Repeat("m", maxFilter+1), "", "model"},
	}
	for _, tt := range tests {
		params, err := url.ParseQuery(tt.params)
		if err != nil {
			t.Fatal(err)
		}
		got, err := listQuery(params, alice)
		if tt.param != "" {
			if shown := wireError(err); shown == nil || shown.Param != tt.param {
				t.Errorf("%s: error %v, want one of %s", tt.params, err, tt.param)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %s\nwant %s", tt.params, err, got, tt.want)
		}
	}
}

func TestPageOf(t *testing.T) {
	t.Parallel()
	var items []responses.Item
	for _, id := range []string{"a", "b", "c", "d"} {
		items = append(items, &responses.Message{ID: id, Role: responses.RoleUser})
	}
	tests := []struct {
		params, want string // the IDs, and "+" if there is more
		param        string
	}{
		{"", "dcba", ""},
		{"order=asc", "abcd", ""},
		{"limit=2", "dc+", ""},
		{"limit=2&after=c", "ba", ""},
		{"order=asc&limit=2&after=a", "bc+", ""},
		{"after=a", "", ""},
		{"limit=4", "dcba", ""},
		{"limit=0", "", "limit"},
		{"limit=101", "", "limit"},
		{"limit=many", "", "limit"},
		{"order=up", "", "order"},
		{"after=z", "", "after"},
	}
	for _, tt := range tests {
		params, err := url.ParseQuery(tt.params)
		if err != nil {
			t.Fatal(err)
		}
		page, err := pageOf(items, params, responses.DialectAgent)
		if tt.param != "" {
			if shown := wireError(err); shown == nil || shown.Param != tt.param {
				t.Errorf("%s: error %v, want one of %s", tt.params, err, tt.param)
			}
			continue
		}
		got := ""
		for _, data := range page.Data {
			item, err := responses.UnmarshalItem(data)
			if err != nil {
				t.Fatal(err)
			}
			got += responses.IDOf(item)
		}
		if len(got) > 0 && (*page.FirstID != got[:1] || *page.LastID != got[len(got)-1:]) {
			t.Errorf("%s: first %s, last %s of %s", tt.params, *page.FirstID, *page.LastID, got)
		}
		if page.HasMore {
			got += "+"
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %s; want %s", tt.params, err, got, tt.want)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"k", "a key with spaces", strings.Repeat("k", maxIdempotencyKey)} {
		if got, err := idempotencyKey(http.Header{"Idempotency-Key": {key}}); err != nil || got != key {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
	for _, keys := range [][]string{{""}, {"a", "b"}, {"a\tb"}, {"ü"}, {strings.Repeat("k", maxIdempotencyKey+1)}} {
		if _, err := idempotencyKey(http.Header{"Idempotency-Key": keys}); wireError(err) == nil {
			t.Errorf("%q was accepted", keys)
		}
	}
	if got, err := idempotencyKey(http.Header{}); err != nil || got != "" {
		t.Errorf("no key: %q, %v", got, err)
	}
}

func TestResponseIDOfAKey(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for name, who := range map[string]identity.Principal{
		"alice": alice, "bob": {Organization: "acme", User: "bob"}, "eve": {Organization: "other", User: "alice"},
		"shifted": {Organization: "acmealice", User: ""},
	} {
		id := responseID(who, "k")
		if id != responseID(who, "k") || id == responseID(who, "l") || !responses.IsResponseID(id) {
			t.Errorf("%s: ID %s is not the key's", name, id)
		}
		if other, ok := ids[id]; ok {
			t.Errorf("%s and %s share an ID", name, other)
		}
		ids[id] = name
	}
	if first, second := responseID(alice, ""), responseID(alice, ""); first == second {
		t.Error("two responses without a key have the same ID")
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	a := fingerprint("k", []byte("body"))
	if diff := cmp.Diff(a, fingerprint("k", []byte("body"))); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{fingerprint("k", []byte("bodY")), fingerprint("l", []byte("body")), fingerprint("", []byte("body"))} {
		if a == other {
			t.Error("another request has the same fingerprint")
		}
	}
}
