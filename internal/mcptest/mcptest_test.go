package mcptest_test

import (
	"net/http"
	"strings"
	"testing"

	"perdure/internal/mcptest"
)

func post(t *testing.T, url, body string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestHostileReportsWhatItDidNotExpect(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"jsonrpc":"2.0","id":1,"method":"no/such"}`, `no JSON`, `{"jsonrpc":"2.0","id":1,"result":{}}`} {
		h := mcptest.NewHostile()
		if status := post(t, h.URL(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); status != http.StatusOK {
			t.Errorf("an expected request got status %d", status)
		}
		post(t, h.URL(), body)
		if err := h.Close(); err == nil {
			t.Errorf("%s was not reported", body)
		}
		if n := len(h.Requests()); n != 2 {
			t.Errorf("%d requests were recorded, want 2", n)
		}
	}
}

func TestServerReportsMissingIdempotencyKey(t *testing.T) {
	t.Parallel()
	call := func(meta string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"append","arguments":{"line":"x"},"_meta":{` + meta + `}}}`
	}
	tests := map[string]struct {
		body, header string
		wantErr      bool
	}{
		"both":        {call(`"perdure.dev/idempotency-key":"k"`), "k", false},
		"none":        {call(``), "", true},
		"only header": {call(``), "k", true},
		"only meta":   {call(`"perdure.dev/idempotency-key":"k"`), "", true},
		"different":   {call(`"perdure.dev/idempotency-key":"k"`), "j", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mcptest.NewServer(mcptest.ServerOptions{Stateless: true, JSONResponse: true})
			post(t, s.URL(), test.body, "Idempotency-Key", test.header)
			if n := s.Calls("append"); n != 1 {
				t.Errorf("append was called %d times, want once", n)
			}
			if err := s.Close(); (err != nil) != test.wantErr {
				t.Errorf("got error %v, want one: %v", err, test.wantErr)
			}
		})
	}
}

func TestServerAsksForBearer(t *testing.T) {
	t.Parallel()
	s := mcptest.NewServer(mcptest.ServerOptions{Bearer: "token", Stateless: true, JSONResponse: true})
	defer s.Close()
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	if status := post(t, s.URL(), list); status != http.StatusUnauthorized {
		t.Errorf("without the token: status %d", status)
	}
	if status := post(t, s.URL(), list, "Authorization", "Bearer token"); status != http.StatusOK {
		t.Errorf("with the token: status %d", status)
	}
}
