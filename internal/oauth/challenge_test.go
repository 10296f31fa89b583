package oauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/oauth"
)

func TestParseChallenge(t *testing.T) {
	t.Parallel()
	long := `Bearer scope="` + strings.Repeat("a ", 20<<10) + `"`
	tests := []struct {
		name    string
		headers []string
		want    oauth.Challenge
	}{
		{"none", nil, oauth.Challenge{}},
		{"scheme alone", []string{"Bearer"}, oauth.Challenge{}},
		{
			"all",
			[]string{`Bearer realm="x", error="insufficient_scope", scope="a b:c a", resource_metadata="https://h/.well-known/x"`},
			oauth.Challenge{ResourceMetadata: "https://h/.well-known/x", Scopes: []string{"a", "b:c"}, Error: "insufficient_scope"},
		},
		{"case", []string{`bEaReR ERROR=invalid_token`}, oauth.Challenge{Error: "invalid_token"}},
		{"no quotes", []string{`Bearer resource_metadata=https://h/a?b=c, scope=x`}, oauth.Challenge{ResourceMetadata: "https://h/a?b=c", Scopes: []string{"x"}}},
		{"escapes", []string{`Bearer error="in\valid_\"token"`}, oauth.Challenge{Error: `invalid_"token`}},
		{"comma in quotes", []string{`Bearer realm="a, Basic b", error="invalid_token"`}, oauth.Challenge{Error: "invalid_token"}},
		{"other schemes around", []string{`Basic realm="error", Bearer error="invalid_token", DPoP error="other", algs="ES256"`}, oauth.Challenge{Error: "invalid_token"}},
		{"token68 before", []string{`Negotiate abc+/d==, Bearer error="invalid_token"`}, oauth.Challenge{Error: "invalid_token"}},
		{"several headers", []string{`Basic realm="x"`, `Bearer scope="a"`, `Bearer scope="b", error=e`}, oauth.Challenge{Scopes: []string{"a", "b"}, Error: "e"}},
		{"other scheme only", []string{`DPoP error="invalid_token"`}, oauth.Challenge{}},
		{"scopes that are none", []string{"Bearer scope=\"ok b\x01d q\\\\q\""}, oauth.Challenge{Scopes: []string{"ok"}}},
		{"unterminated", []string{`Bearer error="invalid_token`}, oauth.Challenge{Error: "invalid_token"}},
		{"junk", []string{`"";,=,Bearer error=x`, `Bearer ,,, error=y`}, oauth.Challenge{Error: "y"}},
		{"too long", []string{long, `Bearer error=z`}, oauth.Challenge{Error: "z"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, oauth.ParseChallenge(test.headers)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	if !(oauth.Challenge{Error: "insufficient_scope"}).InsufficientScope() || (oauth.Challenge{Error: "x"}).InsufficientScope() {
		t.Error("InsufficientScope does not tell")
	}
}

func FuzzParseChallenge(f *testing.F) {
	for _, seed := range []string{
		`Bearer realm="x", scope="a b"`, `Negotiate a==, Bearer error=x`, `Bearer a="\`, `=`, `Bearer =,=`, "Bearer a \t= b", `a=b=c`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, h string) {
		c := oauth.ParseChallenge([]string{h})
		if len(c.Scopes) > 100 || slices.Contains(c.Scopes, "") {
			t.Errorf("scopes %q", c.Scopes)
		}
	})
}
