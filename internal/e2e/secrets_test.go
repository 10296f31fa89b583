package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"perdure/internal/events/eventstest"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev"
	"perdure/internal/temporaldev/temporaldevtest"
)

// The secrets of this test, by the place that takes them. Each has characters that every encoding changes.
var canaries = map[string]string{
	"API key":              "cnry+api/key=01?&f3a9",
	"other API key":        "cnry+other/api=02?&b7d1",
	"authorization":        "cnry+authz/of=03?&c5e2",
	"header":               "cnry+header/of=04?&d8f3",
	"path of a server":     "cnry+path/of=05?&e1a4",
	"query of a server":    "cnry+query/of=06?&f2b5",
	"key of the provider":  "cnry+provider/key=07?&a3c6",
	"header of a provider": "cnry+provider/header=08?&b4d7",
	"URL of a webhook":     "cnry+hook/url=09?&c5e8",
}

// hookSecret signs webhooks.
var hookSecret = []byte("cnry+hook/secret=11?&e7a1-and-more")

// content is no secret: it must be found wherever content is kept, or the search is not worth anything.
const content = "content-of-the-conversation-5b1c"

// haul is everything that the system has shown or stored, by place.
type haul struct {
	mu     sync.Mutex
	places map[string][]byte
}

func (h *haul) add(place string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places[place] = append(append(h.places[place], data...), '\n')
}

// answer keeps an answer with its headers.
func (h *haul) answer(a answer) answer {
	for name, values := range a.header {
		h.add("answers", []byte(name+": "+strings.Join(values, ", ")))
	}
	h.add("answers", a.body)
	return a
}

