package e2e

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"perdure/internal/modeltest"
)

// switchboard is the provider of the shared stack. It gives each test a model of its own: a model called gpt-5.5@NAME is the
// one that the test NAME has plugged in, which is asked for gpt-5.5.
type switchboard struct {
	http *httptest.Server
	mu   sync.Mutex
	to   map[string]http.Handler
}

var extension = regexp.MustCompile(`"model":"[^"@]*@([^"]+)"`)

func newSwitchboard() *switchboard {
	s := &switchboard{to: map[string]http.Handler{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

func (s *switchboard) url() string { return s.http.URL + "/v1" }

func (s *switchboard) close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// plug connects a model for the time of a test and reports, at its end, what the model did not expect.
func (s *switchboard) plug(t *testing.T, name string, model *modeltest.Server) {
	t.Helper()
	target, err := url.Parse(strings.TrimSuffix(model.URL(), "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to[name] != nil {
		t.Fatalf("two models are called %s", name)
	}
	s.to[name] = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		// A model that breaks its answer off is part of a test.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.to, name)
	})
}

func (s *switchboard) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the worker went away
	}
	match := extension.FindSubmatch(body)
	if match == nil {
		http.Error(w, "the model has no extension", http.StatusNotFound)
		return
	}
	name := string(match[1])
	s.mu.Lock()
	to := s.to[name]
	s.mu.Unlock()
	if to == nil {
		http.Error(w, "no model is plugged in under that name", http.StatusNotFound)
		return
	}
	body = bytes.Replace(body, []byte("@"+name+`"`), []byte(`"`), 1)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	to.ServeHTTP(w, r)
}
