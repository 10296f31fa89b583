package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// double is a server that answers each request, METHOD /path, by a function, and counts them.
type double struct {
	*httptest.Server

	mu    sync.Mutex
	asked map[string]int
}

func newDouble(t *testing.T, answers map[string]http.HandlerFunc) *double {
	t.Helper()
	d := &double{asked: map[string]int{}}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + r.URL.Path
		d.mu.Lock()
		d.asked[what]++
		d.mu.Unlock()
		answer := answers[what]
		if answer == nil {
			t.Errorf("there is no answer to %s", what)
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

// times is how often something was asked for.
func (d *double) times(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[what]
}

// says is an answer with a status and a body, and headers as pairs.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// sent is an answer of events, each with its type and members, and the mark of the end if it is whole.
func sent(w http.ResponseWriter, whole bool, events ...[2]string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n, e := range events {
		fmt.Fprintf(w, "data: {\"type\":%q,\"sequence_number\":%d,%s}\n\n", e[0], n, e[1])
	}
	if whole {
		fmt.Fprint(w, "data: [DONE]\n\n")
	}
	_ = http.NewResponseController(w).Flush()
}

// until is a writer that does something once what is written has a text.
type until struct {
	mu   sync.Mutex
	all  strings.Builder
	text string
	do   func()
}

// Write implements [io.Writer].
func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all.Write(p)
	if u.do != nil && strings.Contains(u.all.String(), u.text) {
		u.do()
		u.do = nil
	}
	return len(p), nil
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all.String()
}
