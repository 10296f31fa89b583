package demo_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/demo"
)

func TestServerServesUntilContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := demo.Open(ctx, demo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	if want := "http://127.0.0.1:"; !strings.HasPrefix(s.Origin(), want) {
		t.Errorf("origin %q, want it to begin with %q", s.Origin(), want)
	}
	for url, want := range map[string]int{
		s.ModelBaseURL() + "/models":    http.StatusOK,
		s.MCPURL():                      http.StatusMethodNotAllowed, // without sessions there is nothing to GET
		s.GitHubMCPURL():                http.StatusUnauthorized,
		s.GitHubMCPURL() + "/":          http.StatusUnauthorized,
		s.Origin() + "/v1/embeddings":   http.StatusNotFound,
		s.Origin() + "/no/such/page":    http.StatusNotFound,
		s.ModelBaseURL() + "/models?x=": http.StatusOK,
	} {
		if got := getStatus(t, url); got != want {
			t.Errorf("GET %s: status %d, want %d", url, got, want)
		}
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after Run: %v", err)
	}
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.Origin(), "http://"), time.Second); err == nil {
		_ = conn.Close()
		t.Error("the port is still open after Run")
	}
}

func TestServerDrainsStreams(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := demo.Open(ctx, demo.Options{ChunkDelay: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	resp := post(t, s.ModelBaseURL()+"/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`)
	if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel() // in the middle of the answer
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream was cut: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServerCloseEndsRun(t *testing.T) {
	t.Parallel()
	s, err := demo.Open(t.Context(), demo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestOpenTakenPort(t *testing.T) {
	t.Parallel()
	s, err := demo.Open(t.Context(), demo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	other, err := demo.Open(t.Context(), demo.Options{Addr: strings.TrimPrefix(s.Origin(), "http://")})
	if err == nil {
		_ = other.Close()
		t.Fatal("a taken port was opened again")
	}
}

func getStatus(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

// post sends JSON. The body of the answer is closed when the test ends.
func post(t *testing.T, url, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}
