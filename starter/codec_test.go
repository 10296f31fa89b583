package starter

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"

	"perdure/internal/logtest"
	"perdure/internal/payload"
	"perdure/internal/secret"
)

const (
	codecToken  = "operator-token-of-the-codec-endpoint"
	webUIOrigin = "http://127.0.0.1:8233"
	codecText   = "what the operator may read: canary-7d20"
)

// codecRig is an endpoint with an encrypted payload to try it on.
type codecRig struct {
	url    string
	log    *logtest.Buffer
	sealed *commonpb.Payload
	codec  *payload.Codec
}

func newCodecRig(t *testing.T, change ...func(*Starter)) *codecRig {
	t.Helper()
	r := &codecRig{}
	r.url, r.log = api(t, append([]func(*Starter){func(s *Starter) {
		r.codec = payload.NewCodec(s.Sealer, true)
		s.Codec = Codec{
			Token: secret.New(codecToken), Origins: []string{webUIOrigin},
			Handler: must(converter.NewPayloadHTTPHandler(converter.PayloadHTTPHandlerOptions{PreStorageCodecs: []converter.PayloadCodec{r.codec}})),
		}
	}}, change...)...)
	dc := payload.OfWorkflow(payload.NewDataConverter(r.codec), "default", "resp_1")
	r.sealed = must(dc.ToPayload(codecText))
	return r
}

func (r *codecRig) body() string {
	return string(must(protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{r.sealed}})))
}

// checkDecoded looks for the text in what the endpoint answers.
func checkDecoded(t *testing.T, a answer) {
	t.Helper()
	var got commonpb.Payloads
	if err := protojson.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || len(got.GetPayloads()) != 1 {
		t.Fatalf("HTTP %d with %s: %v", a.status, a.body, err)
	}
	p := got.GetPayloads()[0]
	if string(p.GetData()) != `"`+codecText+`"` || string(p.GetMetadata()["encoding"]) != "json/plain" {
		t.Errorf("got the payload %v", p)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("it may be kept: Cache-Control is %q", a.header.Get("Cache-Control"))
	}
}

func (r *codecRig) decode(t *testing.T, header ...string) answer {
	t.Helper()
	return must(do(t.Context(), http.MethodPost, r.url+"/codec/decode", strings.NewReader(r.body()), header...))
}

func TestCodecNeedsAToken(t *testing.T) {
	t.Parallel()
	r := newCodecRig(t)
	for name, header := range map[string]string{
		"none": "", "wrong": "Bearer " + codecToken + "x", "an API key": "Bearer " + apiKey, "no scheme": codecToken,
		"another scheme": "Basic " + codecToken, "empty": "Bearer ",
	} {
		a := r.decode(t, "Authorization", header)
		if a.status != http.StatusUnauthorized || strings.Contains(a.body, "canary") || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: HTTP %d with %s", name, a.status, a.body)
		}
	}
	checkDecoded(t, r.decode(t, "Authorization", "bearer "+codecToken, "X-Namespace", "default"))
	awaitLog(t, r.log, "codec endpoint used")
	text := r.log.String()
	for _, want := range []string{"path=/codec/decode", "by=token", "namespace=default", "payloads=1", "workflows=[resp_1]"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %s:\n%s", want, text)
		}
	}
	for _, no := range []string{"canary", codecToken} {
		if strings.Contains(text, no) {
			t.Errorf("the log says %s", no)
		}
	}
}

func TestNoCodecWithoutAToken(t *testing.T) {
	t.Parallel()
	r := newCodecRig(t, func(s *Starter) { s.Codec.Token = secret.String{} })
	for _, request := range []string{"POST /codec/decode", "OPTIONS /codec/decode", "GET /codec/", "GET /codec", "POST /codec/"} {
		method, path, _ := strings.Cut(request, " ")
		a := must(do(t.Context(), method, r.url+path, strings.NewReader("{}"), "Authorization", "Bearer ", "Origin", webUIOrigin))
		if a.status != http.StatusNotFound || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: HTTP %d", request, a.status)
		}
	}
}

// Temporal's CLI uses this client of the SDK, with the headers of --codec-auth and of the namespace.
func TestCodecOfTheCLI(t *testing.T) {
	t.Parallel()
	r := newCodecRig(t)
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: r.url + "/codec",
		ModifyRequest: func(r *http.Request) error {
			r.Header.Set("X-Namespace", "default")
			r.Header.Set("Authorization", "Bearer "+codecToken)
			return nil
		},
	})
	decoded, err := remote.Decode([]*commonpb.Payload{r.sealed})
	if err != nil {
		t.Fatal(err)
	}
	if string(decoded[0].GetData()) != `"`+codecText+`"` {
		t.Errorf("decoded to %v", decoded[0])
	}
	// What an operator sends, to start or to signal a workflow, is encrypted for whoever reads it.
	encoded, err := remote.Encode(decoded)
	if err != nil {
		t.Fatal(err)
	}
	if !payload.Encrypted(encoded[0]) {
		t.Errorf("encoded to %v", encoded[0])
	}
	var got string
	dc := payload.OfWorkflow(payload.NewDataConverter(r.codec), "default", "resp_2")
	if err := dc.FromPayload(encoded[0], &got); err != nil || got != codecText {
		t.Errorf("a worker reads %q, %v", got, err)
	}
}

