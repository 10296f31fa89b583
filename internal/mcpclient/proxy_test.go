package mcpclient_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"perdure/internal/egress"
	"perdure/internal/egress/egresstest"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/secret"
)

// outside is an address of the outside. A proxy of these tests has a server of theirs there; nothing is sent to it.
const outside = "203.0.114.7"

// behindProxy returns an MCP server that is at outside for those who trust the authority and go through the proxy.
func behindProxy(t *testing.T) (*mcptest.Hostile, *egresstest.Proxy, *egresstest.Authority) {
	t.Helper()
	authority, err := egresstest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Certificate(outside)
	if err != nil {
		t.Fatal(err)
	}
	h := newHostile(t)
	target := httptest.NewUnstartedServer(h.HTTP().Config.Handler)
	target.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	target.StartTLS()
	t.Cleanup(target.Close)
	proxy := egresstest.NewProxy(nil)
	t.Cleanup(proxy.Close)
	proxy.Route(outside+":443", target.Listener.Addr().String())
	return h, proxy, authority
}

func TestThroughProxy(t *testing.T) {
	t.Parallel()
	h, proxy, authority := behindProxy(t)
	policy := egress.NetworkPolicy{AllowOrigins: []string{}, Proxy: egress.Proxy{URL: proxy.URL(), Credentials: secret.New("user:" + canary)}}
	server := at("https://" + outside + "/mcp")
	server.Header = http.Header{"Authorization": {"Bearer token-of-the-server"}}
	h.On("tools/call", mcptest.Result(`{"content":[{"type":"text","text":"ok"}]}`))

	c := newClient(t, mcpclient.Options{Network: policy, RootCAs: authority.Pool()})
	if _, err := c.ListTools(t.Context(), "run", server); err != nil {
		t.Error(err)
	}
	if result, err := c.CallTool(t.Context(), "run", server, callT); err != nil || result.Output != "ok" {
		t.Errorf("got %v, %v", result, err)
	}
	for _, r := range h.Requests() {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the server got the credentials of the proxy")
		}
	}
	for _, asked := range proxy.Asked() {
		if asked.Target != outside+":443" || asked.Authorization == "" {
			t.Errorf("the proxy was asked %+v", asked)
		}
	}
	n := len(h.Requests())

	c = newClient(t, mcpclient.Options{Network: policy, RootCAs: x509.NewCertPool()})
	_, err := c.ListTools(t.Context(), "run", server)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageTLS, Sent: mcpclient.NotSent})

	asked := len(proxy.Asked())
	c = newClient(t, mcpclient.Options{Network: policy, RootCAs: authority.Pool()})
	_, err = c.ListTools(t.Context(), "run", at("https://10.0.0.1/mcp"))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StagePolicy, Sent: mcpclient.NotSent})
	if got := len(proxy.Asked()); got != asked {
		t.Error("the proxy was asked for an address that is not allowed")
	}
	if got := len(h.Requests()); got != n {
		t.Errorf("the server got %d more requests", got-n)
	}
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	for status, temporary := range map[int]bool{http.StatusForbidden: false, http.StatusProxyAuthRequired: false, http.StatusBadGateway: true} {
		_, proxy, authority := behindProxy(t)
		proxy.Answer(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Proxy-Authorization"), status)
		})
		policy := egress.NetworkPolicy{AllowOrigins: []string{}, Proxy: egress.Proxy{URL: proxy.URL(), Credentials: secret.New("user:" + canary)}}
		c := newClient(t, mcpclient.Options{Network: policy, RootCAs: authority.Pool()})
		_, err := c.CallTool(t.Context(), "run", at("https://"+outside+"/mcp"), callT)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageConnect, Sent: mcpclient.NotSent, Temporary: temporary})
	}
}
