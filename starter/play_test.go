package starter

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	enumspb "go.temporal.io/api/enums/v1"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/workflows"
)

// testPages are pages of nothing but what pages do with runs.
func testPages(api *Starter, handle func(pattern string, h http.Handler)) {
	page := func(pattern string, h PageHandler) {
		handle(pattern, api.Page(h, func(w http.ResponseWriter, _ *http.Request, _ *identity.Principal, shown *responses.Error) {
			http.Error(w, shown.Error(), shown.Status)
		}))
	}
	page("POST /play/start", func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		form, done, err := api.ReadForm(w, r, who)
		if err != nil {
			return err
		}
		defer done()
		started, err := api.StartRun(w, r, who, []byte(form.Get("body")), form.Get("nonce"))
		if err == nil {
			_, err = io.WriteString(w, started.ID)
		}
		return err
	})
	page("GET /play/{id}/follow", func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		return api.FollowRun(w, r, who, r.PathValue("id"))
	})
	page("POST /play/{id}/stop", func(_ http.ResponseWriter, r *http.Request, who identity.Principal) error {
		return api.StopRun(r, who, r.PathValue("id"))
	})
	page("POST /play/{id}/delete", func(_ http.ResponseWriter, r *http.Request, who identity.Principal) error {
		return api.DeleteRun(r, who, r.PathValue("id"))
	})
	page("GET /play/{id}/asked", func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		response, input, err := api.AskedRun(r.Context(), who, r.PathValue("id"))
		if err == nil {
			_, err = fmt.Fprintf(w, "%s %s %d", response.ID, response.Status, len(input))
		}
		return err
	})
}

// newPlayed is a starter whose runs wait where they are in the background, and else say something.
func newPlayed(t *testing.T, change ...func(*Options)) *managed {
	t.Helper()
	return newManaged(t, append([]func(*Options){func(o *Options) {
		o.Temporal = lazy(t, temporaldevtest.Address(t), o.Logger)
		requireSearchAttributes(t, o.Temporal)
		w := sdkworker.New(o.Temporal, o.TaskQueue, sdkworker.Options{})
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			if in.Background {
				return waiting(ctx, in)
			}
			return saying("good morning")(ctx, in)
		}, workflow.RegisterOptions{Name: workflows.ResponseName})
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		o.Pages = testPages
	}}, change...)...)
}

const (
	aNonce       = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	anotherNonce = "ZYXWVUTSRQPONMLKJIHGFEDCBA"
)

func (b *browser) start(t *testing.T, body, nonce string) answer {
	t.Helper()
	return b.send(t, http.MethodPost, "/play/start", url.Values{"body": {body}, "nonce": {nonce}}.Encode())
}

// TestPagesStartRuns: a form is one run, however often it is sent.
func TestPagesStartRuns(t *testing.T) {
	t.Parallel()
	m := newPlayed(t)
	alice, bob := m.signedIn(t, "acme", "alice"), m.signedIn(t, "acme", "bob")
	first := alice.start(t, hello, aNonce)
	if first.status != http.StatusOK || !responses.IsResponseID(first.body) {
		t.Fatalf("HTTP %d with %s", first.status, first.body)
	}
	if again := alice.start(t, hello, aNonce); again.body != first.body {
		t.Errorf("sent again, the form is the run %s, not %s", again.body, first.body)
	}
	for name, other := range map[string]answer{
		"changed": alice.start(t, `{"input":"ho"}`, aNonce), "the next": alice.start(t, hello, anotherNonce), "another person's": bob.start(t, hello, aNonce),
	} {
		if other.status != http.StatusOK || other.body == first.body {
			t.Errorf("%s: HTTP %d with %s", name, other.status, other.body)
		}
	}
	for _, tt := range []struct {
		body, nonce string
		status      int
		says        string
	}{
		{`{"input":1}`, aNonce, http.StatusBadRequest, "input"},
		{`{"input":"x","model":"none/none"}`, aNonce, http.StatusBadRequest, "model"},
		{`{"input":"x","tools":[{"type":"mcp","server_label":"s","server_url":"http://10.0.0.1"}]}`, aNonce, http.StatusBadRequest, "tools[0].server_url"},
		{hello, "", http.StatusBadRequest, "load the page again"},
		{hello, "short", http.StatusBadRequest, "load the page again"},
		{hello, aNonce + "!", http.StatusBadRequest, "load the page again"},
	} {
		if a := alice.start(t, tt.body, tt.nonce); a.status != tt.status || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: HTTP %d with %s", tt.body, a.status, a.body)
		}
	}
	if a := alice.send(t, http.MethodPost, "/play/start", "body=x", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); a.status != http.StatusForbidden {
		t.Errorf("a page of another origin: HTTP %d with %s", a.status, a.body)
	}
	if a := m.newBrowser().start(t, hello, aNonce); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "nothing was changed") {
		t.Errorf("a stranger: HTTP %d with %s", a.status, a.body)
	}
}

