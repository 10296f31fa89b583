package cfaccess_test

import (
	"net/http"
	"strings"
	"testing"

	"perdure/internal/cfaccess"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status       int
		name, value  string
		want         bool
		whatItShould string
	}{
		{302, "Location", "https://acme.cloudflareaccess.com/cdn-cgi/access/login/mcp.acme.example?kid=x", true, "team's login"},
		{302, "Location", "/cdn-cgi/access/login/mcp.acme.example", true, "login on the guarded host"},
		{302, "Location", "https://evil.example/?to=https://acme.cloudflareaccess.com/cdn-cgi/access/login", false, "only the query names it"},
		{302, "Location", "https://cloudflareaccess.com.evil.example/", false, "another host"},
		{302, "Location", "https://mcp.example/mcp/", false, "an ordinary redirect"},
		{302, "Location", "", false, "no location"},
		{200, "Location", "https://acme.cloudflareaccess.com/cdn-cgi/access/login", false, "a success"},
		{401, "WWW-Authenticate", `Cloudflare-Access resource_metadata="https://mcp.acme.example/.well-known/cloudflare-access-protected-resource/mcp"`, true, "a challenge"},
		{403, "WWW-Authenticate", `Cloudflare-Access resource_metadata="https://x.example/.well-known/cloudflare-access-protected-resource"`, true, "a challenge"},
		{401, "WWW-Authenticate", `Bearer resource_metadata="https://x.example/.well-known/oauth-protected-resource"`, false, "OAuth"},
		{401, "X", "", false, "no challenge"},
	}
	for _, test := range tests {
		resp := &http.Response{StatusCode: test.status, Header: http.Header{}}
		resp.Header.Set(test.name, test.value)
		if got := cfaccess.Refused(resp); got != test.want {
			t.Errorf("%s (%d, %s): got %v", test.whatItShould, test.status, test.value, got)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	sent := http.Header{}
	if got := cfaccess.Explain(sent); !strings.Contains(got, "guards this server") {
		t.Errorf("without credentials: %s", got)
	}
	sent.Set(cfaccess.ClientIDHeader, "the-id")
	if got := cfaccess.Explain(sent); !strings.Contains(got, "token was refused") || strings.Contains(got, "the-id") {
		t.Errorf("with credentials: %s", got)
	}
}
