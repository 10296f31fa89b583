package egress

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzCheckURL checks that a URL which is allowed goes, on the wire, to the host that was checked, encrypted, without credentials of its
// own; that an address in it is a public one; and that refusals do not repeat what may be secret.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range []string{
		"https://mcp.example.com/mcp?key=x", "https://8.8.8.8:8443/", "https://[2606:4700::1111]/", "https://user:canary@a/", "https://127.1/", "https://A.B./x",
		"https://a/#x", "http://a/", "https:a", "https://a\\b/", "https://a:0/", "https://[::ffff:10.0.0.1]/", "https://xn--a/", "https://[fe80::1%25eth0]/", "https://é/", "https://0x7f.1/",
		"https://a b/", "https://a%2eb/", "https://a/\x00", "https://@a/", "HTTPS://a/", "https://a:/", "https://localhost./", "https://[::1]", "https://1.1.1.1.",
	} {
		f.Add(raw)
	}
	rules, err := NetworkPolicy{}.Compile()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if err := rules.CheckURL(raw); err != nil {
			const canary = "canary-7f3a"
			for _, with := range []string{raw + canary, strings.Replace(raw, "//", "//"+canary, 1)} {
				if again := rules.CheckURL(with); again != nil && strings.Contains(again.Error(), canary) || len(err.Error()) > 200 {
					t.Fatalf("%q: the error repeats it: %v", with, again)
				}
			}
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, raw, strings.NewReader("{}"))
		if err != nil {
			t.Fatalf("%q cannot be requested: %v", raw, err)
		}
		if req.URL.Scheme != "https" || req.URL.User != nil || req.Header.Get("Authorization") != "" || len(raw) > MaxURLBytes {
			t.Fatalf("%q is requested as %v", raw, req.URL)
		}
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatalf("%q cannot be written: %v", raw, err)
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("%q cannot be read: %v", raw, err)
		}
		if host := (&url.URL{Host: got.Host}).Hostname(); host != req.URL.Hostname() {
			t.Fatalf("%q goes to %q", raw, host)
		}
		name := canonicalHost(req.URL.Hostname())
		if addr, err := netip.ParseAddr(name); err == nil && !isPublic(addr.Unmap()) {
			t.Fatalf("%q names %v", raw, addr)
		}
		if isLocalhost(name) || endsInNumber(name) {
			t.Fatalf("%q names %q", raw, name)
		}
	})
}

// FuzzParseOrigin checks that an origin covers the URLs that begin with it, and none of another host, scheme or port.
func FuzzParseOrigin(f *testing.F) {
	for _, s := range []string{"https://mcp.example.com", "http://127.0.0.1:*", "http://[::1]:8080", "https://a:443", "http://A.", "http://a:80:90", "http://a%b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOrigin(s)
		if err != nil {
			return
		}
		base, anyPort := strings.CutSuffix(s, ":*")
		u, err := url.Parse(base + "/mcp")
		if err != nil || u.Hostname() == "" {
			return // what no URL can have, none is covered by
		}
		target := OriginOf(u)
		if !o.Covers(target) {
			t.Fatalf("%q does not cover %v: %+v, %+v", s, u, o, target)
		}
		for _, other := range []Origin{
			{target.scheme + "x", target.host, target.port}, {target.scheme, target.host + "x", target.port}, {target.scheme, "x." + target.host, target.port},
		} {
			if o.Covers(other) {
				t.Fatalf("%q covers %+v", s, other)
			}
		}
		if got := o.Covers(Origin{target.scheme, target.host, target.port + "1"}); got != anyPort {
			t.Fatalf("%q covers another port: %v", s, got)
		}
	})
}
