package model

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"perdure/internal/secret"
)

// Bounds, and what is cleaned away, must not keep a secret from being found, nor leave a part of it.
func TestSecretsAreFoundBeforeTheCut(t *testing.T) {
	t.Parallel()
	const key = "a key/of the+provider"
	p := &Provider{Name: "p", APIKey: secret.New(key), Headers: map[string]string{"X-Key": "Basic dXNlcjpwYXNzd29yZA=="}}
	for name, said := range map[string]string{
		"at the bound of a code":    strings.Repeat("c ", maxCodeBytes/2-5) + key,
		"at the bound of a message": strings.Repeat("m ", maxMessageBytes/2-10) + key,
		"parted":                    "a k\u200bey/of the+pro\u0000vider",
		"spread":                    "a  key/of\nthe+provider",
		"in a URL":                  "https://a/?key=a+key%2Fof+the%2Bprovider",
		"behind its scheme":         "dXNlcjpwYXNzd29yZA==",
	} {
		e := p.failed(failure{message: said, code: said}, 400)
		for _, part := range []string{"key", "provider", "%2B", "dXNlcj"} {
			if text := strings.ReplaceAll(e.Message+" "+e.Code, "?key=", ""); strings.Contains(text, part) {
				t.Errorf("%s: %q shows %q", name, text, part)
			}
		}
	}
}

// What the network says may be what a peer says: a proxy's reason for its refusal, which may be our credentials.
func TestTextsOfPeersAreNotRepeated(t *testing.T) {
	t.Parallel()
	const canary = "canary-7d1e"
	p := &Provider{Name: "p"}
	for _, err := range []error{
		errors.New(canary), &url.Error{Op: "Post", URL: "https://a/" + canary, Err: errors.New(canary)},
		&url.Error{Op: "Post", URL: "https://a/" + canary, Err: &net.OpError{Op: "dial", Err: errors.New("refused")}},
	} {
		for e := error(p.unreached(err)); e != nil; e = errors.Unwrap(e) {
			if strings.Contains(fmt.Sprintf("%v %+v", e, e), canary) {
				t.Errorf("%v became %v", err, e)
			}
		}
	}
}
