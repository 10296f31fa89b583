package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The calls of the API that several tests make.

// send makes a request of a stack. The path is that after /v1; the headers are pairs.
func (s *stack) send(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := send(t.Context(), method, s.url+"/v1"+path, apiKey, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// send makes a request with headers, which are pairs.
func send(ctx context.Context, method, url, key, body string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := newRequest(ctx, method, url, key, body, headers...)
	if err != nil {
		return answer{}, err
	}
	return do(r)
}

// sendAgain is send for a call that is not under test: it obeys Retry-After, as SDKs do. The Temporal that all tests share may take so
// long for one call that it counts as away for a moment.
func (s *stack) sendAgain(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); ; {
		a := s.send(t, method, path, body, headers...)
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if a.status != http.StatusServiceUnavailable || err != nil || time.Now().After(deadline) {
			return a
		}
		<-time.After(time.Duration(seconds) * time.Second)
	}
}

// create starts a run, and only one, and returns its response.
func (s *stack) create(t *testing.T, body []byte) response {
	t.Helper()
	return s.sendAgain(t, http.MethodPost, "/responses", string(body), "Idempotency-Key", uuid.NewString()).decode(t)
}

// get returns a response as it is now.
func (s *stack) get(t *testing.T, id string) response {
	t.Helper()
	return s.sendAgain(t, http.MethodGet, "/responses/"+id, "").decode(t)
}

// awaitStatus polls a response until it has a status.
func (s *stack) awaitStatus(t *testing.T, id, status string) response {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		r := s.get(t, id)
		if r.Status == status {
			return r
		}
		if r.Status != "queued" && r.Status != "in_progress" {
			t.Fatalf("the response is %s, want %s", r.Status, status)
		}
		select {
		case <-deadline:
			t.Fatalf("the response is %s after %v, want %s", r.Status, startTimeout, status)
		case <-time.After(pollEvery):
		}
	}
}

// refused checks that an answer is an error with a status, and that its message says the words.
func refused(t *testing.T, a answer, status int, words string) {
	t.Helper()
	if a.status != status || !strings.Contains(string(a.body), words) {
		t.Errorf("got status %d, want %d with %q: %s", a.status, status, words, a.body)
	}
}

// plugName is the name of the model that a test has plugged in with [ask].
func plugName(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
}

// wireItems are the items of a response that must be there.
func wireItems(t *testing.T, a answer) []wireItem {
	t.Helper()
	var r struct{ Output []wireItem }
	if err := json.Unmarshal(a.body, &r); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	return r.Output
}
