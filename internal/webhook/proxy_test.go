package webhook_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"perdure/internal/egress"
	"perdure/internal/egress/egresstest"
	"perdure/internal/secret"
	"perdure/internal/webhook"
)

// outside is an address of the outside. The proxy has a server of the test there; nothing is sent to it.
const outside = "203.0.114.7"

func TestSendThroughProxy(t *testing.T) {
	t.Parallel()
	authority, err := egresstest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Certificate(outside)
	if err != nil {
		t.Fatal(err)
	}
	startTLS := func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		s.StartTLS()
		return s
	}
	r := newReceiver(t, startTLS, status(http.StatusNoContent))
	proxy := egresstest.NewProxy(nil)
	t.Cleanup(proxy.Close)
	proxy.Route(outside+":443", r.Listener.Addr().String())
	s, _ := newSender(t, "https://"+outside+"/"+canary, func(o *webhook.Options) {
		o.Network = egress.NetworkPolicy{Proxy: egress.Proxy{URL: proxy.URL(), Credentials: secret.New("user:" + canary)}}
		o.RootCAs = authority.Pool()
	})
	if err := s.Send(t.Context(), "ops", event); err != nil {
		t.Fatal(err)
	}
	if got := <-r.got; got.path != "/"+canary || got.header.Get("Proxy-Authorization") != "" {
		t.Errorf("the endpoint got %+v", got)
	}
	if asked := proxy.Asked(); len(asked) != 1 || asked[0].Authorization == "" {
		t.Errorf("the proxy was asked %v", asked)
	}

	s.Close() // else the connection would be used again
	proxy.Answer(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, canary+r.Header.Get("Proxy-Authorization"), http.StatusProxyAuthRequired)
	})
	err = s.Send(t.Context(), "ops", event)
	var fault *webhook.Error
	if !errors.As(err, &fault) || !fault.Temporary || !strings.Contains(err.Error(), "egress proxy refused the connection: HTTP 407") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("error %q shows the secret", err)
	}
}