// files adds what lies below a directory, but for the files of some names.
func (h *haul) files(t *testing.T, place, dir string, but ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, name := range but {
			if d.Name() == name {
				return nil
			}
		}
		data, err := os.ReadFile(path)
		h.add(place, []byte(path))
		h.add(place, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// temporal adds what Temporal tells of every workflow: its description and its history, in binary and as JSON.
func (h *haul) temporal(t *testing.T, s *stack) {
	t.Helper()
	add := func(place string, m proto.Message) {
		binary, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		h.add(place, binary)
		h.add(place, text)
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", PageSize: 100}
	for {
		page, err := s.temporal.ListWorkflow(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, execution := range page.GetExecutions() {
			add("visibility", execution)
			described, err := s.temporal.DescribeWorkflowExecution(t.Context(), execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId())
			if err != nil {
				t.Fatal(err)
			}
			add("descriptions", described)
			past, err := s.history(t.Context(), execution.GetExecution().GetWorkflowId())
			if err != nil {
				t.Fatal(err)
			}
			add("histories", past)
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return
		}
	}
}

// check looks for every secret in every place.
func (h *haul) check(t *testing.T, secrets map[string]string) {
	t.Helper()
	for place, data := range h.places {
		for name, secret := range secrets {
			if leaks(data, secret) {
				t.Errorf("%s: shows the %s", place, name)
			}
		}
	}
}

// peers are the others that Perdure talks to. What each is sent must hold its own secrets and nobody else's.
type peers struct {
	mu   sync.Mutex
	sent map[string][]byte
}

func (p *peers) record(peer string, r *http.Request, body []byte) {
	all := []byte(r.URL.String() + "\n")
	for name, values := range r.Header {
		all = append(all, name+": "+strings.Join(values, ", ")+"\n"...)
	}
	p.add(peer, append(all, body...))
}

func (p *peers) add(peer string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[peer] = append(append(p.sent[peer], data...), '\n')
}

func (p *peers) check(t *testing.T, own map[string][]string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for peer, names := range own {
		data := p.sent[peer]
		if len(data) == 0 {
			t.Errorf("the %s was sent nothing", peer)
		}
		mine := map[string]bool{}
		for _, name := range names {
			mine[name] = true
		}
		for name, secret := range canaries {
			if got := leaks(data, secret); got != mine[name] {
				t.Errorf("the %s was sent the %s: %t, want %t", peer, name, got, mine[name])
			}
		}
	}
}

// echoed is what a server says that knows its caller's secrets and tells them in every form. It is fit for JSON.
func echoed(r *http.Request) string {
	var all []string
	add := func(s string) {
		all = append(all, s, url.QueryEscape(s), url.PathEscape(s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)))
	}
	add(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	add(r.Header.Get("X-Canary"))
	add(r.URL.Query().Get("token"))
	add(strings.TrimPrefix(r.URL.Path, "/"))
	text, err := json.Marshal(strings.Join(append(all, r.URL.String(), r.RequestURI), " "))
	if err != nil {
		panic(err) // a string can be encoded
	}
	return string(text[1 : len(text)-1])
}

// tell answers with what make makes of the echo.
func tell(make func(echo string) mcptest.Answer) mcptest.Answer {
	return func(w http.ResponseWriter, r *http.Request, m mcptest.Message) { make(echoed(r))(w, r, m) }
}

func plainText(status int) mcptest.Answer {
	return tell(func(e string) mcptest.Answer { return mcptest.Body(status, "text/plain", e) })
}

// indiscreet are servers that tell what they know, by what they do wrong: in their answer to tools/list, or to tools/call.
func indiscreet() (lists, calls map[string]mcptest.Answer) {
	faults := map[string]mcptest.Answer{
		"unauthorized": plainText(401), "forbidden": plainText(403), "not found": plainText(404), "server error": plainText(500),
		"not JSON": tell(func(e string) mcptest.Answer { return mcptest.Body(200, "application/json", e) }),
		"no MCP":   tell(func(e string) mcptest.Answer { return mcptest.Body(200, "text/html", e) }),
		"redirect": tell(func(e string) mcptest.Answer {
			return mcptest.Status(302, "Location", "http://127.0.0.1:1/?"+url.QueryEscape(e))
		}),
		"error":   tell(func(e string) mcptest.Answer { return mcptest.Error(-32000, e) }),
		"events":  tell(func(e string) mcptest.Answer { return mcptest.Events(e) }),
		"cut off": tell(func(e string) mcptest.Answer { return mcptest.Cut("application/json", e) }),
	}
	lists, calls = map[string]mcptest.Answer{}, map[string]mcptest.Answer{}
	for name, answer := range faults {
		lists[name], calls[name] = answer, answer
	}
	lists["description"] = tell(func(e string) mcptest.Answer {
		return mcptest.Result(`{"tools":[{"name":"t","description":"` + e + `","inputSchema":{"type":"object","title":"` + e + `"}}]}`)
	})
	calls["text"] = tell(func(e string) mcptest.Answer {
		return mcptest.Result(`{"content":[{"type":"text","text":"` + content + e + strings.Repeat(" "+content, 1000) + `"}]}`)
	})
	calls["failure"] = tell(func(e string) mcptest.Answer {
		return mcptest.Result(`{"content":[{"type":"text","text":"` + e + `"}],"isError":true}`)
	})
	calls["structure"] = tell(func(e string) mcptest.Answer {
		return mcptest.Result(`{"content":[],"structuredContent":{"a":"` + e + `"}}`)
	})
	return lists, calls
}

// indiscreetModel repeats its caller's secrets where it is asked to.
func indiscreetModel(r modeltest.Request) modeltest.Reply {
	secrets := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + " " + r.Header.Get("X-Canary")
	said, err := json.Marshal(secrets)
	if err != nil {
		panic(err) // a string can be encoded
	}
	asked := func(words string) bool { return bytes.Contains(r.Body, []byte("please "+words)) }
	switch {
	case asked("refuse"):
		return modeltest.Status(http.StatusUnauthorized, nil, `{"error":{"message":`+string(said)+`,"code":`+string(said)+`}}`)
	case asked("break"):
		return modeltest.Raw(`data: {"error":{"message":` + string(said) + `}}` + "\n\n")
	case asked("babble"):
		return modeltest.Raw(secrets + "\n\ndata: " + secrets + "\n\n")
	case asked("fail"):
		return modeltest.Status(http.StatusBadRequest, http.Header{"Content-Type": {"text/html"}}, "<html>"+secrets)
	case asked("call") && r.Turn() == 0:
		return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: `{"note":"` + content + `"}`})
	default:
		return modeltest.Text("done " + content)
	}
}

// secretTool is a server as a tool, with a secret in each place that takes one.
func secretTool(base string) string {
	tool, err := json.Marshal(map[string]any{
		"type": "mcp", "server_label": "s",
		"server_url":    base + "/" + url.PathEscape(canaries["path of a server"]) + "?token=" + url.QueryEscape(canaries["query of a server"]),
		"authorization": canaries["authorization"], "headers": map[string]string{"X-Canary": canaries["header"]},
	})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return string(tool)
}

// secretStack is a stack whose every secret is marked. What it talks to tells all that it knows.
type secretStack struct {
	*stack
	haul   *haul
	peers  *peers
	server *temporaldev.Server
	nats   *eventstest.Server
	db     string // a directory
	log    string // a directory
	model  *modeltest.Server
}

func newSecretStack(t *testing.T, settings string) *secretStack {
	t.Helper()
	s := &secretStack{haul: &haul{places: map[string][]byte{}}, peers: &peers{sent: map[string][]byte{}}, db: t.TempDir(), log: t.TempDir()}
	s.server = temporaldevtest.StartIn(t, s.db)
	s.model = modeltest.NewFunc(indiscreetModel)
	t.Cleanup(func() {
		if err := s.model.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if s.nats, err = eventstest.Start(s.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nats.Stop)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.peers.record("webhook", r, body)
		http.Error(w, r.URL.String()+" "+canaries["URL of a webhook"], http.StatusBadGateway)
	}))
	t.Cleanup(hook.Close)
	s.stack = ownStack(t, stackOptions{
		Temporal: s.server.Address, Model: s.model.URL(), Events: s.nats.URL(), Header: "E2E_PROVIDER_HEADER",
		Settings: fmt.Sprintf("webhooks:\n  - name: hook\n    url: \"%s/%s\"\n    secret_env: E2E_HOOK_SECRET\n%s",
			hook.URL, url.PathEscape(canaries["URL of a webhook"]), settings),
		Env: []string{
			"E2E_API_KEY=" + canaries["API key"], "E2E_OTHER_API_KEY=" + canaries["other API key"],
			"E2E_MODEL_KEY=" + canaries["key of the provider"], "E2E_PROVIDER_HEADER=" + canaries["header of a provider"],
			"E2E_HOOK_SECRET=whsec_" + base64.StdEncoding.EncodeToString(hookSecret), "PERDURE_LOG_LEVEL=debug",
		},
	})
	return s
}

// call makes a request with the marked key and keeps the answer.
func (s *secretStack) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := send(t.Context(), method, s.url+"/v1"+path, canaries["API key"], body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return s.haul.answer(a)
}

// mcp starts a server that answers a method as it is told to.
func (s *secretStack) mcp(t *testing.T, method string, answer mcptest.Answer) *mcptest.Hostile {
	t.Helper()
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On(method, func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		s.peers.record("MCP server", r, m.Params)
		answer(w, r, m)
	})
	return server
}

