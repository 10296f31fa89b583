package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestConnectorAuthorize: the address is printed, and the command ends when the state says so, whether nobody had authorized before or
// somebody had.
func TestConnectorAuthorize(t *testing.T) {
	t.Parallel()
	for name, states := range map[string][]string{
		"first time": {`"needs_auth","at":5`, `"needs_auth","at":5`, `"connected","at":9`},
		"again":      {`"connected","at":5`, `"connected","at":5`, `"connected","at":9`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var looks atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Method + " " + r.URL.Path {
				case "POST /v1/connectors/conn_1/authorize":
					fmt.Fprint(w, `{"authorization_url":"https://agents.example/authorize?connector=conn_1"}`)
				case "GET /v1/connectors/conn_1":
					n := min(int(looks.Add(1)), len(states)) - 1
					fmt.Fprintf(w, `{"id":"conn_1","name":"N","tag":"Connected","enabled":true,"status":{"state":%s}}`, states[n])
				default:
					t.Errorf("%s %s", r.Method, r.URL)
				}
			}))
			defer server.Close()
			code, out, errs := perdure(t.Context(), "connector", "authorize", "conn_1", "--server", server.URL)
			if want := "https://agents.example/authorize?connector=conn_1\nN (conn_1): Connected, enabled\n"; code != 0 || out != want {
				t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
			}
			if n := int(looks.Load()); n != len(states) {
				t.Errorf("it looked %d times", n)
			}
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"id":"conn_1","authorization_url":"https://agents.example/a","status":{"state":"needs_auth"}}`)
	}))
	t.Cleanup(server.Close)
	code, out, errs := perdure(t.Context(), "connector", "authorize", "conn_1", "--server", server.URL, "--within", "10ms")
	if code != 1 || out != "https://agents.example/a\n" || !strings.Contains(errs, "it was not authorized within 10ms") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
	if code, out, _ := perdure(t.Context(), "connector", "authorize", "conn_1", "--server", server.URL, "--no-wait"); code != 0 || out != "https://agents.example/a\n" {
		t.Errorf("without waiting: exit %d, stdout %q", code, out)
	}
}