// TestPagesFollowRuns: whose a run is decides who sees it, and what is not stored is seen by who started it alone.
func TestPagesFollowRuns(t *testing.T) {
	t.Parallel()
	m := newPlayed(t)
	alice, bob, eve := m.signedIn(t, "acme", "alice"), m.signedIn(t, "acme", "bob"), m.signedIn(t, "other", "eve")
	stored, fleeting := alice.start(t, hello, aNonce).body, alice.start(t, `{"input":"hi","store":false}`, aNonce).body
	awaitEnd := func(id string) string {
		a := alice.get(t, "/play/"+id+"/follow")
		if a.status != http.StatusOK || !strings.Contains(a.body, "event: response.completed") || !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
			t.Fatalf("HTTP %d with %s", a.status, a.body)
		}
		return a.body
	}
	whole := awaitEnd(stored)
	awaitEnd(fleeting)
	for id, whose := range map[string]map[*browser]int{
		stored:   {alice: http.StatusOK, bob: http.StatusOK, eve: http.StatusNotFound},
		fleeting: {alice: http.StatusOK, bob: http.StatusNotFound, eve: http.StatusNotFound},
		"resp_00000000-0000-8000-8000-000000000000": {alice: http.StatusNotFound}, "x": {alice: http.StatusNotFound},
	} {
		for who, want := range whose {
			for method, path := range map[string]string{"GET": "/asked", "POST": "/stop"} {
				if a := who.send(t, method, "/play/"+id+path, ""); a.status != want {
					t.Errorf("%s %s: HTTP %d with %s, want %d", method, path, a.status, a.body, want)
				}
			}
			a := who.get(t, "/play/"+id+"/follow")
			if a.status != want || want != http.StatusOK && a.failed(t).Type != responses.ErrNotFound {
				t.Errorf("follow: HTTP %d with %s, want %d", a.status, a.body, want)
			}
		}
	}
	if a := alice.get(t, "/play/"+stored+"/asked"); a.body != stored+" completed 1" {
		t.Errorf("asked: %s", a.body)
	}

	rest := alice.get(t, "/play/"+stored+"/follow?starting_after=1").body
	if !strings.HasSuffix(whole, rest) || !strings.Contains(rest, `"sequence_number":2`) || strings.Contains(rest, `"sequence_number":1,`) {
		t.Errorf("after an event: %s\nof %s", rest, whole)
	}
	for _, last := range []string{"-1", "x", "1.5"} {
		if a := alice.get(t, "/play/"+stored+"/follow?starting_after="+last); a.status != http.StatusBadRequest || a.failed(t).Param != "starting_after" {
			t.Errorf("after %q: HTTP %d with %s", last, a.status, a.body)
		}
	}
}

func TestPagesStopRuns(t *testing.T) {
	t.Parallel()
	m := newPlayed(t)
	alice := m.signedIn(t, "acme", "alice")
	id := alice.start(t, `{"input":"hi","background":true}`, aNonce).body
	for range 2 { // once more is no error
		if a := alice.send(t, http.MethodPost, "/play/"+id+"/stop", ""); a.status != http.StatusOK {
			t.Fatalf("HTTP %d with %s", a.status, a.body)
		}
	}
	m.wantCanceled(t, id)
}

// wantCanceled waits for the end of a run.
func (m *managed) wantCanceled(t *testing.T, id string) {
	t.Helper()
	r := &rig{temporal: m.starter.Temporal}
	if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING); got != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
		t.Errorf("the run is %s", got)
	}
}

// TestPagesStopWhatIsLost: a run under way whose request can no longer be read, by an accident of the storage, can be stopped.
func TestPagesStopWhatIsLost(t *testing.T) {
	t.Parallel()
	m := newPlayed(t, withDir(t.TempDir()))
	alice := m.signedIn(t, "acme", "alice")
	id := alice.start(t, `{"input":"hi","background":true,"instructions":"`+strings.Repeat("long ", inlineResponse)+`"}`, rand.Text()).body
	if err := m.starter.Blobs.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if a := alice.get(t, "/play/"+id+"/asked"); a.status != http.StatusInternalServerError {
		t.Fatalf("it can be read: HTTP %d with %s", a.status, a.body)
	}
	if a := alice.send(t, http.MethodPost, "/play/"+id+"/stop", ""); a.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	m.wantCanceled(t, id)
}