// drive has everything succeed and fail.
func (s *secretStack) drive(t *testing.T) {
	t.Helper()
	lists, calls := indiscreet()
	for name, answer := range lists {
		server := s.mcp(t, "tools/list", answer)
		a := s.call(t, http.MethodPost, "/responses", `{"input":"`+content+`","tools":[`+secretTool(server.HTTP().URL)+`]}`)
		if want := name != "description"; (a.status == http.StatusFailedDependency) != want {
			t.Errorf("list %s: got status %d: %s", name, a.status, a.body)
		}
	}
	var last string
	for name, answer := range calls {
		server := s.mcp(t, "tools/call", answer)
		for _, stream := range []string{"false", "true"} {
			a := s.call(t, http.MethodPost, "/responses",
				`{"input":"please call `+content+`","stream":`+stream+`,"tools":[`+secretTool(server.HTTP().URL)+`]}`)
			if a.status != http.StatusOK || server.Count("tools/call") == 0 {
				t.Errorf("call %s: got status %d: %s", name, a.status, a.body)
			}
			if stream == "false" {
				last = a.decode(t).ID
			}
		}
	}
	for _, words := range []string{"refuse", "break", "babble", "fail"} {
		s.call(t, http.MethodPost, "/responses", `{"input":"please `+words+`","stream":true}`)
		s.call(t, http.MethodPost, "/responses", `{"input":"please `+words+`"}`)
	}
	s.driveOne(t, last)
	s.driveRefusals(t)
	s.driveKill(t)
}

