package batchrun_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perdure/internal/apiclient"
)

// server is a double of the files and batches of a server. It has one batch, whose results a test gives.
type server struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	uploads  []string
	creates  []string // bodies, and behind them the key
	batches  map[string]string
	status   string
	total    int
	output   []byte
	failures []byte
	growing  bool // the files may get more
	began    bool // requests of the batch were run
	// meddle, if it is set, may answer a request itself.
	meddle func(w http.ResponseWriter, r *http.Request) bool
	polls  atomic.Int32
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, batches: map[string]string{}, status: "in_progress", growing: true}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/files", s.upload)
	mux.HandleFunc("GET /v1/files/{id}", s.file)
	mux.HandleFunc("GET /v1/files/{id}/content", s.content)
	mux.HandleFunc("POST /v1/batches", s.create)
	mux.HandleFunc("GET /v1/batches/{id}", s.batch)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		meddle := s.meddle
		s.mu.Unlock()
		if meddle == nil || !meddle(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) client() *apiclient.Client {
	s.t.Helper()
	c, err := apiclient.New(apiclient.Options{URL: s.URL, Patience: 10 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// with changes the double.
func (s *server) with(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// end ends the batch with these results and failures.
func (s *server) end(status, output, failures string) {
	s.with(func() { s.status, s.output, s.failures, s.growing = status, []byte(output), []byte(failures), false })
}

func (s *server) upload(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		s.refuse(w, 400, err.Error())
		return
	}
	f, _, err := r.FormFile("file")
	if err != nil || r.FormValue("purpose") != "batch" {
		s.t.Errorf("the upload has the purpose %q, %v", r.FormValue("purpose"), err)
		return
	}
	text, err := io.ReadAll(f)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads = append(s.uploads, string(text))
	s.total = bytes.Count(text, []byte("\n"))
	fmt.Fprintf(w, `{"id":"file-%d"}`, len(s.uploads))
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	key := r.Header.Get("Idempotency-Key")
	s.mu.Lock()
	s.creates = append(s.creates, string(body)+key)
	if was, again := s.batches[key]; key == "" || again && was != string(body) {
		s.mu.Unlock()
		s.refuse(w, 409, "another body")
		return
	}
	s.batches[key] = string(body)
	s.mu.Unlock()
	s.batch(w, r)
}

func (s *server) batch(w http.ResponseWriter, r *http.Request) {
	if id := r.PathValue("id"); id != "" && id != "batch_1" {
		s.refuse(w, 404, "no such batch")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls.Add(1)
	counts := map[string]int{
		"total": s.total, "completed": bytes.Count(s.output, []byte("\n")), "failed": bytes.Count(s.failures, []byte("\n")),
	}
	shown := map[string]any{
		"id": "batch_1", "status": s.status, "request_counts": counts, "output_file_id": "file-out", "error_file_id": "file-err",
	}
	if s.began {
		shown["in_progress_at"] = 1
	}
	if err := json.NewEncoder(w).Encode(shown); err != nil {
		s.t.Error(err)
	}
}

func (s *server) of(r *http.Request) []byte {
	if r.PathValue("id") == "file-err" {
		return bytes.Clone(s.failures)
	}
	return bytes.Clone(s.output)
}

func (s *server) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(w, `{"id":%q,"bytes":%d,"status":"processed"}`, r.PathValue("id"), len(s.of(r)))
}

func (s *server) content(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content := s.of(r)
	s.mu.Unlock()
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (s *server) refuse(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"type":"invalid_request","message":%q}}`, message)
}

// resultLines are so many lines of results.
func resultLines(count int) string {
	var b strings.Builder
	for n := range count {
		fmt.Fprintf(&b, `{"custom_id":"c%d"}`+"\n", n)
	}
	return b.String()
}
