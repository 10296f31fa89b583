package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	allow := NetworkPolicy{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00:1::/32")},
		AllowOrigins:  []string{"http://127.0.0.1:*", "http://localhost:3000", "https://192.168.1.5", "http://MCP.internal:80", "http://[::1]:8080"},
	}
	tests := []struct {
		url     string
		policy  NetworkPolicy
		wantErr string // part of it; "" for no error
	}{
		{url: "https://mcp.example.com/mcp"},
		{url: "https://mcp.example.com:8443/mcp?key=x"},
		{url: "https://8.8.8.8/mcp"},
		{url: "https://[2606:4700::1111]/mcp"},
		{url: "https://127.example.com/"},
		{url: "", wantErr: "https://"},
		{url: "mcp.example.com", wantErr: "https://"},
		{url: "ftp://mcp.example.com", wantErr: "https://"},
		{url: "http://mcp.example.com/mcp", wantErr: "https://"},
		{url: "https:///mcp", wantErr: "host"},
		{url: "https://:443/mcp", wantErr: "host"},
		{url: "https:mcp.example.com", wantErr: "host"},
		{url: "https://user@mcp.example.com/", wantErr: "user name"},
		{url: "https://user:secret@mcp.example.com/", wantErr: "user name"},
		{url: "https://mcp.example.com/#secret", wantErr: "fragment"},
		{url: "https://mcp.example.com/#", wantErr: "fragment"},
		{url: "https://mcp.example.com:0/", wantErr: "port"},
		{url: "https://mcp.example.com:65536/", wantErr: "port"},
		{url: "https://mcp.example.com/\r\nsecret", wantErr: "parsed"},
		{url: "https://mcp.example.com/%zz?secret", wantErr: "parsed"},
		{url: "https://mcp.example.com%2esecret/", wantErr: "parsed"},
		{url: "https://mcp_1.example.com/"},
		{url: "https://secret\"/", wantErr: "character"},
		{url: "https://\u00e9.example.com/", wantErr: "xn--"},
		{url: "https://\uff11\uff12\uff17.0.0.1/", wantErr: "xn--"},
		{url: "https://mcp.example.com/" + strings.Repeat("x", 2048), wantErr: "2048"},
		{url: "https://localhost/", wantErr: "allow_origins"},
		{url: "https://LOCALHOST./", wantErr: "allow_origins"},
		{url: "https://a.localhost/", wantErr: "allow_origins"},
		{url: "https://127.0.0.1/", wantErr: "allow_networks"},
		{url: "https://10.1.2.3/", wantErr: "allow_networks"},
		{url: "https://100.64.0.1/", wantErr: "allow_networks"},
		{url: "https://169.254.169.254/", wantErr: "allow_networks"},
		{url: "https://0.0.0.0/", wantErr: "allow_networks"},
		{url: "https://[::1]/", wantErr: "allow_networks"},
		{url: "https://[::ffff:127.0.0.1]/", wantErr: "allow_networks"},
		{url: "https://[::ffff:10.0.0.1]/", wantErr: "allow_networks"},
		{url: "https://[fe80::1]/", wantErr: "allow_networks"},
		{url: "https://[fd00::1]/", wantErr: "allow_networks"},
		{url: "https://[64:ff9b::7f00:1]/", wantErr: "allow_networks"},

		{policy: allow, url: "http://127.0.0.1:39001/mcp"},
		{policy: allow, url: "http://127.0.0.2:39001/mcp", wantErr: "https://"},
		{policy: allow, url: "https://127.0.0.1:39001/mcp", wantErr: "allow_networks"},
		{policy: allow, url: "http://localhost:3000/"},
		{policy: allow, url: "http://localhost:3001/", wantErr: "https://"},
		{policy: allow, url: "https://192.168.1.5/"},
		{policy: allow, url: "https://192.168.1.5:8443/", wantErr: "allow_networks"},
		{policy: allow, url: "http://mcp.internal/"},
		{policy: allow, url: "http://[::1]:8080/"},
		{policy: allow, url: "https://10.20.3.4/"},
		{policy: allow, url: "http://10.20.3.4/", wantErr: "https://"},
		{policy: allow, url: "https://10.21.3.4/", wantErr: "allow_networks"},
		{policy: allow, url: "https://[fd00:1::9]/"},
	}
	for _, test := range tests {
		err := test.policy.CheckURL(test.url)
		switch {
		case err == nil && test.wantErr != "":
			t.Errorf("%q was accepted, want an error with %q", test.url, test.wantErr)
		case err != nil && (test.wantErr == "" || !strings.Contains(err.Error(), test.wantErr)):
			t.Errorf("%q: got error %v, want one with %q", test.url, err, test.wantErr)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%q: error %v repeats the URL", test.url, err)
		}
	}
}