// driveOne does to a response what can be done to one.
func (s *secretStack) driveOne(t *testing.T, id string) {
	t.Helper()
	for _, path := range []string{"", "?stream=true", "/input_items"} {
		if a := s.call(t, http.MethodGet, "/responses/"+id+path, ""); a.status != http.StatusOK {
			t.Errorf("GET %s: status %d: %s", path, a.status, a.body)
		}
	}
	s.call(t, http.MethodGet, "/responses", "")
	s.call(t, http.MethodPost, "/responses", `{"input":"go on","previous_response_id":"`+id+`"}`)
	s.call(t, http.MethodPost, "/responses/"+id+"/cancel", "")
	conversation := s.call(t, http.MethodPost, "/conversations", `{"items":[{"type":"message","role":"user","content":"`+content+`"}]}`)
	var c struct{ ID string }
	if err := json.Unmarshal(conversation.body, &c); err != nil || c.ID == "" {
		t.Fatalf("no conversation: %s", conversation.body)
	}
	s.call(t, http.MethodPost, "/responses", `{"input":"go on","conversation":"`+c.ID+`"}`)
	s.call(t, http.MethodGet, "/conversations/"+c.ID+"/items", "")
	for _, input := range []string{"go on", "please refuse"} { // the webhook hears of them
		server := s.mcp(t, "tools/list", lists())
		var r response
		a := s.call(t, http.MethodPost, "/responses", `{"background":true,"input":"`+input+`","tools":[`+secretTool(server.HTTP().URL)+`]}`)
		if err := json.Unmarshal(a.body, &r); err != nil {
			t.Fatal(err)
		}
		s.awaitEnd(t, r.ID)
	}
}

// lists is a server that answers as it should.
func lists() mcptest.Answer {
	return mcptest.Result(`{"tools":[{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}`)
}

// awaitEnd polls a response until it has ended.
func (s *secretStack) awaitEnd(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		switch r := s.call(t, http.MethodGet, "/responses/"+id, "").decode(t); r.Status {
		case "queued", "in_progress":
		default:
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the response has not ended after %v", startTimeout)
		case <-time.After(pollEvery):
		}
	}
}

