// Package egress decides which addresses outside this process may be reached: by MCP clients, whose URLs come from requests, and by
// webhooks. The check is made where a connection is dialed, after name resolution.
package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"code.dny.dev/ssrf"
)

// MaxURLBytes bounds a URL.
const MaxURLBytes = 2048

// A NetworkPolicy says which servers may be reached. Its zero value allows
// https to public addresses, on any port.
//
// Rules about addresses are enforced on every dial, after name resolution, so
// that a name which resolves to something else the next time gains nothing.
type NetworkPolicy struct {
	// AllowNetworks lists prefixes that may be dialed although they are not
	// public, such as 10.20.0.0/16.
	AllowNetworks []netip.Prefix
	// AllowOrigins lists origins such as "http://127.0.0.1:39001" for which
	// plain http is allowed. The port may be "*". If the host is a literal IP
	// address, that address may be dialed even though it is not public; if it
	// is localhost, the loopback addresses may. Any other host still has to
	// resolve to a public address or to one in AllowNetworks.
	AllowOrigins []string
	// Proxy is what connections to public addresses go through.
	Proxy Proxy
}

// Validate reports the first entry that is not of the form described above.
func (p NetworkPolicy) Validate() error {
	_, err := p.Compile()
	return err
}

// CheckURL reports why a URL may not be used, in words that are safe
// to show and that name the remedy. It looks nothing up: a name that passes
// may still resolve to an address that the dialer refuses.
func (p NetworkPolicy) CheckURL(raw string) error {
	rules, err := p.Compile()
	if err != nil {
		return err
	}
	return rules.CheckURL(raw)
}

// Rules are a NetworkPolicy in the form that checks need.
type Rules struct {
	origins  []Origin
	guardian *ssrf.Guardian
	proxy    Proxy
	resolver *net.Resolver
}

// Compile returns the rules of a policy. It fails only if the policy is malformed.
func (p NetworkPolicy) Compile() (*Rules, error) {
	var v4, v6 []netip.Prefix
	for _, prefix := range p.AllowNetworks {
		switch {
		case !prefix.IsValid():
			return nil, errors.New("allow_networks has an invalid prefix; write it like 10.20.0.0/16")
		case prefix.Addr().Is4():
			v4 = append(v4, prefix.Masked())
		default:
			v6 = append(v6, prefix.Masked())
		}
	}
	if err := p.Proxy.Validate(); err != nil {
		return nil, err
	}
	rules := &Rules{proxy: p.Proxy, resolver: net.DefaultResolver, guardian: ssrf.New(
		ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}
	for _, s := range p.AllowOrigins {
		o, err := parseAllowedOrigin(s)
		if err != nil {
			return nil, err
		}
		rules.origins = append(rules.origins, o)
	}
	return rules, nil
}

// CheckURL is [NetworkPolicy.CheckURL].
func (r *Rules) CheckURL(raw string) error {
	if len(raw) > MaxURLBytes {
		return fmt.Errorf("the URL is longer than %d bytes", MaxURLBytes)
	}
	u, err := url.Parse(raw)
	if err != nil { // its text quotes the URL, query included
		return errors.New("the URL cannot be parsed; write it like https://mcp.example.com/mcp")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the URL must begin with https://")
	case u.Hostname() == "":
		return errors.New("the URL names no host; write it like https://mcp.example.com/mcp")
	case u.User != nil:
		return errors.New("the URL holds a user name or password; send credentials as authorization or headers")
	case strings.Contains(raw, "#"):
		return errors.New("the URL has a fragment; remove the part from # on")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("the URL has a port outside 1 to 65535")
		}
	}
	if !isHost(u.Hostname()) {
		return errors.New("the URL has a host with a character that host names do not have; write an international name in its form with xn--")
	}
	target := OriginOf(u)
	if endsInNumber(target.host) {
		return errors.New("the URL names an address in an unusual form; write an IPv4 address as four decimal numbers")
	}
	if r.allowsOrigin(target) {
		return nil
	}
	if u.Scheme == "http" {
		return errors.New("the URL must begin with https://; an operator can allow http for this origin with allow_origins")
	}
	if isLocalhost(target.host) {
		return errors.New("the URL names this machine; an operator can allow it with allow_origins")
	}
	if addr, err := netip.ParseAddr(target.host); err == nil && r.guardian.SafeAddr(addr.Unmap()) != nil {
		return errors.New("the URL names an address that is not public; an operator can allow it with allow_networks or allow_origins")
	}
	return nil
}

// checkDial decides whether a connection made for host may go to dest, the
// address that host resolved to.
func (r *Rules) checkDial(host string, dest netip.AddrPort) error {
	port := strconv.Itoa(int(dest.Port()))
	addr := dest.Addr().Unmap()
	for _, o := range r.origins {
		if o.host != canonicalHost(host) || !o.matchesPort(port) {
			continue
		}
		if literal, err := netip.ParseAddr(o.host); err == nil && literal.Unmap() == addr {
			return nil
		}
		if isLocalhost(o.host) && addr.IsLoopback() {
			return nil
		}
	}
	if err := r.guardian.SafeAddrPort(netip.AddrPortFrom(addr, dest.Port())); err != nil {
		return fmt.Errorf("%w: %w", ErrAddressDenied, err)
	}
	return nil
}

func (r *Rules) allowsOrigin(target Origin) bool {
	return slices.ContainsFunc(r.origins, func(o Origin) bool { return o.Covers(target) })
}

// Origin is a scheme, a host and a port, in the form in which origins are compared.
type Origin struct{ scheme, host, port string }

// matchesPort: the port "*" of an allowed origin stands for any.
func (o Origin) matchesPort(port string) bool { return o.port == "*" || o.port == port }

// OriginOf returns the origin of a URL.
func OriginOf(u *url.URL) Origin {
	port := u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	return Origin{scheme: u.Scheme, host: canonicalHost(u.Hostname()), port: port}
}

// parseAllowedOrigin is not url.Parse because that refuses the port "*".
func parseAllowedOrigin(s string) (Origin, error) {
	malformed := fmt.Errorf("allow_origins has the entry %q; write it like http://127.0.0.1:8080 or http://127.0.0.1:*", s)
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "http" && scheme != "https" || rest == "" || strings.ContainsAny(rest, "/?#@") {
		return Origin{}, malformed
	}
	host, port, err := net.SplitHostPort(rest)
	bracketed := strings.HasPrefix(rest, "[")
	if err != nil { // no port
		host, port = rest, defaultPort(scheme)
		if bracketed {
			host = strings.TrimSuffix(rest[1:], "]")
		}
	}
	if bracketed != strings.Contains(host, ":") {
		return Origin{}, malformed
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "*" && (err != nil || n == 0) || !isHost(host) {
		return Origin{}, malformed
	}
	return Origin{scheme: scheme, host: canonicalHost(host), port: port}, nil
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

func canonicalHost(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isHost reports whether a host is an address, or a name of characters that all who read it take for the same: net/http would map or drop
// others.
func isHost(host string) bool {
	if strings.Contains(host, ":") {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	})
}

// endsInNumber reports whether a host is an IPv4 address to some resolvers, and none to us: "127.1", "0x7f.0.0.1", "2130706433".
func endsInNumber(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