func TestNetworkPolicyValidate(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "127.0.0.1:80", "ftp://x", "http://", "http://x/", "http://x?q", "http://u@x", "http://x:", "http://x:70000", "http://x:0", "http://:80", "http://::1"} {
		if err := (NetworkPolicy{AllowOrigins: []string{entry}}).Validate(); err == nil {
			t.Errorf("allow_origins entry %q was accepted", entry)
		}
	}
	if err := (NetworkPolicy{AllowNetworks: []netip.Prefix{{}}}).Validate(); err == nil {
		t.Error("an invalid prefix was accepted")
	}
	for _, entry := range []string{"http://x", "https://x:*", "http://[::1]", "http://[::1]:80"} {
		if err := (NetworkPolicy{AllowOrigins: []string{entry}}).Validate(); err != nil {
			t.Errorf("allow_origins entry %q: %v", entry, err)
		}
	}
}

func TestCheckDial(t *testing.T) {
	t.Parallel()
	p, err := NetworkPolicy{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
		AllowOrigins:  []string{"http://127.0.0.1:8080", "http://localhost:3000", "http://mcp.internal:*"},
	}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		host, dest string
		want       bool
	}{
		{"mcp.example.com", "93.184.215.14:443", true},
		{"mcp.example.com", "93.184.215.14:8443", true},
		{"mcp.example.com", "127.0.0.1:443", false}, // a rebinding name
		{"mcp.example.com", "127.0.0.1:8080", false},
		{"mcp.example.com", "169.254.169.254:80", false},
		{"mcp.example.com", "10.20.1.1:443", true},
		{"mcp.example.com", "10.21.1.1:443", false},
		{"mcp.example.com", "[::ffff:127.0.0.1]:443", false},
		{"mcp.example.com", "[::ffff:93.184.215.14]:443", true},
		{"mcp.example.com", "[fe80::1%eth0]:443", false},
		{"127.0.0.1", "127.0.0.1:8080", true},
		{"127.0.0.1", "127.0.0.1:8081", false},
		{"127.0.0.1", "127.0.0.2:8080", false},
		{"localhost", "127.0.0.1:3000", true},
		{"localhost", "[::1]:3000", true},
		{"localhost", "127.0.0.1:3001", false},
		{"localhost", "192.168.0.1:3000", false},
		{"mcp.internal", "192.168.0.1:80", false}, // http is allowed for it, its network is not
		{"mcp.internal", "10.20.0.1:80", true},
	}
	for _, test := range tests {
		err := p.checkDial(test.host, netip.MustParseAddrPort(test.dest))
		if (err == nil) != test.want || err != nil && !errors.Is(err, ErrAddressDenied) {
			t.Errorf("%s at %s: got %v, want allowed: %v", test.host, test.dest, err, test.want)
		}
	}
}

// A name passes the check of the URL; what it resolves to is checked when it
// is dialed, each time.
func TestAddressIsCheckedAfterResolution(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []bool{false, true} {
		var policy NetworkPolicy
		if allowed {
			policy.AllowOrigins = []string{"http://localhost:*"}
		}
		p, err := policy.Compile()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := p.dial(time.Second)(ctx, "tcp", net.JoinHostPort("localhost", port))
		if err == nil {
			conn.Close()
		}
		if allowed != (err == nil) || err != nil && !errors.Is(err, ErrAddressDenied) {
			t.Errorf("allowed %v: got %v", allowed, err)
		}
	}
}

func TestTransportUsesNoProxy(t *testing.T) {
	t.Parallel()
	p, err := NetworkPolicy{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if p.NewTransport(nil, time.Second, 1).Proxy != nil {
		t.Error("the transport takes a proxy from the environment")
	}
}
