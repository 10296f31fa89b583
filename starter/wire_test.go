package starter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"

	"perdure/internal/blob"
	"perdure/internal/logtest"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
)

func TestErrorsOnTheWire(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fail   func() error
		status int
		kind   string
		retry  string // Retry-After
		logged string // "" for an error that is the client's affair
	}{
		{
			"meant for the client", func() error { return fmt.Errorf("wrapped: %w", responses.Invalid("model", "no")) },
			http.StatusBadRequest, responses.ErrInvalidRequest, "", "",
		},
		{
			"too many requests", func() error { return &responses.Error{Status: 429, Type: responses.ErrRateLimited, Message: "no"} },
			http.StatusTooManyRequests, responses.ErrRateLimited, "2", "",
		},
		{
			"unknown", func() error { return errors.New("disk /var/secret is on fire") },
			http.StatusInternalServerError, responses.ErrInternal, "", "disk /var/secret is on fire",
		},
		{"panic", func() error { panic("secret trouble") }, http.StatusInternalServerError, responses.ErrInternal, "", "secret trouble"},
		{
			"body too large", func() error { return &http.MaxBytesError{Limit: 32 << 20} },
			http.StatusRequestEntityTooLarge, responses.ErrPayloadTooLarge, "", "",
		},
		{
			"too large to be stored", func() error { return fmt.Errorf("pack: %w", blob.ErrTooLarge) },
			http.StatusRequestEntityTooLarge, responses.ErrPayloadTooLarge, "", "",
		},
		{
			"Temporal unavailable", func() error { return serviceerror.NewUnavailable("secret address") },
			http.StatusServiceUnavailable, responses.ErrUnavailable, "2", "",
		},
		{"busy", func() error { return busy("no") }, http.StatusServiceUnavailable, responses.ErrUnavailable, "1", ""},
		{
			"Temporal slow", func() error { return serviceerror.NewDeadlineExceeded("secret address") },
			http.StatusServiceUnavailable, responses.ErrUnavailable, "2", "",
		},
		{
			"Temporal busy", func() error { return serviceerror.NewResourceExhausted(0, "secret") },
			http.StatusServiceUnavailable, responses.ErrUnavailable, "2", "",
		},
		{
			"Temporal refuses", func() error { return serviceerror.NewPermissionDenied("secret", "") },
			http.StatusInternalServerError, responses.ErrInternal, "", "secret",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, log := newOptions(t)
			o.Temporal = lazy(t, temporaldevtest.Address(t), slog.New(slog.DiscardHandler)) // is there, whatever an error says
			s := newStarter(t.Context(), t.Context(), o)
			server := handlers(t, s.guarded(s.handle(func(http.ResponseWriter, *http.Request) error { return tt.fail() })))
			got, err := do(t.Context(), http.MethodGet, server.URL+"/path?query=hidden", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			shown := got.failed(t)
			if got.status != tt.status || shown.Type != tt.kind || shown.Message == "" {
				t.Errorf("HTTP %d with %s", got.status, got.body)
			}
			if retry := got.header.Get("Retry-After"); retry != tt.retry {
				t.Errorf("Retry-After %q, want %q", retry, tt.retry)
			}
			// Of all others, what was asked for may have been done.
			if again := got.header.Get("X-Should-Retry") == "true"; again != (tt.name == "busy") {
				t.Errorf("X-Should-Retry is %q", got.header.Get("X-Should-Retry"))
			}
			if strings.Contains(got.body, "secret") {
				t.Errorf("the client sees %s", got.body)
			}
			for name, want := range map[string]string{
				"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			} {
				if value := got.header.Get(name); value != want {
					t.Errorf("%s is %q", name, value)
				}
			}
			id := got.header.Get("X-Request-Id")
			if tt.logged == "" {
				if log.String() != "" {
					t.Errorf("the log says %s", log)
				}
				return
			}
			if !strings.HasPrefix(id, "req_") || !strings.Contains(shown.Message, id) {
				t.Errorf("request %q, message %q", id, shown.Message)
			}
			if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), id) ||
				!strings.Contains(log.String(), tt.logged) || strings.Contains(log.String(), "hidden") {
				t.Errorf("%d lines in the log:\n%s", lines, log)
			}
		})
	}
}

