package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perdure/internal/egress/egresstest"
	"perdure/internal/mcptest"
)

// outsideAddress is one of the outside. Nothing is sent there: proxies of the test have a server of its own at that address.
const outsideAddress = "203.0.114.7"

// outside is a model provider and an MCP server that are reached over TLS with an authority of their own, each through a proxy.
type outside struct {
	egress, environment *egresstest.Proxy
	mcp                 *mcptest.Hostile
	ca                  string // a file
}

func newOutside(t *testing.T, s *secretStack) *outside {
	t.Helper()
	o := &outside{egress: egresstest.NewProxy(nil), environment: egresstest.NewProxy(nil), ca: filepath.Join(t.TempDir(), "ca.pem")}
	t.Cleanup(o.egress.Close)
	t.Cleanup(o.environment.Close)
	authority, err := egresstest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Certificate(outsideAddress)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.ca, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	model, err := url.Parse(s.model.URL())
	if err != nil {
		t.Fatal(err)
	}
	models := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: model.Host}) }}
	_, calls := indiscreet()
	o.mcp = s.mcp(t, "tools/call", calls["text"])
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			models.ServeHTTP(w, r)
			return
		}
		o.mcp.HTTP().Config.Handler.ServeHTTP(w, r)
	}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	front.StartTLS()
	t.Cleanup(front.Close)
	for _, p := range []*egresstest.Proxy{o.egress, o.environment} {
		p.Route(outsideAddress+":443", front.Listener.Addr().String())
	}
	return o
}

// env configures both proxies, the authority and the provider, which is called far.
func (o *outside) env() []string {
	environment := "http://user:" + url.QueryEscape(canaries["password of the environment"]) + "@" + strings.TrimPrefix(o.environment.URL(), "http://")
	return []string{
		"PERDURE_NETWORK_PROXY_URL=" + o.egress.URL(), "PERDURE_NETWORK_PROXY_CREDENTIALS_ENV=E2E_PROXY",
		"E2E_PROXY=user:" + canaries["password of the egress proxy"], "PERDURE_NETWORK_CA_FILE=" + o.ca,
		"PERDURE_MODELS_PROVIDERS_FAR_BASE_URL=https://" + outsideAddress + "/v1", "PERDURE_MODELS_PROVIDERS_FAR_API_KEY_ENV=E2E_MODEL_KEY",
		"HTTPS_PROXY=" + environment,
	}
}

// denounce has the proxies refuse, and repeat the credentials that they were shown wherever they can.
func (o *outside) denounce() {
	for _, p := range []*egresstest.Proxy{o.egress, o.environment} {
		p.Answer(func(w http.ResponseWriter, r *http.Request) {
			shown := r.Header.Get("Proxy-Authorization")
			plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(shown, "Basic "))
			if err != nil {
				panic(err) // they are ours
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err) // HTTP/1.1 can be taken over
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 407 %s %s\r\nProxy-Authenticate: %[2]s\r\nContent-Length: 0\r\n\r\n", shown, plain)
		})
	}
}

// driveOutside has both proxies refuse, and then serve. A connection that was made would be used again, so that is the order.
func (s *secretStack) driveOutside(t *testing.T) {
	t.Helper()
	tool, o := secretTool("https://"+outsideAddress), s.outside
	withTool, asking := `{"input":"please call `+content+`","tools":[`+tool+`]}`, `{"input":"`+content+`","model":"far/gpt-5.5"}`
	o.denounce()
	if a := s.call(t, http.MethodPost, "/responses", withTool); a.status != http.StatusFailedDependency || !strings.Contains(string(a.body), "egress proxy refused") {
		t.Errorf("without the egress proxy: status %d: %s", a.status, a.body)
	}
	if r := s.call(t, http.MethodPost, "/responses", asking).decode(t); r.Status != "failed" {
		t.Errorf("without the proxy of the environment: the run is %s", r.Status)
	}
	o.egress.Answer(nil)
	o.environment.Answer(nil)
	if r := s.call(t, http.MethodPost, "/responses", withTool).decode(t); r.Status != "completed" || o.mcp.Count("tools/call") != 1 {
		t.Errorf("through the egress proxy: the run is %s", r.Status)
	}
	if r := s.call(t, http.MethodPost, "/responses", asking).decode(t); r.Status != "completed" {
		t.Errorf("through the proxy of the environment: the run is %s", r.Status)
	}
	for peer, p := range map[string]*egresstest.Proxy{"egress proxy": o.egress, "proxy of the environment": o.environment} {
		for _, asked := range p.Asked() {
			s.peers.add(peer, []byte(asked.Target+" "+asked.Authorization))
		}
	}
}