// driveRefusals sends secrets where none belong.
func (s *secretStack) driveRefusals(t *testing.T) {
	t.Helper()
	secret, quoted := canaries["authorization"], url.QueryEscape(canaries["authorization"])
	tool := func(members string) string {
		return `{"input":"x","tools":[{"type":"mcp","server_label":"s",` + members + `}]}`
	}
	for _, body := range []string{
		tool(`"server_url":"https://user:` + quoted + `@mcp.example.com/mcp"`),
		tool(`"server_url":"http://mcp.example.com/` + quoted + `"`),
		tool(`"server_url":"https://10.0.0.1/` + quoted + `"`),
		tool(`"server_url":"https://mcp.example.com/%zz` + quoted + `"`),
		tool(`"server_url":"https://mcp.example.com/#` + quoted + `"`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `\n"`),
		tool(`"server_url":"https://mcp.example.com","authorization":{"` + secret + `":1}`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `","headers":{"Authorization":"` + secret + `"}`),
		tool(`"server_url":"https://mcp.example.com","headers":{"Host":"` + secret + `"}`),
		tool(`"server_url":"https://mcp.example.com","headers":{"X-Canary":["` + secret + `"]}`),
		tool(`"server_url":"https://mcp.example.com","headers":"` + secret + `"`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `","require_approval":"perhaps"`),
		tool(`"authorization":"` + secret + `"`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `"`)[1:],
	} {
		if a := s.call(t, http.MethodPost, "/responses", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: got status %d: %s", body, a.status, a.body)
		}
	}
	a, err := send(t.Context(), http.MethodGet, s.url+"/v1/responses", secret, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.haul.answer(a); a.status != http.StatusUnauthorized {
		t.Errorf("got status %d for an unknown key", a.status)
	}
}

// driveKill has a worker die in the middle of a call, and Temporal and the log go away.
func (s *secretStack) driveKill(t *testing.T) {
	t.Helper()
	server := s.mcp(t, "tools/call", mcptest.Silent())
	body := `{"input":"please call ` + content + `","background":true,"tools":[` + secretTool(server.HTTP().URL) + `]}`
	var r response
	if err := json.Unmarshal(s.call(t, http.MethodPost, "/responses", body, "Idempotency-Key", "once").body, &r); err != nil {
		t.Fatal(err)
	}
	if err := server.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	s.worker.kill()
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	s.awaitEnd(t, r.ID)
	s.call(t, http.MethodPost, "/responses", strings.Replace(body, "please call", "something else", 1), "Idempotency-Key", "once")
	if !bytes.Contains(s.call(t, http.MethodGet, "/responses/"+r.ID, "").body, []byte("outcome of this call is unknown")) {
		t.Error("the call that was cut off does not say so")
	}
}

// away has the log and Temporal go away, and collects what they keep.
func (s *secretStack) away(t *testing.T) {
	t.Helper()
	s.nats.Stop()
	s.server.Kill()
	s.call(t, http.MethodPost, "/responses", `{"input":"x","tools":[`+secretTool("https://mcp.example.com")+`]}`)
	for _, p := range s.processes {
		p.kill()
		s.haul.add("logs", p.output.since(0))
	}
	s.haul.files(t, "database", s.db)
	s.haul.files(t, "event log", s.log)
	s.haul.files(t, "data directory", s.dataDir(), "keyset.json")
}

// TestSecretsShowNowhere puts a marked secret into every place that takes one, has everything succeed and fail, and looks for the
// secrets in all that was answered, logged and stored. With encrypted payloads it looks for content, too.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{"plain": "", "encrypted": "encryption:\n  payloads: true\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecretStack(t, settings)
			s.drive(t)
			s.haul.temporal(t, s.stack)
			for _, r := range s.model.Requests() {
				for header, values := range r.Header {
					s.peers.add("provider", []byte(header+": "+strings.Join(values, ", ")))
				}
				s.peers.add("provider", r.Body)
			}
			secrets := maps.Clone(canaries)
			secrets["secret of a webhook"] = string(hookSecret)
			for i, key := range keysOf(t, filepath.Join(s.dataDir(), "keyset.json")) {
				secrets[fmt.Sprintf("key %d of the keyset", i)] = key
			}
			s.away(t)
			s.haul.check(t, secrets)
			s.haul.checkContent(t, name == "encrypted")
			s.peers.check(t, map[string][]string{
				"provider":   {"key of the provider", "header of a provider"},
				"MCP server": {"authorization", "header", "path of a server", "query of a server"},
				"webhook":    {"URL of a webhook"},
			})
		})
	}
}

// checkContent: where content is kept it must be found, unless it is encrypted.
func (h *haul) checkContent(t *testing.T, encrypted bool) {
	t.Helper()
	for place, kept := range map[string]bool{
		"answers": true, "histories": !encrypted, "visibility": false, "descriptions": false, "database": !encrypted, "event log": !encrypted,
		"data directory": !encrypted, "logs": false,
	} {
		data, ok := h.places[place]
		if !ok {
			t.Errorf("%s: nothing was searched", place)
		}
		if got := leaks(data, content); got != kept {
			t.Errorf("%s: has content: %t, want %t", place, got, kept)
		}
	}
}

// keysOf returns the keys of a keyset as they are in the file's own encoding, without their type.
func keysOf(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var keyset struct {
		Key []struct{ KeyData struct{ Value []byte } }
	}
	if err := json.Unmarshal(data, &keyset); err != nil || len(keyset.Key) == 0 {
		t.Fatalf("no keys in %s: %v", file, err)
	}
	var keys []string
	for _, k := range keyset.Key {
		const keyBytes = 32 // at the end of the message that holds it
		keys = append(keys, string(k.KeyData.Value[len(k.KeyData.Value)-keyBytes:]))
	}
	return keys
}