// TestRunsInTheAuditLog: an admin finds who has cancelled and who has deleted whose runs, at a page or by a key.
func TestRunsInTheAuditLog(t *testing.T) {
	t.Parallel()
	m := newPlayed(t)
	alice, bob := m.signedIn(t, "acme", "alice"), m.signedIn(t, "acme", "bob")
	start := func() string { return alice.start(t, `{"input":"hi","background":true}`, rand.Text()).body }
	atPage, byKey := start(), start()
	for _, action := range []string{"stop", "delete"} {
		if a := bob.send(t, http.MethodPost, "/play/"+atPage+"/"+action, ""); a.status != http.StatusOK {
			t.Fatalf("%s: HTTP %d with %s", action, a.status, a.body)
		}
	}
	m.as(t, "bob", http.MethodPost, "/v1/agent/"+byKey+"/cancel", "").want(t, http.StatusOK, "cancelling")
	m.as(t, "bob", http.MethodDelete, "/v1/responses/"+byKey, "").want(t, http.StatusOK)
	m.as(t, "bob", http.MethodDelete, "/v1/responses/"+byKey, "").want(t, http.StatusNotFound)
	for action, want := range map[string]int{"response.cancel": 2, "response.delete": 2} {
		found := map[string]string{}
		events := decoded[listOf[shownEvent]](t, m.as(t, "ann", http.MethodGet, "/v1/organization/audit_log?action="+action, "")).Data
		for _, e := range events {
			found[e.Target] = e.Key
			if e.User != "bob" || e.Detail["user"] != "alice" || e.Address != "127.0.0.1" {
				t.Errorf("%s: %+v", action, e)
			}
		}
		if len(events) != want || found[atPage] != "session:bob" || !strings.HasPrefix(found[byKey], "key_") {
			t.Errorf("%s: %+v", action, events)
		}
	}
}

// TestPagesAnswerScripts: what is refused before a page gets to see it is told to a script in JSON, and to all when to come again.
func TestPagesAnswerScripts(t *testing.T) {
	t.Parallel()
	m := newManaged(t, func(o *Options) {
		o.Pages = testPages
		o.KeyLimits = identity.Limits{RequestsPerMinute: 1, RequestBurst: 1}
	})
	const path = "/play/x/asked"
	alice := m.signedIn(t, "acme", "alice")
	alice.get(t, path)
	for _, accept := range []string{"application/json", "text/event-stream", "text/html"} {
		a := alice.send(t, http.MethodGet, path, "", "Accept", accept)
		if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: HTTP %d, to come again in %q", accept, a.status, a.header.Get("Retry-After"))
		}
		if accept != "text/html" && a.failed(t).Type != responses.ErrRateLimited {
			t.Errorf("%s: %s", accept, a.body)
		}
		stranger := m.newBrowser().send(t, http.MethodGet, path, "", "Accept", accept)
		if accept == "text/html" && stranger.status == http.StatusSeeOther {
			continue
		}
		if accept == "text/html" || stranger.failed(t).Type != responses.ErrUnauthorized {
			t.Errorf("%s: a stranger: HTTP %d with %s", accept, stranger.status, stranger.body)
		}
	}
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := alice.send(t, http.MethodGet, path, "", "Accept", "application/json"); a.failed(t).Status < http.StatusInternalServerError {
		t.Errorf("without a database: HTTP %d with %s", a.status, a.body)
	}
}

