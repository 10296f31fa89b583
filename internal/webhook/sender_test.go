package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/egress"
	"perdure/internal/logtest"
	"perdure/internal/secret"
	"perdure/internal/webhook"
)

const (
	firstSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secondSecret = "whsec_c2Vjb25kLXNlY29uZC1zZWNvbmQtc2Vjb25k"
	// canary is in the path and the query of every URL.
	canary = "canary-5f1e"
)

var (
	loopback = egress.NetworkPolicy{AllowOrigins: []string{"http://127.0.0.1:*", "http://localhost:*"}}
	event    = webhook.Event{Type: webhook.Completed, ResponseID: "resp_1", CreatedAt: time.Unix(1_777_000_000, 5)}
)

// receiver is an endpoint that keeps what it gets, and answers as it is told.
type receiver struct {
	*httptest.Server
	got chan request
}

type request struct {
	method, path string
	header       http.Header
	body         string
}

func newReceiver(t *testing.T, start func(http.Handler) *httptest.Server, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{got: make(chan request, 10)}
	r.Server = start(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.got <- request{req.Method, req.URL.Path, req.Header, string(body)}
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) endpoint() string { return r.URL + "/" + canary + "?token=" + canary }

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "answer with "+canary)
	}
}

// newSender returns a sender with the endpoint "ops" at a URL, and its log.
func newSender(t *testing.T, url string, change func(*webhook.Options)) (*webhook.Sender, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	o := webhook.Options{
		Endpoints: []webhook.Endpoint{{Name: "ops", URL: url, Secrets: []secret.String{secret.New(firstSecret)}}},
		Network:   loopback,
		Logger:    slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	s, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, log
}

// verify is the receiver's side, as the specification has it.
func verify(t *testing.T, r request, secretText string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secretText, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.header.Get("webhook-id") + "." + r.header.Get("webhook-timestamp") + "." + r.body))
	for signature := range strings.SplitSeq(r.header.Get("webhook-signature"), " ") {
		version, encoded, _ := strings.Cut(signature, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && hmac.Equal(got, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

func TestSend(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, httptest.NewServer, status(http.StatusAccepted))
	s, _ := newSender(t, r.endpoint(), nil)
	before := time.Now().Unix()
	for range 2 {
		if err := s.Send(t.Context(), "ops", event); err != nil {
			t.Fatal(err)
		}
	}
	got, again := <-r.got, <-r.got
	id := got.header.Get("webhook-id")
	want := `{"id":"` + id + `","object":"event","created_at":1777000000,"type":"response.completed","data":{"id":"resp_1"}}`
	if diff := cmp.Diff(want, got.body); diff != "" || !strings.HasPrefix(id, "evt_") {
		t.Errorf("ID %s, body (-want +got):\n%s", id, diff)
	}
	if got.method != http.MethodPost || got.path != "/"+canary || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s as %s", got.method, got.path, got.header.Get("Content-Type"))
	}
	sent, err := strconv.ParseInt(got.header.Get("webhook-timestamp"), 10, 64)
	if err != nil || sent < before || sent > time.Now().Unix() {
		t.Errorf("timestamp %d, %v", sent, err)
	}
	if !verify(t, got, firstSecret) {
		t.Error("the signature is not valid")
	}
	got.body += " "
	if verify(t, got, firstSecret) || verify(t, again, secondSecret) {
		t.Error("another body, or another secret, has the same signature")
	}
	if again.header.Get("webhook-id") != id || again.body != want {
		t.Error("the repetition is another event")
	}
	if webhook.EventID("resp_1", "other") == id || webhook.EventID("resp_2", "ops") == id {
		t.Error("another endpoint or response has the same event")
	}
}

func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, httptest.NewServer, status(http.StatusOK))
	s, _ := newSender(t, r.endpoint(), func(o *webhook.Options) {
		o.Endpoints[0].Secrets = []secret.String{secret.New(firstSecret), secret.New(secondSecret)}
	})
	if err := s.Send(t.Context(), "ops", event); err != nil {
		t.Fatal(err)
	}
	got := <-r.got
	if !verify(t, got, firstSecret) || !verify(t, got, secondSecret) {
		t.Errorf("not valid for both secrets: %s", got.header.Get("webhook-signature"))
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for code, temporary := range map[int]bool{
		300: true, 302: true, 307: true, 308: true,
		400: false, 401: false, 403: false, 404: false, 405: false, 410: false, 413: false, 422: false, 451: false,
		408: true, 409: true, 425: true, 429: true,
		500: true, 501: true, 502: true, 503: true, 504: true, 599: true,
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, httptest.NewServer, status(code, "Retry-After", "7200", "Location", "/elsewhere"))
			s, log := newSender(t, r.endpoint(), nil)
			fault := failure(t, s.Send(t.Context(), "ops", event), log)
			var wait time.Duration
			if temporary {
				wait = time.Hour
			}
			if fault.Status != code || fault.Temporary != temporary || fault.RetryAfter != wait || fault.Endpoint != "ops" {
				t.Errorf("status %d, temporary %v, retry after %v", fault.Status, fault.Temporary, fault.RetryAfter)
			}
			if len(r.got) != 1 {
				t.Errorf("the endpoint was asked %d times: redirects are not followed", len(r.got))
			}
		})
	}
}

