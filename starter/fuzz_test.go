package starter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"perdure/internal/identity"
)

// FuzzListQuery checks that no parameter of a list gets out of its place in the query: whatever is asked, the query is for the caller's
// organization, and has as many terms as there are parameters. It checks, too, that a page is taken only with the query it belongs to.
func FuzzListQuery(f *testing.F) {
	f.Add("status=completed&model=openai/gpt-5.5&limit=3", "token")
	f.Add("user=x' OR '1'='1&server_label=a", "")
	f.Add("created_after=5&created_before=1777000000&metadata[a]=b", "t")
	f.Add("limit=-1&limit=2&page=abc", "\x00")
	f.Add("model=%00&model=%ff&status=x", "é")
	who := identity.Principal{Organization: "acme", User: "alice"}
	f.Fuzz(func(t *testing.T, params, token string) {
		values, err := url.ParseQuery(params)
		if err != nil {
			return // net/http answers before us
		}
		if n, err := pageLimit(values); err == nil && (n < 1 || n > maxPage) {
			t.Fatalf("a page of %d", n)
		}
		query, err := listQuery(values, who)
		if err != nil {
			if shown := wireError(err); shown == nil || shown.Status != http.StatusBadRequest || len(shown.Message) > 1000 {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if !strings.HasPrefix(query, "WorkflowType = 'Response' AND PerdureOrganization = 'acme' AND PerdureStored = true") {
			t.Fatalf("the query is %s", query)
		}
		if outside := outsideQuotes(t, query); strings.Contains(strings.ToUpper(outside), " OR ") || strings.Count(outside, "PerdureOrganization") != 1 {
			t.Fatalf("the query is %s", query)
		}
		page := encodePage([]byte(token), query)
		if token != "" {
			if got, err := decodePage(page, query); err != nil || string(got) != token {
				t.Fatalf("page %q is read as %q, %v", token, got, err)
			}
			if _, err := decodePage(page, query+" "); err == nil {
				t.Fatal("a page is taken with another query")
			}
		}
		if got, err := decodePage(token, query); err == nil && len(got) > 0 {
			data, _ := base64.RawURLEncoding.DecodeString(token)
			if !bytes.HasPrefix(data, got) {
				t.Fatalf("page %q is read as %q", token, got)
			}
		}
	})
}

// outsideQuotes returns a query without its values, and fails if a quote does not end.
func outsideQuotes(t *testing.T, query string) string {
	t.Helper()
	parts := strings.Split(query, "'")
	if len(parts)%2 == 0 {
		t.Fatalf("a quote in %s does not end", query)
	}
	var outside strings.Builder
	for i := 0; i < len(parts); i += 2 {
		outside.WriteString(parts[i])
	}
	return outside.String()
}

// FuzzReadGet checks that what is asked of a GET, in its query or its body, is understood or refused as a client's mistake.
func FuzzReadGet(f *testing.F) {
	f.Add("stream=true&starting_after=3", "")
	f.Add("", `{"stream":true,"starting_after":4}`)
	f.Add("stream=perhaps&starting_after=-1", "null")
	f.Add("starting_after=99999999999999999999", `{"stream":`)
	f.Fuzz(func(t *testing.T, query, body string) {
		u := url.URL{RawQuery: query}
		events, after, err := readGet(u.Query(), []byte(body))
		if err != nil {
			if shown := wireError(err); shown == nil || shown.Status < 400 || shown.Status > 499 || events || after != 0 {
				t.Fatalf("error %#v, with %v and %d", err, events, after)
			}
			return
		}
		if after < -1 || events && query == "" && !json.Valid([]byte(body)) {
			t.Fatalf("%q with %q is read as %v, %d", query, body, events, after)
		}
	})
}
