package egress

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"perdure/internal/secret"
)

// maxProxyAnswer bounds what is read of a proxy's answer to CONNECT: bytes.
const maxProxyAnswer = 64 << 10

// A Proxy is an HTTP proxy that connections to public addresses go through, with CONNECT, whatever their scheme. Addresses that are
// not public, and that a policy allows, are dialed directly: they are on our side of the proxy. The zero value is no proxy.
type Proxy struct {
	// URL is http://host:port or https://host:port, without credentials. The proxy itself may have any address: an operator named it.
	URL string
	// Credentials are sent to the proxy as Basic credentials: "user:password". They are optional.
	Credentials secret.String
	// Resolves says that the proxy resolves names, rather than this process. The proxy is then told the name, as proxies with lists of
	// names want it, and where names of the outside do not resolve inside. The rules still refuse what resolves here to an address that
	// is not allowed, but the proxy may see another answer of the name server: it has to refuse private addresses itself.
	//
	// Otherwise the proxy is told an address that has been checked, so that the rules hold as without a proxy.
	Resolves bool
}

// IsZero reports whether there is no proxy.
func (p Proxy) IsZero() bool { return p.URL == "" }

// Validate reports what is wrong with the proxy, without repeating its URL or credentials.
func (p Proxy) Validate() error {
	_, err := p.compile(nil)
	return err
}

// A ProxyError says that the egress proxy did not make a connection. Its text is safe to show: it holds nothing that the proxy wrote.
type ProxyError struct {
	// Status is that of the proxy's answer; 0 if there was none.
	Status  int
	message string
}

// Error describes the failure.
func (e *ProxyError) Error() string { return e.message }

// Temporary reports whether the same connection may succeed later. A proxy's refusal lasts until an operator changes something.
func (e *ProxyError) Temporary() bool {
	return e.Status < 400 || e.Status > 499 || e.Status == http.StatusTooManyRequests
}

// proxy is a Proxy in the form that dialing needs.
type proxy struct {
	address  string      // host:port
	tls      *tls.Config // for the connection to the proxy; nil without
	header   http.Header // sent with CONNECT; secret
	resolves bool
}

// compile returns nil for no proxy. The roots are trusted for the proxy's own certificate; nil are the system's.
func (p Proxy) compile(roots *x509.CertPool) (*proxy, error) {
	if p.IsZero() {
		if !p.Credentials.IsZero() {
			return nil, errors.New("the proxy has credentials and no URL")
		}
		return nil, nil
	}
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("the URL must be http://host:port or https://host:port")
	case u.User != nil:
		return nil, errors.New("the URL holds credentials: give them apart")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(p.URL, "#"):
		return nil, errors.New("the URL must end after the port")
	}
	if n, err := strconv.ParseUint(cmp.Or(u.Port(), defaultPort(u.Scheme)), 10, 16); err != nil || n == 0 {
		return nil, errors.New("the URL has a port outside 1 to 65535")
	}
	out := &proxy{
		address:  net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPort(u.Scheme))),
		header:   http.Header{"User-Agent": {"perdure"}},
		resolves: p.Resolves,
	}
	if u.Scheme == "https" {
		out.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	}
	if credentials := p.Credentials.Reveal(); credentials != "" {
		user, _, ok := strings.Cut(credentials, ":")
		if !ok || user == "" || strings.ContainsFunc(credentials, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, errors.New("the credentials must be user:password in printable ASCII")
		}
		out.header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	}
	return out, nil
}

// tunnel returns a connection to target, host:port, that the proxy has made.
func (p *proxy) tunnel(ctx context.Context, target string) (net.Conn, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &ProxyError{message: "the egress proxy could not be reached"}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // interrupts what waits
	err = p.ask(conn, target)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline is set, or about to be
	}
	if err == nil {
		return conn, nil
	}
	conn.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, err
}

// connect dials the proxy itself, whose address is the operator's choice and not subject to rules.
func (p *proxy) connect(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
	if err != nil || p.tls == nil {
		return conn, err
	}
	secured := tls.Client(conn, p.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// ask has the proxy connect to target. Of what the proxy answers its errors repeat the status alone.
func (p *proxy) ask(conn net.Conn, target string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: p.header}
	if err := request.Write(conn); err != nil {
		return &ProxyError{message: "the connection to the egress proxy was lost"}
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	resp, err := http.ReadResponse(answer, request)
	if err != nil {
		return &ProxyError{message: "the egress proxy did not answer as an HTTP proxy does"}
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		message := fmt.Sprintf("the egress proxy refused the connection: HTTP %d", resp.StatusCode)
		if text := http.StatusText(resp.StatusCode); text != "" {
			message += " " + text
		}
		return &ProxyError{Status: resp.StatusCode, message: message}
	}
	if answer.Buffered() > 0 {
		// Nobody has asked the target for anything yet.
		return &ProxyError{message: "the egress proxy sent more than its answer"}
	}
	return nil
}
