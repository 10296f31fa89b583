package egress

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perdure/internal/egress/egresstest"
	"perdure/internal/secret"
)

// An address of the outside, and what is really there: a server of this test. No packet is sent to the address.
const outside = "203.0.114.7"

// proxied is a proxy with a target behind it.
type proxied struct {
	proxy     *egresstest.Proxy
	authority *egresstest.Authority
	target    *httptest.Server
	address   string // of the target, for the proxy to connect to
}

func newProxied(t *testing.T, withTLS bool) *proxied {
	t.Helper()
	authority, err := egresstest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	p := &proxied{authority: authority}
	p.target = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "reached %s over %s", r.Host, r.Proto)
	}))
	p.target.TLS = &tls.Config{Certificates: []tls.Certificate{p.certificate(t, outside, "mcp.example.com", "127.0.0.1")}}
	p.target.EnableHTTP2 = true
	p.target.StartTLS()
	t.Cleanup(p.target.Close)
	p.address = p.target.Listener.Addr().String()
	var certificate *tls.Certificate
	if withTLS {
		c := p.certificate(t, "127.0.0.1")
		certificate = &c
	}
	p.proxy = egresstest.NewProxy(certificate)
	t.Cleanup(p.proxy.Close)
	return p
}

func (p *proxied) certificate(t *testing.T, hosts ...string) tls.Certificate {
	t.Helper()
	c, err := p.authority.Certificate(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get makes a request under a policy whose proxy is p's.
func (p *proxied) get(t *testing.T, policy NetworkPolicy, resolver *net.Resolver, url string) (string, error) {
	t.Helper()
	policy.Proxy.URL = p.proxy.URL()
	rules, err := policy.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if resolver != nil {
		rules.resolver = resolver
	}
	transport := rules.NewTransport(p.authority.Pool(), 5*time.Second, 1)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestProxy(t *testing.T) {
	t.Parallel()
	for _, withTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS to the proxy %v", withTLS), func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, withTLS)
			p.proxy.Route(outside+":443", p.address)
			body, err := p.get(t, NetworkPolicy{Proxy: Proxy{Credentials: secret.New("me:pass:word")}}, nil, "https://"+outside+"/")
			if err != nil || body != "reached "+outside+" over HTTP/2.0" {
				t.Errorf("got %q, %v", body, err)
			}
			want := egresstest.Connect{Target: outside + ":443", Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte("me:pass:word"))}
			if asked := p.proxy.Asked(); len(asked) != 1 || asked[0] != want {
				t.Errorf("the proxy was asked %v, want %v", asked, want)
			}
		})
	}
}

// With a proxy, the rules are what they are without one.
func TestProxyKeepsTheRules(t *testing.T) {
	t.Parallel()
	p := newProxied(t, false)
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	loopback := NetworkPolicy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	names := resolver(t, map[string][]string{
		"mcp.example.com": {outside}, "rebound.example.com": {"127.0.0.1"}, "mixed.example.com": {"10.0.0.1", outside}, "inside.example.com": {"127.0.0.1"},
	})
	p.proxy.Route(outside+":443", p.address)
	p.proxy.Route("mcp.example.com:443", p.address)
	p.proxy.Route("only-at-the-proxy.example.com:443", p.address)
	tests := []struct {
		name, host string
		policy     NetworkPolicy
		atProxy    bool
		want       string // what the proxy is asked; "" for nothing
		wantErr    error
	}{
		{name: "a name, resolved here", host: "mcp.example.com", want: outside + ":443"},
		{name: "a name, resolved by the proxy", host: "mcp.example.com", atProxy: true, want: "mcp.example.com:443"},
		{name: "an address that is not public", host: "127.0.0.1:" + port, wantErr: ErrAddressDenied},
		{name: "an address that is not public, names at the proxy", host: "10.0.0.1", atProxy: true, wantErr: ErrAddressDenied},
		{name: "the address of cloud metadata", host: "169.254.169.254", atProxy: true, wantErr: ErrAddressDenied},
		{name: "a name with an address that is not public", host: "rebound.example.com", wantErr: ErrAddressDenied},
		{name: "the same, names at the proxy", host: "rebound.example.com", atProxy: true, wantErr: ErrAddressDenied},
		{name: "one good address", host: "mixed.example.com", want: outside + ":443"},
		{name: "one good address, names at the proxy", host: "mixed.example.com", atProxy: true, wantErr: ErrAddressDenied},
		{name: "an address that is allowed, directly", host: "127.0.0.1:" + port, policy: loopback},
		{name: "a name of one that is allowed, directly", host: "inside.example.com:" + port, policy: loopback},
		{name: "this machine", host: "localhost:" + port, wantErr: ErrAddressDenied},
		{name: "a name that does not resolve here", host: "only-at-the-proxy.example.com", wantErr: &net.DNSError{}},
		{name: "the same, names at the proxy", host: "only-at-the-proxy.example.com", atProxy: true, want: "only-at-the-proxy.example.com:443"},
	}
	for _, test := range tests {
		before := len(p.proxy.Asked())
		test.policy.Proxy.Resolves = test.atProxy
		_, err := p.get(t, test.policy, names, "https://"+test.host+"/")
		var dns, wantDNS *net.DNSError
		var certificate *tls.CertificateVerificationError // the target has no certificate for all these names
		switch {
		case errors.As(test.wantErr, &wantDNS):
			if !errors.As(err, &dns) {
				t.Errorf("%s: error %v, want one of the name server", test.name, err)
			}
		case test.wantErr != nil && !errors.Is(err, test.wantErr), test.wantErr == nil && err != nil && !errors.As(err, &certificate):
			t.Errorf("%s: error %v, want %v", test.name, err, test.wantErr)
		}
		asked := p.proxy.Asked()[before:]
		if test.want == "" && len(asked) > 0 || test.want != "" && (len(asked) != 1 || asked[0].Target != test.want) {
			t.Errorf("%s: the proxy was asked %v, want %q", test.name, asked, test.want)
		}
	}
}

