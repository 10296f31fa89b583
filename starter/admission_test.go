package starter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

// withLimits gives alice's key limits. The other key has none.
func withLimits(limits identity.Limits) func(*Options) {
	return func(o *Options) {
		limited := alice
		limited.Limits = limits
		o.Keys = must(identity.NewKeyring(map[identity.KeyHash]identity.Principal{
			identity.HashKey(apiKey): limited, identity.HashKey(otherKey): {Organization: "other", User: "eve", Key: "eve", Scopes: identity.AllScopes},
		}))
	}
}

// as sends a request with a key.
func as(t *testing.T, key, method, url, body string, header ...string) answer {
	t.Helper()
	a, err := do(t.Context(), method, url, strings.NewReader(body), append([]string{"Authorization", "Bearer " + key}, header...)...)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, apiMux(), method, url, a)
	return a
}

// refused wants a refusal that says when to come again.
func refused(t *testing.T, a answer, status int, text string) {
	t.Helper()
	shown := a.failed(t)
	kind := map[int]string{http.StatusTooManyRequests: responses.ErrRateLimited, http.StatusServiceUnavailable: responses.ErrUnavailable}[status]
	if a.status != status || shown.Type != kind || !strings.Contains(shown.Message, text) {
		t.Fatalf("HTTP %d, want %d and %q: %s", a.status, status, text, a.body)
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	milliseconds, err2 := strconv.Atoi(a.header.Get("Retry-After-Ms"))
	if err := errors.Join(err, err2); err != nil || seconds < 1 || milliseconds < 1 || seconds*1000 < milliseconds {
		t.Errorf("Retry-After %q, Retry-After-Ms %q", a.header.Get("Retry-After"), a.header.Get("Retry-After-Ms"))
	}
}

// count asks for the tokens of a request, for which Temporal is not needed.
const countPath = "/v1/responses/input_tokens"

func TestRateOfKey(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	withLimits(identity.Limits{RequestsPerMinute: 2, RequestBurst: 2})(&o)
	url := handlers(t, newStarter(t.Context(), t.Context(), o).routes()).URL
	for _, remaining := range []string{"1", "0"} {
		a := as(t, apiKey, http.MethodPost, url+countPath, hello)
		if a.status != http.StatusOK || a.header.Get("X-Ratelimit-Limit-Requests") != "2" || a.header.Get("X-Ratelimit-Remaining-Requests") != remaining {
			t.Errorf("HTTP %d, %s of %s left", a.status, a.header.Get("X-Ratelimit-Remaining-Requests"), a.header.Get("X-Ratelimit-Limit-Requests"))
		}
		if reset, err := time.ParseDuration(a.header.Get("X-Ratelimit-Reset-Requests")); err != nil || reset <= 0 || reset > time.Minute {
			t.Errorf("everything is there again in %v, error %v", reset, err)
		}
	}
	// Whatever it asks for, and whichever way.
	for _, path := range []string{countPath, "/v1/responses", "/v1/agent/compact", "/v1/conversations"} {
		a := as(t, apiKey, http.MethodPost, url+path, hello)
		refused(t, a, http.StatusTooManyRequests, "2 requests a minute")
		if wait, _ := strconv.Atoi(a.header.Get("Retry-After")); wait < 20 || wait > 30 {
			t.Errorf("a token comes every 30 s, and the client is told to wait %d s", wait)
		}
	}
	// What others may do is their own affair.
	for range 10 {
		a := as(t, otherKey, http.MethodPost, url+countPath, hello)
		if a.status != http.StatusOK || a.header.Get("X-Ratelimit-Limit-Requests") != "" {
			t.Errorf("a key without limit: HTTP %d, %v", a.status, a.header)
		}
	}
	if a := as(t, "wrong", http.MethodPost, url+countPath, hello); a.status != http.StatusUnauthorized {
		t.Errorf("HTTP %d for a wrong key", a.status)
	}
}

// Requests that are being answered are bounded for each key: those that wait for a run, streams and WebSockets alike.
func TestOpenRequests(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.OpenRequests = 3 })
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	dialSocket(t, r.url+"/v1/responses")
	stream := r.open(t, `{"input":"hi","stream":true,"background":true}`)
	defer stream.Close()
	waits := r.request(ctx)
	awaitCount(t, r.log, "run started", 2)
	nobodys := r.url + "/v1/responses/resp_" + uuid.NewString()
	refused(t, as(t, apiKey, http.MethodGet, nobodys, ""), http.StatusTooManyRequests, "3 requests open")
	if a := as(t, otherKey, http.MethodGet, nobodys, ""); a.status != http.StatusNotFound {
		t.Errorf("another key: HTTP %d with %s", a.status, a.body)
	}
	leave()
	<-waits
	eventually(t, "there is room again", func() bool { return as(t, apiKey, http.MethodGet, nobodys, "").status == http.StatusNotFound })
}

// open posts a request and returns its answer's body when its headers are there.
func (r *rig) open(t *testing.T, body string) io.ReadCloser {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/responses", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d", resp.StatusCode)
	}
	return resp.Body
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it does not hold that %s", patience, what)
		}
	}
}

// awaitCount waits until the log holds text n times.
func awaitCount(t *testing.T, log fmt.Stringer, text string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the log says %q %d times", text, n), func() bool { return strings.Count(log.String(), text) >= n })
}

