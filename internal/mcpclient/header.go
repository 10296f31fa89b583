package mcpclient

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of the headers that a user may add to requests.
const (
	MaxHeaders         = 20
	MaxHeaderNameBytes = 64
	MaxHeaderBytes     = 8 << 10 // of one value
)

// Headers that belong to HTTP, to MCP, to a proxy in front of the server or to
// this client. Canonical spelling.
var (
	reservedHeaders = []string{
		"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type",
		"Cookie", "Expect", "Forwarded", "Host", "Idempotency-Key", "Keep-Alive", "Last-Event-Id",
		"Origin", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}
	reservedPrefixes = []string{"Mcp-", "Proxy-", "X-Forwarded-"}
)

// CheckHeaders checks the headers that a user wants to send to an MCP server.
// The error names the header and never its value.
//
// Authorization is allowed here; whoever also has a separate credential for it
// must refuse the combination.
func CheckHeaders(headers map[string]string) error {
	if len(headers) > MaxHeaders {
		return fmt.Errorf("%d headers given; send at most %d", len(headers), MaxHeaders)
	}
	seen := make(map[string]bool, len(headers))
	for _, name := range sortedKeys(headers) {
		if err := CheckHeader(name, headers[name]); err != nil {
			return err
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if seen[canonical] {
			return fmt.Errorf("header %q is given twice; names differ only in case", canonical)
		}
		seen[canonical] = true
	}
	return nil
}

// CheckHeader checks one header as [CheckHeaders] does.
func CheckHeader(name, value string) error {
	if name == "" {
		return errors.New("a header has no name")
	}
	if len(name) > MaxHeaderNameBytes {
		return fmt.Errorf("a header has a name longer than %d bytes", MaxHeaderNameBytes)
	}
	// What cannot be a name may be a secret in the wrong place, so it is not repeated.
	if i := strings.IndexFunc(name, func(r rune) bool { return !tokenRune(r) }); i >= 0 {
		wrong, _ := utf8.DecodeRuneInString(name[i:])
		return fmt.Errorf("a header has a name with the character %q, which is not allowed in names; use letters, digits and hyphens", wrong)
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if slices.Contains(reservedHeaders, canonical) ||
		slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(canonical, p) }) {
		return fmt.Errorf("header %q is set by the client itself; remove it", canonical)
	}
	if len(value) > MaxHeaderBytes {
		return fmt.Errorf("header %q has a value longer than %d bytes", canonical, MaxHeaderBytes)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("header %q has a value with a character outside visible ASCII", canonical)
	}
	if strings.TrimSpace(value) != value {
		return fmt.Errorf("header %q has a value that begins or ends with a space", canonical)
	}
	return nil
}

// checkServerHeader applies the same rules to headers that are already
// resolved, whatever path they took to get here.
func checkServerHeader(h http.Header) error {
	if len(h) > MaxHeaders+1 { // one more for Authorization
		return fmt.Errorf("%d headers given; send at most %d", len(h), MaxHeaders)
	}
	for _, name := range sortedKeys(h) {
		for _, value := range h[name] {
			if err := CheckHeader(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// tokenRune reports whether r may stand in a header name (RFC 9110, 5.6.2).
func tokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
