package mcpclient

import (
	"net/http"
	"net/url"
	"testing"
)

// TestRedactorKnowsEachPlace: a server repeats what it was sent, as it was sent or decoded.
func TestRedactorKnowsEachPlace(t *testing.T) {
	t.Parallel()
	const (
		path   = "key+with/slash=in-the-path-1"
		query  = "key&in/the=query"
		header = "key-in-a-header"
		bearer = "key-behind-a-scheme"
	)
	r := newRedactor(Server{
		URL:    "https://mcp.example.com/v1/" + url.PathEscape(path) + "/mcp?token=" + url.QueryEscape(query),
		Header: http.Header{"X-Key": {header}, "Authorization": {"Bearer " + bearer}},
	})
	for _, secret := range []string{path, query, header, bearer} {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if got := r.Text("before " + form + " after"); got != "before [redacted] after" {
				t.Errorf("%q became %q", form, got)
			}
		}
	}
	if text := "https://mcp.example.com/v1/mcp?token= is not reached"; r.Found(text) {
		t.Errorf("%q became %q", text, r.Text(text))
	}
}