// failure returns the error of a sender, after a look at what it and the log tell.
func failure(t *testing.T, err error, log *logtest.Buffer) *webhook.Error {
	t.Helper()
	var fault *webhook.Error
	if !errors.As(err, &fault) {
		t.Fatalf("error %v, want a webhook error", err)
	}
	for _, hidden := range []string{canary, "token", firstSecret[6:]} {
		if strings.Contains(fault.Error(), hidden) || strings.Contains(log.String(), hidden) {
			t.Errorf("%q is shown by the error %v or the log %s", hidden, fault, log)
		}
	}
	if !strings.Contains(fault.Error(), `"ops"`) {
		t.Errorf("the error does not name the endpoint: %v", fault)
	}
	return fault
}

func TestAnswerIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, httptest.NewServer, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	s, _ := newSender(t, r.endpoint(), nil)
	if err := s.Send(t.Context(), "ops", event); err != nil {
		t.Error(err)
	}
}

func TestRedirectToPrivateAddress(t *testing.T) {
	t.Parallel()
	inside := newReceiver(t, httptest.NewServer, status(http.StatusOK))
	r := newReceiver(t, httptest.NewServer, status(http.StatusTemporaryRedirect, "Location", inside.URL))
	s, log := newSender(t, r.endpoint(), nil)
	if fault := failure(t, s.Send(t.Context(), "ops", event), log); fault.Status != http.StatusTemporaryRedirect {
		t.Errorf("error %v", fault)
	}
	if len(inside.got) != 0 {
		t.Error("the redirect was followed")
	}
}

func TestFailedConnections(t *testing.T) {
	t.Parallel()
	plain := newReceiver(t, httptest.NewServer, status(http.StatusOK))
	tls := newReceiver(t, httptest.NewTLSServer, status(http.StatusOK))
	slow := newReceiver(t, httptest.NewServer, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	rude := newReceiver(t, httptest.NewServer, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, canary+" is not HTTP\r\n\r\n")
		conn.Close()
	})
	for name, test := range map[string]struct {
		url, want string
		timeout   time.Duration
	}{
		"refused":               {url: "http://127.0.0.1:1", want: "could not be reached"},
		"not TLS":               {url: strings.Replace(plain.URL, "http:", "https:", 1), want: "does not speak TLS"},
		"untrusted certificate": {url: tls.URL, want: "certificate that is not trusted"},
		"slow":                  {url: slow.URL, want: "did not answer within 300ms", timeout: 300 * time.Millisecond},
		"not HTTP":              {url: rude.URL, want: "could not be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, log := newSender(t, test.url+"/"+canary+"?token="+canary, func(o *webhook.Options) {
				o.Timeout = test.timeout
				o.Network.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			})
			fault := failure(t, s.Send(t.Context(), "ops", event), log)
			if !fault.Temporary || fault.Status != 0 || !strings.Contains(fault.Error(), test.want) {
				t.Errorf("temporary %v: %v, want %q", fault.Temporary, fault, test.want)
			}
		})
	}
	s, _ := newSender(t, tls.endpoint(), func(o *webhook.Options) {
		o.Network.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.RootCAs = x509.NewCertPool()
		o.RootCAs.AddCert(tls.Certificate())
	})
	if err := s.Send(t.Context(), "ops", event); err != nil {
		t.Errorf("a certificate that is trusted: %v", err)
	}
}

func TestSendCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := newReceiver(t, httptest.NewServer, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	s, _ := newSender(t, r.endpoint(), nil)
	if err := s.Send(ctx, "ops", event); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a cancellation", err)
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	s, log := newSender(t, "http://127.0.0.1:1/", func(o *webhook.Options) {
		o.Endpoints[0].Events = []string{webhook.Failed}
		o.Endpoints = append(o.Endpoints, webhook.Endpoint{Name: "all", URL: "http://127.0.0.1:1/", Secrets: o.Endpoints[0].Secrets})
	})
	if !s.Wants("ops", webhook.Failed) || s.Wants("ops", webhook.Completed) || !s.Wants("all", webhook.Completed) {
		t.Error("an endpoint hears of what it does not want, or not of what it wants")
	}
	if !s.Wants("unknown", webhook.Completed) {
		t.Error("an endpoint that another worker may know is given up")
	}
	err := s.Send(t.Context(), "unknown", event)
	var fault *webhook.Error
	if !errors.As(err, &fault) || !fault.Temporary || !strings.Contains(err.Error(), "not configured") || log.String() != "" {
		t.Errorf("error %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := webhook.Endpoint{Name: "ops", URL: "https://hooks.example.com/" + canary, Secrets: []secret.String{secret.New(firstSecret)}}
	for name, test := range map[string]struct {
		change func(*webhook.Options)
		want   string // "": accepted
	}{
		"nothing":       {func(*webhook.Options) {}, ""},
		"no logger":     {func(o *webhook.Options) { o.Logger = nil }, "logger"},
		"http":          {func(o *webhook.Options) { o.Endpoints[0].URL = "http://hooks.example.com/" + canary }, "https://"},
		"twice":         {func(o *webhook.Options) { o.Endpoints = append(o.Endpoints, good) }, "not its own"},
		"no name":       {func(o *webhook.Options) { o.Endpoints[0].Name = "" }, "name is empty"},
		"no secret":     {func(o *webhook.Options) { o.Endpoints[0].Secrets = nil }, "secret is not set"},
		"broken secret": {func(o *webhook.Options) { o.Endpoints[0].Secrets = []secret.String{secret.New(canary)} }, "whsec_"},
		"policy":        {func(o *webhook.Options) { o.Network.AllowOrigins = []string{"x"} }, "network policy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := webhook.Options{Endpoints: []webhook.Endpoint{good}, Logger: slog.New(slog.DiscardHandler)}
			test.change(&o)
			_, err := webhook.New(o)
			switch {
			case (err == nil) != (test.want == ""), err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
