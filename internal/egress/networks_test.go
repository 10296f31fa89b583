package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// TestNetworksThatAreNotPublic: none of them may be named in a URL, and none may be what a name resolves to.
func TestNetworksThatAreNotPublic(t *testing.T) {
	t.Parallel()
	rules, err := NetworkPolicy{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for name, addrs := range map[string][]string{
		"loopback":             {"127.0.0.1", "127.255.255.254", "::1"},
		"IPv4 in IPv6":         {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"},
		"cloud metadata":       {"169.254.169.254", "fd00:ec2::254", "100.100.100.200"},
		"link-local":           {"169.254.0.1", "fe80::1"},
		"private":              {"10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1"},
		"carrier-grade NAT":    {"100.64.0.1", "100.127.255.254"},
		"this network":         {"0.0.0.0", "0.1.2.3", "::"},
		"unique local":         {"fc00::1", "fdff::1"},
		"NAT64":                {"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1"},
		"6to4":                 {"2002:7f00:1::", "2002:a00:1::"},
		"Teredo":               {"2001::1"},
		"documentation":        {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"},
		"benchmarking":         {"198.18.0.1", "198.19.255.254"},
		"multicast":            {"224.0.0.1", "239.255.255.255", "ff02::1"},
		"reserved":             {"240.0.0.1", "255.255.255.255"},
		"protocol assignments": {"192.0.0.1", "192.0.0.170"},
		"formerly site-local":  {"fec0::1"},
		"discard and dummy":    {"100::1"},
		"documentation, newer": {"3fff::1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, text := range addrs {
				addr := netip.MustParseAddr(text)
				host := text
				if strings.Contains(text, ":") {
					host = "[" + text + "]"
				}
				if err := rules.CheckURL("https://" + host + "/mcp"); err == nil {
					t.Errorf("%s may be named", text)
				}
				for _, port := range []uint16{443, 80, 22, 6379} {
					if err := rules.checkDial("mcp.example.com", netip.AddrPortFrom(addr, port)); !errors.Is(err, ErrAddressDenied) {
						t.Errorf("%s port %d may be dialed: %v", text, port, err)
					}
				}
				if isPublic(addr.Unmap()) {
					t.Errorf("%s is taken for public", text)
				}
			}
		})
	}
}

// Other ways to write an address are names for us. Some resolvers, and with them some proxies, know better.
func TestAddressesInUnusualForms(t *testing.T) {
	t.Parallel()
	p := newProxied(t, false)
	for _, host := range []string{"2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "0X7F000001", "10.1", "mcp.0x1", "1", "a.localhost", "a.localhost."} {
		if err := (NetworkPolicy{}).CheckURL("https://" + host + "/"); err == nil {
			t.Errorf("%s may be named", host)
		}
		policy := NetworkPolicy{Proxy: Proxy{Resolves: true}}
		if _, err := p.get(t, policy, resolver(t, nil), "https://"+host+"/"); !errors.Is(err, ErrAddressDenied) {
			t.Errorf("%s: error %v, want one of the policy", host, err)
		}
	}
	if asked := p.proxy.Asked(); len(asked) != 0 {
		t.Errorf("the proxy was asked %v", asked)
	}
	for _, host := range []string{"a1", "1.example.com", "0x.example", "mcp.0xg", "8.8.8.8", "[2606:4700::1111]"} {
		if err := (NetworkPolicy{}).CheckURL("https://" + host + "/"); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}
