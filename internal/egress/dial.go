package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrAddressDenied marks a dial that the network policy refused.
var ErrAddressDenied = errors.New("egress: address denied by the network policy")

// NewTransport returns a transport that keeps to the rules on every dial. The timeout is that of a dial, with all that a proxy needs
// for it, and of a TLS handshake; perHost the connections kept for reuse; nil roots are the system's. It takes no proxy from the
// environment: what a proxy resolves and reaches is a matter of the rules.
func (r *Rules) NewTransport(roots *x509.CertPool, timeout time.Duration, perHost int) *http.Transport {
	dial := r.dial(timeout)
	// The policy was compiled, so its proxy is well-formed.
	if p, err := r.proxy.compile(roots); err == nil && p != nil {
		dial = r.dialThrough(p, timeout)
	}
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    perHost,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		// No ResponseHeaderTimeout: a server that answers a tool call with
		// plain JSON sends its header when the tool is done.
	}
}

// maxCandidates bounds the addresses of one name that are tried through a proxy, each of which costs a connection to it.
const maxCandidates = 4

// dialThrough returns a dial function that has the proxy connect to addresses that are public. It checks addresses as dial does.
func (r *Rules) dialThrough(p *proxy, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	direct := r.dial(timeout)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("%w: no port", ErrAddressDenied)
		}
		addrs, err := r.resolve(ctx, host)
		if err != nil {
			if !p.resolves || ctx.Err() != nil {
				return nil, err
			}
			if name := canonicalHost(host); endsInNumber(name) || isLocalhost(name) {
				return nil, fmt.Errorf("%w: a name that may stand for the proxy's own machine", ErrAddressDenied)
			}
			return p.tunnel(ctx, address)
		}
		allowed, public, err := r.sort(host, port, addrs)
		switch {
		case err != nil && (p.resolves || len(allowed) == 0): // which of them the proxy would take, nobody knows
			return nil, err
		case len(public) == 0:
			return direct(ctx, network, address)
		case p.resolves:
			return p.tunnel(ctx, address)
		}
		for _, dest := range public[:min(len(public), maxCandidates)] {
			var conn net.Conn
			if conn, err = p.tunnel(ctx, dest.String()); err == nil || ctx.Err() != nil {
				return conn, err
			}
		}
		return nil, err
	}
}

// resolve returns the addresses of a host, or that of a literal one.
func (r *Rules) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(canonicalHost(host)); err == nil {
		return []netip.Addr{addr}, nil
	}
	return r.resolver.LookupNetIP(ctx, "ip", host)
}

// sort returns which of a host's addresses the rules allow, and which of those are public. Its error is why others are not.
func (r *Rules) sort(host, port string, addrs []netip.Addr) (allowed, public []netip.AddrPort, denied error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no port", ErrAddressDenied)
	}
	for _, addr := range addrs {
		dest := netip.AddrPortFrom(addr.Unmap(), uint16(n))
		if err := r.checkDial(host, dest); err != nil {
			denied = err
			continue
		}
		allowed = append(allowed, dest)
		if isPublic(dest.Addr()) {
			public = append(public, dest)
		}
	}
	return allowed, public, denied
}

// strangers allows what is public and nothing else.
var strangers = ssrf.New(ssrf.WithAnyPort())

func isPublic(addr netip.Addr) bool { return strangers.SafeAddr(addr) == nil }

// dial returns a dial function that checks each address it is about to connect
// to, after resolution and before the first packet.
func (r *Rules) dial(timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("%w: no port", ErrAddressDenied)
		}
		d := net.Dialer{
			Timeout:  timeout,
			Resolver: r.resolver,
			Control: func(network, resolved string, _ syscall.RawConn) error {
				if network != "tcp4" && network != "tcp6" {
					return fmt.Errorf("%w: network %s", ErrAddressDenied, network)
				}
				dest, err := netip.ParseAddrPort(resolved)
				if err != nil {
					return fmt.Errorf("%w: unreadable address", ErrAddressDenied)
				}
				return r.checkDial(host, dest)
			},
		}
		return d.DialContext(ctx, network, address)
	}
}
