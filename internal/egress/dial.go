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
	"syscall"
	"time"
)

// ErrAddressDenied marks a dial that the network policy refused.
var ErrAddressDenied = errors.New("egress: address denied by the network policy")

// NewTransport returns a transport that keeps to the rules on every dial. The
// timeout is that of a dial and of a TLS handshake, perHost the connections
// kept for reuse; nil roots are the system's. It takes no proxy from the
// environment: a proxy would resolve names itself and so bypass the check of
// addresses.
func (r *Rules) NewTransport(roots *x509.CertPool, timeout time.Duration, perHost int) *http.Transport {
	return &http.Transport{
		DialContext:            r.dial(timeout),
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

// dial returns a dial function that checks each address it is about to connect
// to, after resolution and before the first packet.
func (r *Rules) dial(timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("%w: no port", ErrAddressDenied)
		}
		d := net.Dialer{
			Timeout: timeout,
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
