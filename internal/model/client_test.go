package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/model"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

const apiKey = "test-key-that-must-stay-secret"

// connect returns a client of a provider "p" at the URL, and a turn for it.
func connect(t *testing.T, url string, change ...func(*model.Provider)) (*model.Client, model.Turn) {
	t.Helper()
	p := model.Provider{Name: "p", BaseURL: url, APIKey: secret.New(apiKey), Headers: map[string]string{"X-Team": "header-secret"}}
	for _, c := range change {
		c(&p)
	}
	catalog, err := model.NewCatalog([]model.Provider{p}, "p/m")
	if err != nil {
		t.Fatal(err)
	}
	client := model.New(model.Options{Catalog: catalog})
	t.Cleanup(client.Close)
	return client, model.Turn{Model: model.Ref{Provider: "p", Model: "m"}, Items: []responses.Item{
		&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("hi")}},
	}}
}

func script(t *testing.T, replies ...modeltest.Reply) *modeltest.Server {
	t.Helper()
	server := modeltest.New(replies...)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestStream(t *testing.T) {
	t.Parallel()
	const text = "The answer is forty-two, as everybody knows."
	usage := responses.Usage{
		InputTokens: 30, OutputTokens: 8, TotalTokens: 38, InputTokensDetails: responses.InputTokensDetails{CachedTokens: 20},
	}
	full := modeltest.Calls(modeltest.Call{ID: "a", Name: "f", Arguments: `{"city":"Zürich"}`}, modeltest.Call{ID: "b", Name: "g"}).
		WithText(text).WithReasoning("hmm").WithUsage(30, 20, 8)
	want := model.Answer{
		Text: text, Reasoning: "hmm", Finish: model.FinishToolCalls, Usage: usage, Model: "m",
		Calls: []model.Call{{ID: "a", Name: "f", Arguments: `{"city":"Zürich"}`}, {ID: "b", Name: "g", Arguments: "{}"}},
	}
	for name, reply := range map[string]modeltest.Reply{"streamed": full, "in one object": full.AsJSON()} {
		server := script(t, reply)
		client, turn := connect(t, server.URL())
		var told strings.Builder
		answer, err := client.Stream(t.Context(), turn, func(d model.Delta) error {
			if d.Kind == model.DeltaText {
				told.WriteString(d.Text)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, answer); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if told.String() != text {
			t.Errorf("%s: deltas say %q", name, told.String())
		}
	}
}

func TestStreamSendsHeaders(t *testing.T) {
	t.Parallel()
	server := script(t, modeltest.Text("ok"), modeltest.Text("ok"))
	client, turn := connect(t, server.URL()+"/")
	turn.IdempotencyKey = "resp_1-3"
	if _, err := client.Stream(t.Context(), turn, nil); err != nil {
		t.Fatal(err)
	}
	plain, turn := connect(t, server.URL(), func(p *model.Provider) { p.APIKey, p.Headers = secret.String{}, nil })
	if _, err := plain.Stream(t.Context(), turn, nil); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	for _, test := range []struct {
		n            int
		header, want string
	}{
		{0, "Authorization", "Bearer " + apiKey},
		{0, "Idempotency-Key", "resp_1-3"},
		{0, "X-Team", "header-secret"},
		{0, "Content-Type", "application/json"},
		{0, "Accept-Encoding", ""},
		{1, "Authorization", ""},
		{1, "Idempotency-Key", ""},
	} {
		if got := requests[test.n].Header.Get(test.header); got != test.want {
			t.Errorf("request %d: %s is %q, want %q", test.n, test.header, got, test.want)
		}
	}
}

// TestStreamSatisfiesTheDouble sends what is hard to order to the double, which refuses what OpenAI would.
func TestStreamSatisfiesTheDouble(t *testing.T) {
	t.Parallel()
	server := script(t, modeltest.Text("ok"))
	client, turn := connect(t, server.URL())
	denied := "denied"
	turn.Instructions = "Be kind."
	turn.Items = append(turn.Items,
		&responses.FunctionCall{CallID: "c", Name: "my function", Arguments: "oops"},
		&responses.MCPCall{ID: strings.Repeat("x", 50), ServerLabel: "a.b", Name: "c d", Error: &denied},
		&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("and?")}},
		&responses.FunctionCallOutput{CallID: "c", Output: []responses.Part{{Type: responses.PartInputImage, ImageURL: "https://x/y"}}},
		&responses.MCPCall{Name: "gone"},
		&responses.MCPCall{Name: "gone"},
	)
	turn.Tools = []model.Tool{
		{Ref: responses.ToolRef{Server: "a", Name: "t"}, Schema: json.RawMessage(`{"anyOf":[{"required":["x"]}],"$schema":"s"}`)},
		{Ref: responses.ToolRef{Name: "a__t"}, Schema: json.RawMessage(`true`)},
	}
	if _, err := client.Stream(t.Context(), turn, nil); err != nil {
		t.Fatal(err)
	}
	if got := server.Requests()[0].ToolNames(); got[0] == got[1] || got[1] != "a__t" {
		t.Errorf("the tools are called %v", got)
	}
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	body := func(message, kind, code string) string {
		data, err := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": kind, "code": code}})
		if err != nil {
			panic(err)
		}
		return string(data)
	}
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for name, test := range map[string]struct {
		reply modeltest.Reply
		want  model.Error
	}{
		"rate limit": {
			modeltest.RateLimited(7),
			model.Error{Kind: model.KindRateLimited, Status: 429, Code: "rate_limit_exceeded", Message: "HTTP 429: Rate limit reached", RetryAfter: 7 * time.Second, Temporary: true},
		},
		"milliseconds win": {
			modeltest.Status(429, header("Retry-After-Ms", "1500.5", "Retry-After", "9"), ""),
			model.Error{Kind: model.KindRateLimited, Status: 429, Message: "HTTP 429", RetryAfter: 1500500 * time.Microsecond, Temporary: true},
		},
		"at most an hour": {
			modeltest.Status(503, header("Retry-After", "999999999999999999999"), "<html>proxy</html>"),
			model.Error{Kind: model.KindServer, Status: 503, Message: "HTTP 503", RetryAfter: time.Hour, Temporary: true},
		},
		"not in the past": {
			modeltest.Status(503, header("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), "{}"),
			model.Error{Kind: model.KindServer, Status: 503, Message: "HTTP 503", Temporary: true},
		},
		"no wait": {
			modeltest.Status(500, header("Retry-After", "NaN"), `{"detail":"boom"}`),
			model.Error{Kind: model.KindServer, Status: 500, Message: "HTTP 500: boom", Temporary: true},
		},
		"conflict":           {modeltest.Status(409, nil, ""), model.Error{Kind: model.KindServer, Status: 409, Message: "HTTP 409", Temporary: true}},
		"timeout":            {modeltest.Status(408, nil, ""), model.Error{Kind: model.KindTimeout, Status: 408, Message: "HTTP 408", Temporary: true}},
		"should not retry":   {modeltest.Status(500, header("X-Should-Retry", "false"), ""), model.Error{Kind: model.KindServer, Status: 500, Message: "HTTP 500"}},
		"should retry":       {modeltest.Status(400, header("X-Should-Retry", "true"), ""), model.Error{Kind: model.KindInvalid, Status: 400, Message: "HTTP 400", Temporary: true}},
		"unauthorized":       {modeltest.Status(401, nil, body("Incorrect API key provided: "+apiKey+" or sk-proj-abc***wxyz.", "invalid_request_error", "invalid_api_key")), model.Error{Kind: model.KindAuth, Status: 401, Code: "invalid_api_key", Message: "HTTP 401: Incorrect API key provided: [redacted] or [redacted]"}},
		"other secrets":      {modeltest.Status(403, nil, body("header-secret, Bearer abc, eyJhbGciOi.J9.x, 0123456789abcdef0123456789abcdef", "x", "")), model.Error{Kind: model.KindAuth, Status: 403, Message: "HTTP 403: [redacted], [redacted] [redacted], [redacted]"}},
		"unknown model":      {modeltest.Status(404, nil, body("no such model", "", "model_not_found")), model.Error{Kind: model.KindNotFound, Status: 404, Code: "model_not_found", Message: "HTTP 404: no such model"}},
		"context":            {modeltest.Status(400, nil, body("too long", "", "context_length_exceeded")), model.Error{Kind: model.KindContextLength, Status: 400, Code: "context_length_exceeded", Message: "HTTP 400: too long"}},
		"context in words":   {modeltest.Status(400, nil, `{"object":"error","message":"This model's maximum context length is 4096 tokens.","code":400}`), model.Error{Kind: model.KindContextLength, Status: 400, Code: "400", Message: "HTTP 400: This model's maximum context length is 4096 tokens."}},
		"policy":             {modeltest.Status(400, nil, `{"error":{"message":"no","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`), model.Error{Kind: model.KindContentPolicy, Status: 400, Code: "content_filter", Message: "HTTP 400: no"}},
		"Gemini's list":      {modeltest.Status(400, nil, `[{"error":{"code":400,"message":"bad\n\n  tool","status":"INVALID_ARGUMENT"}}]`), model.Error{Kind: model.KindInvalid, Status: 400, Code: "400", Message: "HTTP 400: bad tool"}},
		"Ollama's text":      {modeltest.Status(400, nil, `{"error":"bad model"}`), model.Error{Kind: model.KindInvalid, Status: 400, Message: "HTTP 400: bad model"}},
		"redirect":           {modeltest.Status(307, header("Location", "/elsewhere"), ""), model.Error{Kind: model.KindInvalid, Status: 307, Message: "HTTP 307: it does not answer at the configured base_url"}},
		"cut":                {modeltest.Truncated(3), model.Error{Kind: model.KindTruncated, Message: "its answer broke off", Temporary: true}},
		"cut at once":        {modeltest.Truncated(0), model.Error{Kind: model.KindTruncated, Message: "its answer broke off", Temporary: true}},
		"empty":              {modeltest.Empty(), model.Error{Kind: model.KindEmpty, Message: "the model gave an empty answer", Temporary: true}},
		"error in the midst": {modeltest.Raw("data: {\"error\":{\"message\":\"key " + apiKey + "\",\"code\":503}}\n\n"), model.Error{Kind: model.KindServer, Code: "503", Message: "it broke the answer off: key [redacted]", Temporary: true}},
		"not a stream":       {modeltest.Raw("<html>"), model.Error{Kind: model.KindMalformed, Message: "its answer is not one of the Chat Completions API", Temporary: true}},
	} {
		server := script(t, test.reply)
		client, turn := connect(t, server.URL())
		_, err := client.Stream(t.Context(), turn, nil)
		var got *model.Error
		if !errors.As(err, &got) {
			t.Errorf("%s: error %v, want an *Error", name, err)
			continue
		}
		test.want.Provider = "p"
		if diff := cmp.Diff(&test.want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".cause" }, cmp.Ignore())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStreamErrorIsBounded(t *testing.T) {
	t.Parallel()
	server := script(t, modeltest.Status(400, nil, `{"error":{"message":"`+strings.Repeat("é ", 20_000)+`"}}`))
	client, turn := connect(t, server.URL())
	_, err := client.Stream(t.Context(), turn, nil)
	var got *model.Error
	if !errors.As(err, &got) || len(got.Message) > 500 || !strings.HasSuffix(got.Message, "…") {
		t.Errorf("error %v", err)
	}
}

func TestStreamDate(t *testing.T) {
	t.Parallel()
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	server := script(t, modeltest.Status(503, http.Header{"Retry-After": {date}}, ""))
	client, turn := connect(t, server.URL())
	_, err := client.Stream(t.Context(), turn, nil)
	var got *model.Error
	if !errors.As(err, &got) || got.RetryAfter < time.Minute || got.RetryAfter > 90*time.Second {
		t.Errorf("error %#v, want one with a wait of 60 s to 90 s", err)
	}
}

func TestStreamUnreached(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	unknown := httptest.NewUnstartedServer(http.NotFoundHandler())
	unknown.Config.ErrorLog = log.New(io.Discard, "", 0)
	unknown.StartTLS()
	defer unknown.Close()
	for name, test := range map[string]struct{ url, want string }{
		// The name has a label that is too long for the DNS: no server is asked for it.
		"nobody listens":      {"http://127.0.0.1:1", "a connection could not be made"},
		"no such host":        {"http://" + strings.Repeat("x", 64) + ".invalid/v1", "its host name could not be resolved"},
		"no TLS":              {"https" + strings.TrimPrefix(plain.URL, "http"), "it does not speak TLS"},
		"unknown certificate": {unknown.URL, "its TLS certificate could not be verified"},
	} {
		client, turn := connect(t, test.url)
		_, err := client.Stream(t.Context(), turn, nil)
		var got *model.Error
		if !errors.As(err, &got) || got.Kind != model.KindNetwork || !got.Temporary {
			t.Errorf("%s: error %#v, want a temporary network error", name, err)
			continue
		}
		if got.Message != test.want || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %q, want %q", name, err, test.want)
		}
		if errors.Unwrap(got) == nil {
			t.Errorf("%s: the cause is lost", name)
		}
	}
}

func TestStreamHeaderTimeout(t *testing.T) {
	t.Parallel()
	server := script(t, modeltest.Text("late").Hold(nil))
	catalog, err := model.NewCatalog([]model.Provider{{Name: "p", BaseURL: server.URL()}}, "p/m")
	if err != nil {
		t.Fatal(err)
	}
	client := model.New(model.Options{Catalog: catalog, HeaderTimeout: 20 * time.Millisecond})
	defer client.Close()
	_, turn := connect(t, server.URL())
	_, err = client.Stream(t.Context(), turn, nil)
	var got *model.Error
	if !errors.As(err, &got) || got.Kind != model.KindTimeout || !got.Temporary {
		t.Errorf("error %#v, want a temporary timeout", err)
	}
	// The request has left. Until the double has it, its reply counts as one that nobody asked for.
	if _, err := server.WaitRequest(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

func TestStreamStops(t *testing.T) {
	t.Parallel()
	server := script(t, modeltest.Text("a long answer that is held back").HoldAfter(2, nil))
	client, turn := connect(t, server.URL())
	ctx, cancel := context.WithCancelCause(t.Context())
	wanted := errors.New("the user went away")
	_, err := client.Stream(ctx, turn, func(model.Delta) error { cancel(wanted); return nil })
	var other *model.Error
	if !errors.Is(err, wanted) || errors.As(err, &other) {
		t.Errorf("error %v, want one that wraps the cause", err)
	}
}

func TestStreamDeltaError(t *testing.T) {
	t.Parallel()
	server := script(t, modeltest.Text("hello").HoldAfter(2, nil))
	client, turn := connect(t, server.URL())
	wanted := errors.New("nobody listens")
	if _, err := client.Stream(t.Context(), turn, func(model.Delta) error { return wanted }); !errors.Is(err, wanted) {
		t.Errorf("error %v, want %v", err, wanted)
	}
}

func TestStreamDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with X-Team %q", r.Header.Get("X-Team"))
	}))
	defer thief.Close()
	server := script(t, modeltest.Status(307, http.Header{"Location": {thief.URL}}, ""))
	client, turn := connect(t, server.URL())
	if _, err := client.Stream(t.Context(), turn, nil); err == nil {
		t.Error("a redirect was taken for an answer")
	}
}

func TestStreamUnknownProvider(t *testing.T) {
	t.Parallel()
	client, turn := connect(t, "http://name.invalid/v1")
	turn.Model.Provider = "other"
	_, err := client.Stream(t.Context(), turn, nil)
	var got *model.Error
	if !errors.As(err, &got) || got.Kind != model.KindConfiguration || got.Provider != "other" {
		t.Errorf("error %#v", err)
	}
}

func TestStreamReusesConnections(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
		_ = http.NewResponseController(w).Flush() // the end comes by itself
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			defer mu.Unlock()
			opened++
		}
	}
	server.Start()
	defer server.Close()
	client, turn := connect(t, server.URL)
	model.SetDrainTime(client, time.Minute)
	for range 5 {
		if _, err := client.Stream(t.Context(), turn, nil); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if opened != 1 {
		t.Errorf("5 turns opened %d connections, want 1", opened)
	}
}

// TestStreamEndsWithTheAnswer gives the answer on a connection that the server does not end.
func TestStreamEndsWithTheAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	client, turn := connect(t, server.URL)
	answer, err := client.Stream(t.Context(), turn, nil)
	if err != nil || answer.Text != "a" {
		t.Errorf("answer %+v, error %v", answer, err)
	}
}

func TestStreamConcurrently(t *testing.T) {
	t.Parallel()
	server := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply { return modeltest.Text("echo: " + r.Last().Content) })
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	client, turn := connect(t, server.URL())
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if answer, err := client.Stream(t.Context(), turn, func(model.Delta) error { return nil }); err != nil || answer.Text != "echo: hi" {
				t.Errorf("answer %+v, error %v", answer, err)
			}
		})
	}
	group.Wait()
}
