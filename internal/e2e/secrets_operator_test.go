package e2e

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// driveCodec has operators use the codec endpoint, and strangers try to. It returns the value of an operator's cookie.
func (s *secretStack) driveCodec(t *testing.T) (session string) {
	t.Helper()
	var listed struct{ Data []struct{ ID string } }
	if a := s.call(t, http.MethodGet, "/responses", ""); json.Unmarshal(a.body, &listed) != nil || len(listed.Data) == 0 {
		t.Fatalf("no responses are listed: %s", a.body)
	}
	h, err := s.history(t.Context(), listed.Data[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	input := h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetInput()
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: input.GetPayloads()})
	if err != nil {
		t.Fatal(err)
	}
	use := func(status int, token string, headers ...string) {
		t.Helper()
		a, err := send(t.Context(), http.MethodPost, s.url+"/codec/decode", token, string(body), headers...)
		if err != nil {
			t.Fatal(err)
		}
		if s.haul.answer(a); a.status != status {
			t.Errorf("the codec endpoint has status %d, want %d: %s", a.status, status, a.body)
		}
	}
	use(http.StatusOK, canaries["token of the codec"])
	use(http.StatusUnauthorized, canaries["wrong token of the codec"])
	use(http.StatusUnauthorized, canaries["API key"])
	signIn := func(token string) string {
		form := url.Values{"token": {token}}.Encode()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/codec/", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for _, cookie := range resp.Cookies() {
			return cookie.Value // which is the one place where it may show
		}
		return ""
	}
	if cookie := signIn(canaries["wrong token of the codec"]); cookie != "" {
		t.Error("a wrong token has signed in")
	}
	session = signIn(canaries["token of the codec"])
	use(http.StatusOK, "", "Origin", webUIOrigin, "Cookie", "perdure_codec="+session)
	use(http.StatusUnauthorized, "", "Origin", "https://elsewhere.example.com", "Cookie", "perdure_codec="+session)
	return session
}

// driveCommands rotates the keys, and starts processes with settings that are wrong, or secrets where none belong.
func (s *secretStack) driveCommands(t *testing.T) {
	t.Helper()
	s.keys(t, "list")
	s.keys(t, "rotate")
	value := canaries["value of a setting"]
	env := s.options.Env
	defer func() { s.options.Env = env }()
	for _, wrong := range []string{
		"PERDURE_NETWORK_PROXY_URL=http://user:" + url.QueryEscape(value) + "@a",
		"E2E_PROXY=" + value,
		"PERDURE_EVENTS_URL=nats://user:" + url.QueryEscape(value) + "@a:4222",
		"E2E_CODEC_TOKEN=" + value + " and a space",
		"PERDURE_ENCRYPTION_CODEC_TOKEN_ENV=" + value,
		"PERDURE_AUTH_API_KEYS_0_KEY_ENV=" + value,
		"E2E_API_KEY=" + value + " and a space",
		"PERDURE_SECRETS_KEYSET=" + value,
		"PERDURE_MODELS_PROVIDERS_OPENAI_BASE_URL=https://user:" + url.QueryEscape(value) + "@a/v1?key=" + url.QueryEscape(value),
		"E2E_MODEL_KEY=" + value + " and a space",
		"E2E_PROVIDER_HEADER=" + value + "\x01",
		"PERDURE_WEBHOOKS_0_URL=http://a/" + url.PathEscape(value),
		"PERDURE_WEBHOOKS_0_URL=https://a/%zz" + value,
		"E2E_HOOK_SECRET=" + value,
		"PERDURE_NETWORK_CA_FILE=" + s.creds,
	} {
		s.options.Env = append(env[:len(env):len(env)], wrong)
		p, err := s.start("starter")
		if err != nil {
			t.Fatal(err)
		}
		if code, err := p.wait(); code != 1 || err != nil {
			t.Errorf("perdure starter with %s: exit code %d, %v", wrong, code, err)
		}
	}
}

// driveBucket has a starter keep its large values in a bucket, whose store refuses and repeats what it was sent.
func (s *secretStack) driveBucket(t *testing.T) {
	t.Helper()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.peers.record("object store", r, nil)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>", template.HTMLEscapeString(fmt.Sprint(r.Header)))
	}))
	defer store.Close()
	env := s.options.Env
	defer func() { s.options.Env = env }()
	s.options.Env = append(env[:len(env):len(env)], "PERDURE_BLOBS_BUCKET=perdure", "PERDURE_BLOBS_ENDPOINT="+store.URL, "PERDURE_BLOBS_PATH_STYLE=true",
		"PERDURE_BLOBS_REGION=us-east-1", "PERDURE_BLOBS_ACCESS_KEY=an-access-key", "PERDURE_BLOBS_SECRET_KEY_ENV=E2E_BUCKET", "E2E_BUCKET="+canaries["key of the bucket"])
	p, err := s.start("starter", "--http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	match, err := p.await(t.Context(), listening)
	if err != nil {
		t.Fatal(err)
	}
	a, err := send(t.Context(), http.MethodPost, "http://"+match[1]+"/v1/responses", canaries["API key"], `{"input":"`+strings.Repeat(content+" ", 10_000)+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.haul.answer(a); a.status < 500 {
		t.Errorf("without its bucket, a starter answers with status %d: %s", a.status, a.body)
	}
}