// tab is a page of some origin in a browser, which sends what Temporal's Web UI sends and keeps to the browser's rules.
type tab struct {
	origin  string
	cookies bool // "include cross-origin credentials"
	browser *http.Client
}

// fetch returns what the page gets to see: nothing, where the browser withholds it.
func (p tab) fetch(t *testing.T, endpoint, body string) (status int, answer string, shown bool) {
	t.Helper()
	target := endpoint + "/decode?preserveStorageRefs=true"
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Origin", p.origin)
	ask.Header.Set("Access-Control-Request-Method", http.MethodPost)
	ask.Header.Set("Access-Control-Request-Headers", "content-type,x-namespace")
	preflight, err := p.browser.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer preflight.Body.Close()
	if !varies(preflight.Header) {
		t.Error("the answer to a preflight may be kept for another origin")
	}
	allowed := strings.Split(strings.ToLower(preflight.Header.Get("Access-Control-Allow-Headers")), ", ")
	if preflight.StatusCode/100 != 2 || !p.mayRead(preflight.Header) || preflight.Header.Get("Access-Control-Allow-Methods") != http.MethodPost ||
		!slices.Contains(allowed, "content-type") || !slices.Contains(allowed, "x-namespace") {
		return 0, "", false
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", p.origin)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Namespace", "default")
	browser := *p.browser
	if !p.cookies {
		browser.Jar = nil
	}
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !varies(resp.Header) {
		t.Error("the answer may be kept for another origin")
	}
	return resp.StatusCode, readAll(t, resp), p.mayRead(resp.Header)
}

func varies(h http.Header) bool {
	return strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin")
}

func (p tab) mayRead(h http.Header) bool {
	return h.Get("Access-Control-Allow-Origin") == p.origin && (!p.cookies || h.Get("Access-Control-Allow-Credentials") == "true")
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Jar: must(cookiejar.New(nil))}
}

func (r *codecRig) submit(t *testing.T, browser *http.Client, token string) (status int, body string, header http.Header) {
	t.Helper()
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/codec/", form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, readAll(t, resp), resp.Header
}

func TestCodecOfTheWebUI(t *testing.T) {
	t.Parallel()
	r := newCodecRig(t)
	browser := newBrowser(t)
	webUI := tab{origin: webUIOrigin, cookies: true, browser: browser}
	status, body, shown := webUI.fetch(t, r.url+"/codec", r.body())
	if status != http.StatusUnauthorized || !shown || strings.Contains(body, "canary") {
		t.Errorf("before the sign-in: HTTP %d, shown: %v, with %s", status, shown, body)
	}
	if status, body, _ := r.submit(t, browser, "wrong"); status != http.StatusUnauthorized || !strings.Contains(body, "not the token") {
		t.Errorf("a wrong token: HTTP %d with %s", status, body)
	}
	status, body, header := r.submit(t, browser, " "+codecToken+"\n")
	if status != http.StatusOK || !strings.Contains(body, "You are signed in") || !strings.Contains(body, r.url+"/codec<") {
		t.Errorf("the token: HTTP %d with %s", status, body)
	}
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the page's policy is %q", policy)
	}
	status, body, shown = webUI.fetch(t, r.url+"/codec", r.body())
	if !shown || status != http.StatusOK {
		t.Fatalf("after the sign-in: HTTP %d, shown: %v, with %s", status, shown, body)
	}
	checkDecoded(t, answer{status: status, body: body, header: http.Header{"Cache-Control": {"no-store"}}})
	awaitLog(t, r.log, "by=session")

	// The same browser shows it to no other page, and to none that does without cookies.
	for name, other := range map[string]tab{
		"another port":   {origin: "http://127.0.0.1:8234", cookies: true, browser: browser},
		"another scheme": {origin: "https://127.0.0.1:8233", cookies: true, browser: browser},
		"another site":   {origin: "https://evil.example", cookies: true, browser: browser},
		"a file":         {origin: "null", cookies: true, browser: browser},
		"no cookies":     {origin: webUIOrigin, browser: browser},
	} {
		if status, body, shown := other.fetch(t, r.url+"/codec", r.body()); shown && status == http.StatusOK || strings.Contains(body, "canary") {
			t.Errorf("%s: HTTP %d, shown: %v, with %s", name, status, shown, body)
		}
	}
	// Nor does a request that a browser sends without asking first.
	cookie := browser.Jar.Cookies(must(url.Parse(r.url + "/codec/")))[0]
	for _, origin := range []string{"https://evil.example", "null", ""} {
		a := r.decode(t, "Origin", origin, "Cookie", cookie.String(), "Content-Type", "text/plain")
		if a.status != http.StatusUnauthorized || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("from %q: HTTP %d with %v", origin, a.status, a.header)
		}
	}
	leave, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/codec/sign-out", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := browser.Do(leave); err != nil {
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	if status, _, _ := webUI.fetch(t, r.url+"/codec", r.body()); status != http.StatusUnauthorized {
		t.Errorf("after the sign-out: HTTP %d", status)
	}
}