// A key may have so many runs under way, whichever starter they came through.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	limits := withLimits(identity.Limits{ConcurrentRuns: 2})
	one := serve(t, waiting, limits)
	two := serve(t, nil, func(o *Options) { *o = one.options })
	background := `{"input":"hi","background":true}`
	key := uuid.NewString()
	create := func(r *rig, body string, header ...string) answer {
		return as(t, apiKey, http.MethodPost, r.url+"/v1/responses", body, header...)
	}
	first := create(one, background).response(t).ID
	second := create(one, background, "Idempotency-Key", key).response(t).ID
	refused(t, create(one, background), http.StatusTooManyRequests, "2 runs under way")
	refused(t, as(t, apiKey, http.MethodPost, one.url+"/v1/responses/compact", `{"input":"hi","model":"p/m"}`), http.StatusTooManyRequests, "2 runs under way")
	// One that is under way already needs no place, wherever it is asked for.
	if got := create(one, background, "Idempotency-Key", key).response(t).ID; got != second {
		t.Errorf("the same request again is %s, want %s", got, second)
	}
	// The other starter learns of them when they are in the count.
	eventually(t, "the other starter counts them", func() bool {
		n, err := (&Intake{Options: two.options}).countRuns(t.Context(), must2(two.options.Keys.Authenticate(apiKey)), time.Now())
		return err == nil && n == 2
	})
	<-time.After(2100 * time.Millisecond) // the count is of runs that began two seconds ago
	refused(t, create(two, background), http.StatusTooManyRequests, "2 runs under way")
	if got := create(two, background, "Idempotency-Key", key).response(t).ID; got != second {
		t.Errorf("the same request again is %s, want %s", got, second)
	}
	if a := as(t, otherKey, http.MethodPost, two.url+"/v1/responses", background); a.status != http.StatusOK {
		t.Errorf("another key: HTTP %d with %s", a.status, a.body)
	}
	if err := one.temporal.SignalWorkflow(t.Context(), first, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*rig{one, two} {
		var third string
		eventually(t, "there is room for a run", func() bool {
			a := create(r, background)
			if a.status == http.StatusOK {
				third = a.response(t).ID
			}
			return third != ""
		})
		if err := one.temporal.SignalWorkflow(t.Context(), third, "", "go", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// must2 is must for those that say whether.
func must2[T any](v T, ok bool) T {
	if !ok {
		panic("there is none")
	}
	return v
}

// Whoever has the answer of a run may ask for the next one at once, although the count is late.
func TestRunsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	r := serve(t, func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		return outcome(in, responses.ResponseCompleted), nil
	}, withLimits(identity.Limits{ConcurrentRuns: 1}))
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		r.create(t, hello).response(t)
	}
	// A run that was refused for another reason has left its place.
	for range 3 {
		if a := r.create(t, `{"input":"hi","previous_response_id":"resp_`+uuid.NewString()+`"}`); a.status != http.StatusBadRequest {
			t.Errorf("HTTP %d with %s", a.status, a.body)
		}
	}
	r.create(t, hello).response(t)
}

// On a WebSocket each request counts, and its refusal ends nothing.
func TestLimitsOnSocket(t *testing.T) {
	t.Parallel()
	r := serve(t, saying("yes"), withLimits(identity.Limits{RequestsPerMinute: 3, RequestBurst: 3}), func(o *Options) {
		o.Dialect = responses.DialectOpenAI
	})
	c := dialSocket(t, r.url+"/v1/responses") // is a request itself
	const create = `{"type":"response.create","input":"hi"}`
	for range 2 {
		if events := c.turn(create); events[len(events)-1].Type != "response.completed" {
			t.Errorf("events %+v", events)
		}
	}
	if e := c.turn(create)[0]; e.Type != "error" || e.Status != http.StatusTooManyRequests || e.Error.Code != "rate_limit_exceeded" {
		t.Errorf("event %+v", e)
	}
	c.send(create)
	if e, err := c.next(); err != nil || e.Status != http.StatusTooManyRequests {
		t.Errorf("event %+v, error %v", e, err)
	}
}

func TestConcurrentRunsOnSocket(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, withLimits(identity.Limits{ConcurrentRuns: 1}))
	one, two := dialSocket(t, r.url+"/v1/responses"), dialSocket(t, r.url+"/v1/responses")
	const create = `{"type":"response.create","input":"hi"}`
	one.send(create)
	id := r.started(t)
	if e := two.turn(create)[0]; e.Status != http.StatusTooManyRequests || !strings.Contains(e.Error.Message, "1 runs under way") {
		t.Errorf("event %+v", e)
	}
	if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	if events := one.rest(); events[len(events)-1].Type != "response.completed" {
		t.Errorf("events %+v", events)
	}
	two.send(create)
	awaitCount(t, r.log, "run started", 2)
	if err := two.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

// A panic takes nothing with it that others need.
func TestPanicGivesBack(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	o.Limits.OpenRequests, o.Limits.BodyMemory = 1, 2<<20
	o.Catalog = nil // whoever resolves a model panics
	s := newStarter(t.Context(), t.Context(), o)
	url := handlers(t, s.routes()).URL
	for _, path := range []string{"/v1/responses", "/v1/responses/compact", countPath, "/v1/agent"} {
		if a := as(t, apiKey, http.MethodPost, url+path, `{"input":"hi","model":"p/m"}`); a.status != http.StatusInternalServerError {
			t.Errorf("%s: HTTP %d with %s", path, a.status, a.body)
		}
	}
	c := dialSocket(t, url+"/v1/responses")
	for range 3 { // the first one ends the socket, perhaps before the others are sent
		_ = c.conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"response.create","input":"hi"}`))
	}
	if _, err := c.next(); err == nil {
		t.Error("the socket outlived the panic")
	}
	awaitCount(t, log, "handler panicked", 5)
	eventually(t, "everything was given back", func() bool {
		if s.gates.open.Take(alice.Account(), 1) != nil {
			return false
		}
		s.gates.open.Give(alice.Account(), 1)
		if s.gates.bodies.Take(alice.Account(), 1<<20) != nil {
			return false
		}
		s.gates.bodies.Give(alice.Account(), 1<<20)
		return true
	})
}