// resolver asks a name server that knows a few names and no others.
func resolver(t *testing.T, known map[string][]string) *net.Resolver {
	t.Helper()
	server := newNameServer(t, known)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server)
	}}
}

func TestProxyThatFails(t *testing.T) {
	t.Parallel()
	const canary = "canary-9c41d7"
	status := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, canary+r.Header.Get("Proxy-Authorization"), status)
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, text)
		}
	}
	tests := map[string]struct {
		answer    http.HandlerFunc
		status    int
		temporary bool
	}{
		"credentials refused": {answer: status(407), status: 407},
		"target refused":      {answer: status(403), status: 403},
		"too many":            {answer: status(429), status: 429, temporary: true},
		"target away":         {answer: status(502), status: 502, temporary: true},
		"a telling reason":    {answer: raw("HTTP/1.1 403 " + canary + "\r\nContent-Length: 0\r\n\r\n"), status: 403},
		"no HTTP":             {answer: raw(canary + "\r\n\r\n"), temporary: true},
		"no end":              {answer: raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat(canary, 10_000)), temporary: true},
		"more than an answer": {answer: raw("HTTP/1.1 200 OK\r\n\r\n" + canary), temporary: true},
		"cut off":             {answer: raw(""), temporary: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, false)
			p.proxy.Answer(test.answer)
			_, err := p.get(t, NetworkPolicy{Proxy: Proxy{Credentials: secret.New("user:" + canary)}}, nil, "https://"+outside+"/")
			var failed *ProxyError
			if !errors.As(err, &failed) || failed.Status != test.status || failed.Temporary() != test.temporary {
				t.Fatalf("got %#v", err)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, canary) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(canary))) {
				t.Errorf("the error shows what it should not: %s", text)
			}
		})
	}
}

func TestProxyThatIsAway(t *testing.T) {
	t.Parallel()
	p := newProxied(t, false)
	p.proxy.Close()
	_, err := p.get(t, NetworkPolicy{}, nil, "https://"+outside+"/")
	var failed *ProxyError
	if !errors.As(err, &failed) || failed.Status != 0 || !failed.Temporary() {
		t.Errorf("got %#v", err)
	}
}

// A proxy that is silent costs no more than the timeout, and no more than the caller is willing to wait.
func TestProxyThatHangs(t *testing.T) {
	t.Parallel()
	p := newProxied(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.proxy.Answer(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // once it is asked
		<-r.Context().Done()
	})
	rules, err := NetworkPolicy{Proxy: Proxy{URL: p.proxy.URL()}}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	through, err := rules.proxy.compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.dialThrough(through, time.Hour)(ctx, "tcp", outside+":443"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, got %v", err)
	}
	if _, err := rules.dialThrough(through, 50*time.Millisecond)(t.Context(), "tcp", outside+":443"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timed out, got %v", err)
	}
}

func TestProxyValidate(t *testing.T) {
	t.Parallel()
	for _, p := range []Proxy{
		{URL: "proxy.internal:3128"},
		{URL: "socks5://proxy.internal:1080"},
		{URL: "http://"},
		{URL: "http://user:canary@proxy.internal"},
		{URL: "http://proxy.internal:0"},
		{URL: "http://proxy.internal/canary"},
		{URL: "http://proxy.internal?canary"},
		{URL: "http://proxy.internal#canary"},
		{URL: "http://proxy.internal", Credentials: secret.New("canary")},
		{URL: "http://proxy.internal", Credentials: secret.New(":canary")},
		{URL: "http://proxy.internal", Credentials: secret.New("user:canary\r\nX: y")},
		{Credentials: secret.New("user:canary")},
	} {
		err := p.Validate()
		if err == nil {
			t.Errorf("%q was accepted", p.URL)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: the error repeats it: %v", p.URL, err)
		}
		if (NetworkPolicy{Proxy: p}).Validate() == nil {
			t.Errorf("%q was accepted as part of a policy", p.URL)
		}
	}
	for _, p := range []Proxy{{}, {URL: "http://proxy.internal"}, {URL: "https://[::1]:3128/", Credentials: secret.New("user:")}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%q: %v", p.URL, err)
		}
	}
}