func TestPanicIsLoggedWithItsPlace(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	s := newStarter(t.Context(), t.Context(), o)
	server := handlers(t, s.guarded(s.handle(func(http.ResponseWriter, *http.Request) error { panic("oops") })))
	if _, err := do(t.Context(), http.MethodGet, server.URL, http.NoBody); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "wire_test.go") {
		t.Errorf("the log does not say where:\n%s", log)
	}
}

func TestAbortedHandlerClosesTheConnection(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	s := newStarter(t.Context(), t.Context(), o)
	server := handlers(t, s.guarded(s.handle(func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })))
	if got, err := do(t.Context(), http.MethodGet, server.URL, http.NoBody); err == nil {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	if log.String() != "" {
		t.Errorf("the log says %s", log)
	}
}

// api serves all routes without a Temporal server.
func api(t *testing.T, change ...func(*Starter)) (url string, log *logtest.Buffer) {
	t.Helper()
	o, log := newOptions(t)
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	s := newStarter(t.Context(), t.Context(), o)
	for _, c := range change {
		c(s)
	}
	return handlers(t, s.routes()).URL, log
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	url, log := api(t)
	tests := []struct {
		name, header string
		ok           bool
	}{
		{"none", "", false},
		{"unknown", "Bearer pd_key_of_mallory", false},
		{"empty", "Bearer ", false},
		{"another scheme", "Basic " + apiKey, false},
		{"no scheme", apiKey, false},
		{"a prefix of the key", "Bearer " + apiKey[:5], false},
		{"right", "Bearer " + apiKey, true},
		{"right, in lower case and with spaces", "bearer  " + apiKey + " ", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// A body that is not JSON shows who came as far as to have it read.
			got, err := do(t.Context(), http.MethodPost, url+"/v1/responses", strings.NewReader("{"), "Authorization", tt.header)
			if err != nil {
				t.Fatal(err)
			}
			want := http.StatusUnauthorized
			if tt.ok {
				want = http.StatusBadRequest
			}
			if got.status != want {
				t.Errorf("HTTP %d with %s, want %d", got.status, got.body, want)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (challenge == "") != tt.ok {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
	t.Cleanup(func() {
		if strings.Contains(log.String(), "pd_key") {
			t.Errorf("the log shows a key: %s", log)
		}
	})
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	url, _ := api(t)
	tests := []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/v1/agent", 400, "invalid_request"},
		{"GET", "/v1/models", 200, `{"object":"list","data":[` +
			`{"id":"p/m","object":"model","created":0,"owned_by":"p"},{"id":"p/n","object":"model","created":0,"owned_by":"p"}]}`},
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"GET", "/readyz", 503, "the workflow service cannot be reached"},
		{"PUT", "/v1/responses", 405, "/v1/responses does not take PUT but GET or POST"},
		{"POST", "/v1/chat/completions", 404, "no such endpoint: POST /v1/chat/completions"},
		{"GET", "/", 404, "no such endpoint: GET /"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			t.Parallel()
			got, err := do(t.Context(), tt.method, url+tt.path, strings.NewReader("[]"), "Authorization", "Bearer "+apiKey)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status || !strings.Contains(got.body, tt.body) {
				t.Errorf("HTTP %d with %s", got.status, got.body)
			}
			if !strings.HasPrefix(got.header.Get("X-Request-Id"), "req_") {
				t.Error("no request ID")
			}
		})
	}
}

func TestTemporalAway(t *testing.T) {
	t.Parallel()
	url, _ := api(t)
	began := time.Now()
	got, err := post(t.Context(), url+"/v1/responses", `{"input":"hi"}`)
	if err != nil {
		t.Fatal(err)
	}
	if shown := got.failed(t); got.status != 503 || shown.Type != responses.ErrUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	if took := time.Since(began); took > startTimeout+5*time.Second {
		t.Errorf("the client waited %v", took)
	}
}

func TestNotReadyWhileStopping(t *testing.T) {
	t.Parallel()
	url, _ := api(t, func(s *Starter) {
		stopping, stop := context.WithCancel(t.Context())
		stop()
		s.stopping = stopping
	})
	got, err := do(t.Context(), http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != 503 || !strings.Contains(got.body, "this server is stopping") {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
}

// endless is a body that never ends, of white space, which no decoder refuses early.
type endless struct{ sent int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.sent += int64(len(p))
	return len(p), nil
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	url, _ := api(t)
	tooLarge := func(t *testing.T, got answer) {
		t.Helper()
		if shown := got.failed(t); got.status != 413 || shown.Type != responses.ErrPayloadTooLarge ||
			shown.Message != "the request body is larger than 32 MiB" {
			t.Errorf("HTTP %d with %s", got.status, got.body)
		}
	}
	t.Run("announced", func(t *testing.T) {
		t.Parallel()
		// It is refused for its length alone: nothing of it is ever sent.
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", apiKey, 33<<20)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		tooLarge(t, answer{resp.StatusCode, resp.Header, string(body)})
	})
	t.Run("chunked", func(t *testing.T) {
		t.Parallel()
		body := &endless{}
		got, err := do(t.Context(), http.MethodPost, url+"/v1/responses", io.LimitReader(body, 33<<20), "Authorization", "Bearer "+apiKey)
		if err != nil {
			t.Fatal(err)
		}
		tooLarge(t, got)
	})
	t.Run("shorter than announced", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", apiKey)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("HTTP %d", resp.StatusCode)
		}
	})
	t.Run("as large as allowed", func(t *testing.T) {
		t.Parallel()
		got, err := do(t.Context(), http.MethodPost, url+"/v1/responses", io.LimitReader(&endless{}, 32<<20), "Authorization", "Bearer "+apiKey)
		if err != nil {
			t.Fatal(err)
		}
		if got.status != http.StatusBadRequest { // white space is not a request
			t.Errorf("HTTP %d with %s", got.status, got.body)
		}
	})
}

func TestSlowClientsEnd(t *testing.T) {
	t.Parallel()
	t.Run("sending", func(t *testing.T) {
		t.Parallel()
		url, _ := api(t, func(s *Starter) { s.bodyTimeout = 100 * time.Millisecond })
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", apiKey)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("HTTP %d", resp.StatusCode)
		}
	})
	t.Run("reading", func(t *testing.T) {
		t.Parallel()
		o, log := newOptions(t)
		s := newStarter(t.Context(), t.Context(), o)
		s.answerTimeout = 100 * time.Millisecond
		left := make(chan struct{})
		server := handlers(t, s.guarded(s.handle(func(w http.ResponseWriter, r *http.Request) error {
			defer close(left)
			s.writeJSON(w, r, http.StatusOK, make([]byte, 64<<20))
			return nil
		})))
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-left
		if !strings.Contains(log.String(), "answer not delivered") {
			t.Errorf("the log says %s", log)
		}
	})
	// A body's deadline must not end a request that waits for its run, nor an answer's the next one on the connection.
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		o, _ := newOptions(t)
		s := newStarter(t.Context(), t.Context(), o)
		const deadline = 500 * time.Millisecond // enough for two bytes
		const longer = deadline + 100*time.Millisecond
		s.answerTimeout, s.bodyTimeout = deadline, deadline
		wait := func(w http.ResponseWriter, r *http.Request) error {
			if _, _, err := s.readBody(w, r, alice); err != nil {
				return err
			}
			select {
			case <-r.Context().Done():
				return errors.New("the client is taken to have left")
			case <-time.After(longer):
			}
			s.writeJSON(w, r, http.StatusOK, []byte("{}"))
			return nil
		}
		stream := func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "not JSON")
			return err
		}
		mux := http.NewServeMux()
		mux.Handle("/wait", s.handle(wait))
		mux.Handle("/stream", s.handle(stream))
		server := handlers(t, s.guarded(mux))
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for _, path := range []string{"/wait", "/stream"} {
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]", path)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: HTTP %d, error %v", path, resp.StatusCode, err)
			}
			resp.Body.Close()
			<-time.After(longer)
		}
	})
}
