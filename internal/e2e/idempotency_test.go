package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"perdure/internal/modeltest"
)

// sendLater posts a request for a response and returns at once.
func (s *stack) sendLater(t *testing.T, starter, key, body string, headers ...string) <-chan result {
	t.Helper()
	later := make(chan result, 1)
	go func() {
		a, err := send(t.Context(), http.MethodPost, starter+"/v1/responses", key, body, headers...)
		later <- result{a, err}
	}()
	return later
}

func (r result) must(t *testing.T) answer {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.answer
}

// TestSameKeyAtTheSameTime: two requests with one key are one run, and both get its answer.
func TestSameKeyAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	for name, members := range map[string]string{
		"synchronous": `"stream": false`, "stream": `"stream": true`, "background": `"background": true`,
		"stream in the background": `"background": true, "stream": true`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine := ownRuns(t)
			release := make(chan struct{})
			// A second run would ask for a second reply.
			body := string(ask(t, modeltest.New(modeltest.Text(inPieces).HoldAfter(4, release)), `"input": "x", %s`, members))
			key := uuid.NewString()
			var answers []<-chan result
			for range 2 {
				answers = append(answers, s.sendLater(t, s.url, apiKey, body, "Idempotency-Key", key))
			}
			id := s.awaitListed(t, mine, 1)[0].ID
			a := s.send(t, http.MethodPost, "/responses", strings.Replace(body, `"x"`, `"y"`, 1), "Idempotency-Key", key)
			refused(t, a, http.StatusConflict, "Idempotency-Key")
			if got := a.header.Get("X-Should-Retry"); got != "false" {
				t.Errorf("X-Should-Retry is %q, so that clients would try again in vain", got)
			}
			close(release)
			var got []string
			for _, later := range answers {
				a := (<-later).must(t)
				if a.status != http.StatusOK || !strings.Contains(string(a.body), `"id":"`+id+`"`) {
					t.Fatalf("status %d, want the response %s: %s", a.status, id, a.body)
				}
				got = append(got, string(a.body))
			}
			s.awaitStatus(t, id, "completed")
			if got[0] != got[1] {
				t.Errorf("the answers differ:\n%s\n%s", got[0], got[1])
			}
			if strings.Contains(members, `"background"`) {
				got = got[:0] // it was answered before there was a text
			}
			for _, body := range got {
				if !strings.Contains(body, inPieces) {
					t.Errorf("the answer lacks the text: %s", body)
				}
			}
			// The run is over, and the key still stands for it.
			if a := s.send(t, http.MethodPost, "/responses", body, "Idempotency-Key", key); !strings.Contains(string(a.body), id) {
				t.Errorf("sent again: status %d: %s", a.status, a.body)
			}
			if n := len(s.list(t, mine).Data); n != 1 {
				t.Errorf("there are %d runs, want one", n)
			}
		})
	}
}

// TestKeysBelongToTenants: the same key and body of another organization is another run.
func TestKeysBelongToTenants(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	key := uuid.NewString()
	body := string(ask(t, modeltest.New(modeltest.Text("one"), modeltest.Text("two")), `"input": "x"`))
	ids := map[string]bool{}
	for _, caller := range []string{apiKey, otherKey} {
		r := (<-s.sendLater(t, s.url, caller, body, "Idempotency-Key", key)).must(t).decode(t)
		ids[r.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("the organizations share the run %v", ids)
	}
}

// TestBadKeys pins which headers are refused.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	for _, key := range []string{"", strings.Repeat("k", 256), "kéy"} {
		a := s.send(t, http.MethodPost, "/responses", `{"input": "x"}`, "Idempotency-Key", key)
		refused(t, a, http.StatusBadRequest, "Idempotency-Key")
	}
}

// TestStarterKilledAfterAccepting: the client does not know whether its request was accepted, sends it to another starter, and gets the
// answer of the first run.
func TestStarterKilledAfterAccepting(t *testing.T) {
	t.Parallel()
	s, second := twoStarters(t)
	for _, stream := range []string{"false", "true"} {
		release := make(chan struct{})
		model := modeltest.New(modeltest.Text(inPieces).HoldAfter(4, release))
		mine := ownRuns(t) + stream
		name := plugName(t) + stream
		suite.models.plug(t, name, model)
		body := `{"model": "openai/gpt-5.5@` + name + `", "input": "x", "stream": ` + stream + `}`
		key := uuid.NewString()
		lost := s.sendLater(t, s.url, apiKey, body, "Idempotency-Key", key)
		if _, err := model.WaitRequest(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		id := s.awaitListed(t, mine, 1)[0].ID
		s.starter.kill()
		if r := <-lost; r.err == nil {
			t.Errorf("the client of a starter that was killed got %d: %s", r.status, r.body)
		}
		again := s.sendLater(t, second, apiKey, body, "Idempotency-Key", key)
		close(release)
		a := (<-again).must(t)
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"id":"`+id+`"`) || !strings.Contains(string(a.body), inPieces) {
			t.Errorf("status %d, want the response %s: %s", a.status, id, a.body)
		}
		if n := len(model.Requests()); n != 1 {
			t.Errorf("the model was asked %d times, want once", n)
		}
		if err := s.startStarter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
