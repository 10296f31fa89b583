package apiclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/apiclient"
	"perdure/internal/secret"
)

const key = "pd_canary_of_the_client"

// server is a double that answers by a script, one entry for each request.
type server struct {
	*httptest.Server
	asked  atomic.Int32
	client *apiclient.Client
}

func serve(t *testing.T, script ...http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(s.asked.Add(1))
		if got := r.Header.Get("Authorization"); got != "Bearer "+key {
			t.Errorf("request %d has the authorization %q", n, got)
		}
		if n > len(script) {
			t.Errorf("request %d is one too many: %s %s", n, r.Method, r.URL)
			return
		}
		script[n-1](w, r)
	}))
	t.Cleanup(s.Close)
	s.client = newClient(t, s.URL)
	return s
}

func newClient(t *testing.T, url string) *apiclient.Client {
	t.Helper()
	c, err := apiclient.New(apiclient.Options{URL: url, Key: secret.New(key), Patience: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer is an answer with a status, a body, and headers as pairs.
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func refusal(kind, message string) string {
	return fmt.Sprintf(`{"error":{"type":%q,"message":%q}}`, kind, message)
}

var (
	ok   = answer(200, `{"id":"x"}`)
	busy = answer(503, refusal("service_unavailable", "busy"), "Retry-After-Ms", "1", "X-Should-Retry", "true")
	// late is of a server that may have done what it was asked for: something that it needs went away meanwhile.
	late = answer(503, refusal("service_unavailable", "the database cannot be reached"), "Retry-After-Ms", "1")
	// broken breaks the connection off after the request was read.
	broken = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
)

// TestRepeats pins which requests are sent again, and which must not be.
func TestRepeats(t *testing.T) {
	t.Parallel()
	get := apiclient.Request{Method: "GET", Path: "/v1/x"}
	post := apiclient.Request{Method: "POST", Path: "/v1/x", Body: map[string]int{"a": 1}}
	keyed := post
	keyed.Key = "k"
	action := post
	action.Repeatable = true
	proxy := answer(503, "<html>no upstream</html>")
	tests := []struct {
		name    string
		request apiclient.Request
		script  []http.HandlerFunc
		fails   string // part of the error; empty for none
	}{
		{"GET when busy", get, []http.HandlerFunc{busy, busy, ok}, ""},
		{"POST when busy: nothing was done", post, []http.HandlerFunc{busy, ok}, ""},
		{"POST that was perhaps done", post, []http.HandlerFunc{late}, "the database cannot be reached: it may have been done all the same"},
		{"keyed POST that was perhaps done", keyed, []http.HandlerFunc{late, ok}, ""},
		{"rate", post, []http.HandlerFunc{answer(429, refusal("request_rate_limit_exceeded", "slow"), "Retry-After-Ms", "1"), ok}, ""},
		{"GET through a proxy that is up before its server", get, []http.HandlerFunc{proxy, answer(502, ""), answer(504, "x"), ok}, ""},
		{"POST through a proxy: it may have been done", post, []http.HandlerFunc{proxy}, "answered 503"},
		{"keyed POST through a proxy", keyed, []http.HandlerFunc{proxy, ok}, ""},
		{"GET that was cut off", get, []http.HandlerFunc{ok, broken, ok}, ""},
		{"POST that was cut off: it may have been done", post, []http.HandlerFunc{broken}, "lost the connection"},
		{"keyed POST that was cut off", keyed, []http.HandlerFunc{broken, ok}, ""},
		{"action that was cut off", action, []http.HandlerFunc{broken, ok}, ""},
		{"a server that fails, not for ever", get, []http.HandlerFunc{answer(500, refusal("internal_error", "oops")), answer(500, refusal("internal_error", "oops")), answer(500, refusal("internal_error", "oops"))}, "oops"},
		{"what the client did wrong", get, []http.HandlerFunc{answer(400, refusal("invalid_request", "no"))}, "no"},
		{"a conflict", keyed, []http.HandlerFunc{answer(409, refusal("conflict", "another body"), "X-Should-Retry", "false")}, "another body"},
		{"how a run ended", keyed, []http.HandlerFunc{answer(502, refusal("bad_gateway", "the model is away"))}, "the model is away"},
		{"a server that says not to", get, []http.HandlerFunc{answer(503, refusal("service_unavailable", "gone"), "X-Should-Retry", "false")}, "gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.script...)
			if strings.HasPrefix(tt.name, "GET that was") {
				if _, err := s.client.Do(t.Context(), get); err != nil {
					t.Fatal(err)
				}
			}
			body, err := s.client.Do(t.Context(), tt.request)
			if tt.fails == "" && (err != nil || string(body) != `{"id":"x"}`) {
				t.Errorf("got %s, %v", body, err)
			}
			if tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
			if n := int(s.asked.Load()); n != len(tt.script) {
				t.Errorf("%d requests, want %d", n, len(tt.script))
			}
		})
	}
}

// TestRetryAfter: the server's pause is kept, and the wait ends with its context.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	var pauses []time.Duration
	s := serve(t, answer(429, refusal("request_rate_limit_exceeded", "slow"), "Retry-After", "1"), ok)
	c, err := apiclient.New(apiclient.Options{URL: s.URL, Key: secret.New(key), Waiting: func(_ error, d time.Duration) { pauses = append(pauses, d) }})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Do(t.Context(), apiclient.Request{Method: "GET", Path: "/v1/x"}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second || len(pauses) != 1 || pauses[0] < time.Second {
		t.Errorf("it waited %v after being told %v", took, pauses)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = serve(t, answer(503, refusal("service_unavailable", "later"), "Retry-After", "3600"), ok)
	c, err = apiclient.New(apiclient.Options{URL: s.URL, Key: secret.New(key), Waiting: func(error, time.Duration) { cancel() }})
	if err != nil {
		t.Fatal(err)
	}
	// Longer than anybody waits: the caller is told.
	if _, err := c.Do(ctx, apiclient.Request{Method: "GET", Path: "/v1/x"}); err == nil || err.Error() != "later" {
		t.Errorf("error %v", err)
	}
}

// TestErrors: one clear line with a remedy, the place in the request, and nothing secret.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		from http.HandlerFunc
		want string
	}{
		{"place", answer(400, `{"error":{"type":"invalid_request_error","code":null,"message":"is wrong","param":"tools[0]"}}`), "tools[0]: is wrong"},
		{"key", answer(401, refusal("unauthorized", "unknown key")), "unknown key: check the API key (PERDURE_API_KEY, --api-key-file, or client.api_key_file of the configuration)"},
		{"steering", answer(400, `{"error":{"message":"a\u001b[2Jb\nc\u0085d"}}`), "a [2Jb c d"},
		{"stranger", answer(404, "<html>"), "GET URL/v1/x answered 404 Not Found: is that the address of a Perdure server?"},
		{"redirect", answer(301, "", "Location", "https://elsewhere.example/v1/x?token=t"), "URL redirects elsewhere: is it https://elsewhere.example? Name that with --server or PERDURE_URL"},
		{"not JSON", answer(200, "<html>"), "URL answered something else than this program expects; is it a Perdure server of a similar version? (invalid character '<' looking for beginning of value)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.from)
			err := s.client.Call(t.Context(), apiclient.Request{Method: "GET", Path: "/v1/x"}, &struct{}{})
			if err == nil || strings.ReplaceAll(err.Error(), s.URL, "URL") != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
	_, err := newClient(t, "http://127.0.0.1:1").Do(t.Context(), apiclient.Request{Method: "GET", Path: "/v1/x"})
	if want := `cannot reach http://127.0.0.1:1: connect: connection refused: is the server running there?`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
	for _, bad := range []string{"", "host", "ftp://h", "http://", "http://u:hunter2@h", "http://h?key=hunter2", "http://h#hunter2", "http://h:\x00hunter2"} {
		if _, err := apiclient.New(apiclient.Options{URL: bad}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// TestPaths: a server may be below a path, and people copy the base URL that SDKs want.
func TestPaths(t *testing.T) {
	t.Parallel()
	var got []string
	record := func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.RequestURI)
		fmt.Fprint(w, `{}`)
	}
	s := serve(t, record, record, record)
	for _, base := range []string{"", "/v1/", "/agents/v1"} {
		request := apiclient.Request{Method: "GET", Path: "/v1/responses/" + url.PathEscape("a/b?c"), Query: url.Values{"q": {"1 2"}}}
		if _, err := newClient(t, s.URL+base).Do(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/v1/responses/a%2Fb%3Fc?q=1+2", "/v1/responses/a%2Fb%3Fc?q=1+2", "/agents/v1/responses/a%2Fb%3Fc?q=1+2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	page := func(want, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.RawQuery; got != want {
				t.Errorf("query %s, want %s", got, want)
			}
			fmt.Fprint(w, body)
		}
	}
	query := url.Values{"status": {"failed"}}
	collect := func(s *server, limit int) (ids []string) {
		for v, err := range apiclient.Listed[struct{ ID string }](t.Context(), s.client, "/v1/x", query, limit) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, v.ID)
		}
		return ids
	}
	ours := []http.HandlerFunc{
		page("limit=100&status=failed", `{"data":[{"id":"a"},{"id":"b"}],"has_more":true,"last_id":"b","next_page":"p2"}`),
		page("limit=100&page=p2&status=failed", `{"data":[{"id":"c"}],"has_more":false,"last_id":"c","next_page":null}`),
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, collect(serve(t, ours...), 0)); diff != "" {
		t.Error(diff)
	}
	openai := []http.HandlerFunc{
		page("limit=3&status=failed", `{"data":[{"id":"a"},{"id":"b"}],"has_more":true,"last_id":"b"}`),
		page("after=b&limit=1&status=failed", `{"data":[{"id":"c"}],"has_more":true,"last_id":"c"}`),
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, collect(serve(t, openai...), 3)); diff != "" {
		t.Error(diff)
	}
}

// events writes events as a server does, and the mark of the end if it is wanted.
func events(w http.ResponseWriter, from, to int, end bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := from; n <= to; n++ {
		kind, more := "response.output_text.delta", ""
		if n == 0 {
			kind, more = "response.created", `,"response":{"id":"resp_1"}`
		}
		fmt.Fprintf(w, ": ping\n\nevent: %s\ndata: {\"type\":%q,\"sequence_number\":%d%s}\n\n", kind, kind, n, more)
	}
	if end {
		fmt.Fprint(w, "data: [DONE]\n\n")
		return
	}
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// TestStreamResumes: whatever happens on the way, each event comes once and in order, and a run is started once.
func TestStreamResumes(t *testing.T) {
	t.Parallel()
	var keys []string
	post := func(then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if body, _ := io.ReadAll(r.Body); r.Method != http.MethodPost || string(body) != `{"input":"x"}` {
				t.Errorf("%s %s", r.Method, body)
			}
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			then(w, r)
		}
	}
	get := func(query string, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/v1/responses/resp_1" || r.URL.RawQuery != query {
				t.Errorf("%s %s, want %s", r.Method, r.URL, query)
			}
			then(w, r)
		}
	}
	s := serve(t,
		post(broken), post(busy),
		post(func(w http.ResponseWriter, _ *http.Request) { events(w, 0, 2, false) }),
		get("starting_after=2&stream=true", broken),
		get("starting_after=2&stream=true", answer(502, "a proxy")),
		get("starting_after=2&stream=true", func(w http.ResponseWriter, _ *http.Request) { events(w, 2, 5, false) }), // one twice
		get("starting_after=5&stream=true", func(w http.ResponseWriter, _ *http.Request) { events(w, 6, 7, true) }),
	)
	stream := s.client.Create(json.RawMessage(`{"input":"x"}`), "the-key")
	defer stream.Close()
	for n := range 8 {
		e, err := stream.Next(t.Context())
		if err != nil || e.Sequence != n || stream.After() != n || stream.ID() != "resp_1" {
			t.Fatalf("event %d is %+v, %v", n, e, err)
		}
	}
	if _, err := stream.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the last event: %v", err)
	}
	if diff := cmp.Diff([]string{"the-key", "the-key", "the-key"}, keys); diff != "" {
		t.Error(diff)
	}
}

