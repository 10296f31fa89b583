package mcpclient

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	const secret = "s3cret-value"
	tests := []struct {
		name, value string
		ok          bool
	}{
		{"X-Api-Key", secret, true},
		{"authorization", "Bearer " + secret, true},
		{"CF-Access-Client-Secret", secret, true},
		{"X-Empty", "", true},
		{strings.Repeat("x", 64), secret, true},
		{"X-Long", strings.Repeat("v", 8<<10), true},

		{"", secret, false},
		{strings.Repeat("x", 65), secret, false},
		{"X-Long", strings.Repeat("v", 8<<10+1), false},
		{"Bad Name", secret, false},
		{"X:Y", secret, false},
		{"X-\u00e9", secret, false},
		{"X-A\r\n", secret, false},
		{"X-A", secret + "\r\nX-Injected: 1", false},
		{"X-A", secret + "\n", false},
		{"X-A", secret + "\x00", false},
		{"X-A", secret + "\t", false},
		{"X-A", secret + "\x7f", false},
		{"X-A", secret + "\u00e9", false},
		{"X-A", " " + secret, false},
		{"X-A", secret + " ", false},
	}
	for _, name := range []string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Trailer", "Keep-Alive",
		"Proxy-Authorization", "proxy-connection", "Expect", "Accept", "Accept-Encoding", "Content-Type", "Cookie",
		"Mcp-Session-Id", "MCP-Protocol-Version", "mcp-name", "Last-Event-ID", "Origin", "X-Forwarded-For",
		"X-Forwarded-Host", "Forwarded", "Idempotency-Key",
	} {
		tests = append(tests, struct {
			name, value string
			ok          bool
		}{name, secret, false})
	}
	for _, test := range tests {
		err := CheckHeader(test.name, test.value)
		if (err == nil) != test.ok {
			t.Errorf("%q: %.20q: got %v, want allowed: %v", test.name, test.value, err, test.ok)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: error %v shows the value", test.name, err)
		}
	}
}

func TestCheckHeaders(t *testing.T) {
	t.Parallel()
	twenty := make(map[string]string)
	for i := range 20 {
		twenty[fmt.Sprintf("X-%d", i)] = "v"
	}
	if err := CheckHeaders(twenty); err != nil {
		t.Errorf("20 headers: %v", err)
	}
	twenty["X-20"] = "v"
	if err := CheckHeaders(twenty); err == nil {
		t.Error("21 headers were accepted")
	}
	if err := CheckHeaders(map[string]string{"X-A": "1", "x-a": "2"}); err == nil {
		t.Error("a header given twice was accepted")
	}
	if err := CheckHeaders(map[string]string{"X-A": "1", "Host": "2"}); err == nil || !strings.Contains(err.Error(), "Host") {
		t.Errorf("got %v, want an error that names Host", err)
	}
}
