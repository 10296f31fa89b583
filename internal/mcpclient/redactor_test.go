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
		for _, form := range forms(secret) {
			if got := r.text("before " + form + " after"); got != "before "+redacted+" after" {
				t.Errorf("%q became %q", form, got)
			}
		}
	}
	if text := "https://mcp.example.com/v1/mcp?token= is not reached"; r.found(text) {
		t.Errorf("%q became %q", text, r.text(text))
	}
}

// TestRedactorReadsJSON: whichever way a server escapes, a model would read the secret.
func TestRedactorReadsJSON(t *testing.T) {
	t.Parallel()
	const key = "the-key/of<the>server"
	r := newRedactor(Server{URL: "https://a/", Header: http.Header{"X-Key": {key}}})
	for raw, want := range map[string]string{
		`{"a":"the-key\/of\u003cthe\u003eserver", "n": 1e400}`:       `{"a":"[redacted]", "n": 1e400}`,
		`{"\u0074he-key/of<the>server":[ "x\u000ay", "\\", "\"" ] }`: `{"[redacted]":[ "x\u000ay", "\\", "\"" ] }`,
		`"a \"the-key\u002fof<the>server\" b"`:                       `"a \"[redacted]\" b"`,
		`{"a":"the-key/of<the>server"}`:                              `{"a":"[redacted]"}`,
		`[1,"no key","\u0061"]`:                                      `[1,"no key","\u0061"]`,
		`"no end`:                                                    `"no end`,
		`"no end\`:                                                   `"no end\`,
	} {
		if got := r.json(raw); got != want {
			t.Errorf("%s became %s, want %s", raw, got, want)
		}
	}
}