// TestLimitsOfNamesakes: members of two organizations who are called alike share no limit.
func TestLimitsOfNamesakes(t *testing.T) {
	t.Parallel()
	m := newPlayed(t, func(o *Options) {
		o.KeyLimits = identity.Limits{RequestsPerMinute: 1, RequestBurst: 1, ConcurrentRuns: 1}
	})
	if _, err := m.store.AddMember(t.Context(), identity.Operator("other"), "alice", "", identity.Member); err != nil {
		t.Fatal(err)
	}
	one, two := m.signedIn(t, "acme", "alice"), m.signedIn(t, "other", "alice")
	const running = `{"input":"hi","background":true}`
	nonce := rand.Text()
	for whose, b := range map[string]*browser{"one": one, "the other": two} {
		if a := b.start(t, running, nonce); a.status != http.StatusOK {
			t.Errorf("%s: HTTP %d with %s", whose, a.status, a.body)
		}
		if a := b.start(t, running, nonce); a.status != http.StatusTooManyRequests {
			t.Errorf("%s, again: HTTP %d with %s", whose, a.status, a.body)
		}
	}
	// Nor are the runs of the one counted as those of the other, once Temporal has both.
	count := func(organization string) int {
		return must(m.starter.countRuns(t.Context(), identity.Principal{Organization: organization, Key: "session:alice"}, time.Now().Add(time.Hour)))
	}
	deadline := time.Now().Add(patience)
	for count("acme") == 0 || count("other") == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the runs are not counted")
		}
		<-time.After(50 * time.Millisecond)
	}
	if acme, other := count("acme"), count("other"); acme != 1 || other != 1 {
		t.Errorf("%d and %d runs are counted, want one each", acme, other)
	}
}

// TestPagesGoOn: a page goes on with what is not stored, as a WebSocket does, for the person who started it alone; a key does not, in OpenAI's
// dialect.
func TestPagesGoOn(t *testing.T) {
	t.Parallel()
	m := newPlayed(t, func(o *Options) { o.Dialect = responses.DialectOpenAI })
	alice := m.signedIn(t, "acme", "alice")
	id := alice.start(t, `{"input":"hi","store":false}`, aNonce).body
	alice.get(t, "/play/"+id+"/follow") // until its end
	next := fmt.Sprintf(`{"input":"and?","previous_response_id":%q}`, id)
	if a := alice.start(t, next, aNonce); a.status != http.StatusOK {
		t.Errorf("a page: HTTP %d with %s", a.status, a.body)
	}
	if a, err := do(t.Context(), http.MethodPost, m.URL+"/v1/responses", strings.NewReader(next), "Authorization", "Bearer "+m.keys["alice"]); err != nil || a.status != http.StatusBadRequest {
		t.Errorf("a key: HTTP %d with %s, %v", a.status, a.body, err)
	}
	if a := m.signedIn(t, "acme", "bob").start(t, next, anotherNonce); a.status != http.StatusBadRequest || !strings.Contains(a.body, "not found") {
		t.Errorf("another member: HTTP %d with %s", a.status, a.body)
	}
}

// TestPagesGoOnWithTheirOwn is the same in our own dialect, in which a key may go on with what is not stored.
func TestPagesGoOnWithTheirOwn(t *testing.T) {
	t.Parallel()
	m := newPlayed(t)
	alice := m.signedIn(t, "acme", "alice")
	id := alice.start(t, `{"input":"hi, mine","store":false}`, aNonce).body
	alice.get(t, "/play/"+id+"/follow")
	next := fmt.Sprintf(`{"input":"and mine?","previous_response_id":%q}`, id)
	if a := m.signedIn(t, "acme", "bob").start(t, next, aNonce); a.status != http.StatusBadRequest {
		t.Errorf("another member: HTTP %d with %s", a.status, a.body)
	}
	if a := alice.start(t, next, aNonce); a.status != http.StatusOK {
		t.Errorf("the member: HTTP %d with %s", a.status, a.body)
	}
}

// TestSessionsStartNothing: on /v1 a session is nobody, for a WebSocket as for a request, from our own pages as from others.
func TestSessionsStartNothing(t *testing.T) {
	t.Parallel()
	m := newPlayed(t)
	alice := m.signedIn(t, "acme", "alice")
	for _, origin := range []string{m.URL, "https://evil.example"} {
		if a := alice.send(t, http.MethodPost, "/v1/responses", hello, "Origin", origin, "Content-Type", "application/json"); a.status != http.StatusUnauthorized {
			t.Errorf("from %s: HTTP %d with %s", origin, a.status, a.body)
		}
		//nolint:bodyclose // Dial reads it
		conn, resp, err := websocket.Dial(t.Context(), m.URL+"/v1/responses", &websocket.DialOptions{
			HTTPClient: alice.Client, HTTPHeader: http.Header{"Origin": {origin}},
		})
		if err == nil {
			_ = conn.CloseNow()
		}
		if resp == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a WebSocket from %s: %+v, %v", origin, resp, err)
		}
	}
	if strings.Contains(m.log.String(), "run started") {
		t.Error("a run was started")
	}
}
