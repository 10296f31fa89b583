package webhook

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"perdure/internal/egress"
	"perdure/internal/secret"
)

const pathSecret = "canary-5f1e"

// A URL may name a host that leads to a private address. That shows when it is dialed, each time.
func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the endpoint was asked") }))
	t.Cleanup(inside.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	options := func(url string) Options {
		return Options{
			Endpoints: []Endpoint{{
				Name: "ops", URL: url + "/" + pathSecret, Secrets: []secret.String{secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
			}},
			Logger: slog.New(slog.DiscardHandler),
		}
	}
	for _, url := range []string{"https://127.0.0.1:" + port, "https://169.254.169.254", "https://localhost:" + port} {
		if _, err := New(options(url)); err == nil || strings.Contains(err.Error(), pathSecret) {
			t.Errorf("%s: error %v", url, err)
		}
	}

	// The one name that resolves to a private address everywhere is localhost, and a policy that lets its URL pass also lets its
	// address pass. So the rules of the dials are exchanged after the URL was checked.
	o := options("http://localhost:" + port)
	o.Network.AllowOrigins = []string{"http://localhost:*"}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	strict, err := egress.NetworkPolicy{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	s.transport = strict.NewTransport(nil, time.Second, 1)
	err = s.Send(t.Context(), "ops", Event{Type: Completed, ResponseID: "resp_1"})
	var fault *Error
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "network policy") || strings.Contains(err.Error(), pathSecret) {
		t.Errorf("error %v, want one of the network policy", err)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "1.5": 0, "0": 0,
		"120":                           2 * time.Minute,
		"3600":                          time.Hour,
		"3601":                          time.Hour,
		"4294967295":                    time.Hour,
		"99999999999999999999":          0,
		"Fri, 01 May 2026 12:10:00 GMT": 10 * time.Minute,
		"Fri, 01 May 2026 11:10:00 GMT": 0,
		"Sat, 01 May 2027 12:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestRefusalsRepeatNothing(t *testing.T) {
	t.Parallel()
	const canary = "canary-3f0a"
	for _, status := range []int{200, 302, 404, 410, 429, 500, 599} {
		e := refused("ops", &http.Response{StatusCode: status, Status: canary, Header: http.Header{
			"Location": {canary}, "Retry-After": {canary}, "Www-Authenticate": {canary}, "Server": {canary},
		}})
		if strings.Contains(e.Error(), canary) {
			t.Errorf("HTTP %d became %v", status, e)
		}
	}
}
