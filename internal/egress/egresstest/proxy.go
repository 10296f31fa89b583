package egresstest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Proxy is an HTTP proxy that knows nothing but CONNECT. It reaches only what it has a route to.
type Proxy struct {
	http   *httptest.Server
	mu     sync.Mutex
	asked  []Connect
	routes map[string]string
	answer http.HandlerFunc
	conns  map[net.Conn]struct{}
	closed bool
	tunnel sync.WaitGroup
}

// Connect is one request to a [Proxy].
type Connect struct {
	Target        string // host:port
	Authorization string // the header Proxy-Authorization
}

// NewProxy starts a proxy on the loopback interface, with TLS if it gets a certificate. It must be closed.
func NewProxy(certificate *tls.Certificate) *Proxy {
	p := &Proxy{routes: map[string]string{}, conns: map[net.Conn]struct{}{}}
	p.http = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	if certificate == nil {
		p.http.Start()
		return p
	}
	p.http.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"http/1.1"}}
	p.http.StartTLS()
	return p
}

// URL is the proxy's own.
func (p *Proxy) URL() string { return p.http.URL }

// Route has the proxy connect to an address when it is asked for a target, host:port.
func (p *Proxy) Route(target, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes[target] = address
}

// Answer has the proxy answer every request in another way than by connecting. Nil takes that back.
func (p *Proxy) Answer(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// Asked lists the requests so far.
func (p *Proxy) Asked() []Connect {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Connect(nil), p.asked...)
}

// Close cuts all tunnels and stops the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.tunnel.Wait()
	p.http.Close()
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, Connect{r.Host, r.Header.Get("Proxy-Authorization")})
	address, known := p.routes[r.Host]
	answer := p.answer
	p.mu.Unlock()
	switch {
	case r.Method != http.MethodConnect:
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
	case answer != nil:
		answer(w, r)
	case !known:
		http.Error(w, "no route to "+r.Host, http.StatusForbidden)
	default:
		if err := p.connect(r.Context(), w, address); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}
}

func (p *Proxy) connect(ctx context.Context, w http.ResponseWriter, address string) error {
	target, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		target.Close()
		return err
	}
	if !p.track(client, target) {
		return nil
	}
	fmt.Fprint(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.tunnel.Go(func() { pipe(target, client, buffered.Reader) })
	p.tunnel.Go(func() { pipe(client, target, bufio.NewReader(target)) })
	return nil
}

// track reports false, and closes the connections, if the proxy is closed.
func (p *Proxy) track(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.closed {
			conn.Close()
			continue
		}
		p.conns[conn] = struct{}{}
	}
	return !p.closed
}

// pipe copies until one side ends, and then ends both.
func pipe(to, from net.Conn, buffered io.Reader) {
	_, _ = io.Copy(to, buffered) // a tunnel has nobody to tell
	to.Close()
	from.Close()
}