// TestStreamEndsWithAnError that no repetition would change, and with its context.
func TestStreamErrors(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(400, refusal("invalid_request", "the events are no longer kept")))
	if _, err := s.client.Follow("resp_1", -1).Next(t.Context()); !apiclient.IsStatus(err, 400) {
		t.Errorf("error %v", err)
	}
	s = serve(t, answer(200, "<html>", "Content-Type", "text/html"))
	if _, err := s.client.Follow("resp_1", -1).Next(t.Context()); err == nil || !strings.Contains(err.Error(), "in the place of a stream") {
		t.Errorf("error %v", err)
	}
	s = serve(t, answer(200, "data: {\"sequence_number\":1}\n\n", "Content-Type", "text/event-stream"))
	if _, err := s.client.Follow("resp_1", -1).Next(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot read") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	if _, err := s.client.Follow("resp_1", -1).Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestResponseIsReadLeniently: what this program does not know must not keep it from the rest.
func TestResponseIsReadLeniently(t *testing.T) {
	t.Parallel()
	data := json.RawMessage(`{"id":"r","status":"completed","new":1,"error":null,"output":[{"type":"unheard_of","x":1},
		{"type":"function_call_output","output":[{"type":"input_text","text":"x"}]},
		{"type":"mcp_call","name":"n","output":"o","error":null},{"type":"mcp_call","output":null,"error":"e"},
		{"type":"mcp_approval_request","id":"mcpr_1"},
		{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"refusal","refusal":"b"}]}]}`)
	r, err := apiclient.ReadResponse(data)
	if err != nil || !r.Ended() || len(r.Output) != 6 || len(r.Approvals()) != 1 || r.Output[5].Text() != "ab" {
		t.Fatalf("%+v, %v", r, err)
	}
	if *r.Output[2].Output != "o" || r.Output[3].Output != nil || *r.Output[3].Error != "e" || r.Output[1].Output != nil {
		t.Errorf("%+v", r.Output)
	}
}