func TestCodecSession(t *testing.T) {
	t.Parallel()
	var s *Starter
	r := newCodecRig(t, func(starter *Starter) { s = starter })
	endpoint := &codecEndpoint{Starter: s, tries: newTries(triesPerSecond, triesAtOnce)}
	use := func(value string) int {
		return r.decode(t, "Origin", webUIOrigin, "Cookie", sessionCookie+"="+value).status
	}
	good := must(endpoint.newSession(time.Now().Add(time.Minute)))
	if use(good) != http.StatusOK {
		t.Error("a session does not let in")
	}
	before := s.Codec.Token
	s.Codec.Token = secret.New("another-token-of-the-codec")
	ofAnother := must(endpoint.newSession(time.Now().Add(time.Minute)))
	s.Codec.Token = before
	for name, value := range map[string]string{
		"expired":                 must(endpoint.newSession(time.Now().Add(-time.Second))),
		"of another token":        ofAnother,
		"altered":                 altered(good),
		"the token itself":        codecToken,
		"nothing":                 "",
		"some other sealed thing": string(must(json.Marshal(must(s.Sealer.Seal(make([]byte, 40), secret.Binding{Purpose: "mcp endpoint"}))))),
	} {
		if status := use(value); status != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", name, status)
		}
	}
	if strings.Contains(good, codecToken) {
		t.Error("the cookie holds the token")
	}
	for proto, secure := range map[string]bool{"": false, "http": false, "https": true} {
		a := must(doOnce(t, r.url+"/codec/", "token="+url.QueryEscape(codecToken), proto))
		cookie := a.header.Get("Set-Cookie")
		for _, want := range []string{sessionCookie + "=", "Path=/codec", "HttpOnly", "SameSite=Strict", "Max-Age=7200"} {
			if !strings.Contains(cookie, want) {
				t.Errorf("%q: the cookie %q lacks %s", proto, cookie, want)
			}
		}
		if strings.Contains(cookie, "Secure") != secure {
			t.Errorf("%q: the cookie is %q", proto, cookie)
		}
	}
}

// doOnce sends a form and does not follow where the answer leads.
func doOnce(t *testing.T, url, form, proto string) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(form))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-Proto", proto)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	return answer{resp.StatusCode, resp.Header, readAll(t, resp)}, nil
}

func TestCodecTriesAreLimited(t *testing.T) {
	t.Parallel()
	r := newCodecRig(t)
	refused := 0
	for range 2 * triesAtOnce {
		if r.decode(t, "Authorization", "Bearer wrong").status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("wrong tokens can be tried without end")
	}
	if status, _, header := r.submit(t, newBrowser(t), codecToken); status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("meanwhile a form is taken: HTTP %d", status)
	}
	// Those who show the right one are not counted.
	other := newCodecRig(t)
	for range 3 * triesAtOnce {
		if a := other.decode(t, "Authorization", "Bearer "+codecToken); a.status != http.StatusOK {
			t.Fatalf("HTTP %d with %s", a.status, a.body)
		}
	}
}

func TestCodecRefuses(t *testing.T) {
	t.Parallel()
	r := newCodecRig(t)
	auth := []string{"Authorization", "Bearer " + codecToken}
	large := must(do(t.Context(), http.MethodPost, r.url+"/codec/decode", strings.NewReader(strings.Repeat("x", maxCodecBody+1)), auth...))
	if large.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: HTTP %d", large.status)
	}
	for name, body := range map[string]string{
		"not JSON": "x", "altered": strings.Replace(r.body(), `"data":"`, `"data":"AQID`, 1),
	} {
		a := must(do(t.Context(), http.MethodPost, r.url+"/codec/decode", strings.NewReader(body), auth...))
		if a.status != http.StatusBadRequest || strings.Contains(a.body, "canary") {
			t.Errorf("%s: HTTP %d with %s", name, a.status, a.body)
		}
	}
	if a := must(do(t.Context(), http.MethodGet, r.url+"/codec/decode", nil, auth...)); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: HTTP %d", a.status)
	}
	if a := must(do(t.Context(), http.MethodPost, r.url+"/codec/other", nil, auth...)); a.status != http.StatusNotFound {
		t.Errorf("another action: HTTP %d", a.status)
	}
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	return string(must(io.ReadAll(resp.Body)))
}

// altered is a text with another character in its middle: at the end of base64 there may be bits that nobody reads.
func altered(s string) string {
	middle, other := len(s)/2, "A"
	if s[middle] == 'A' {
		other = "B"
	}
	return s[:middle] + other + s[middle+1:]
}
