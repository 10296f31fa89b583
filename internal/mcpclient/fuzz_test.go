package mcpclient

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// fuzzedID is that of the request whose answer is fuzzed.
const fuzzedID = "7"

// FuzzEventStream checks what the SDK sees of a stream: whole messages and no others, the last of them the one answer to the request;
// that the exchange ends with a result or an error; and that neither depends on how the bytes arrive.
func FuzzEventStream(f *testing.F) {
	for _, body := range []string{
		"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[]}}\n\n",
		"id: 1\r\ndata:\r\n\r\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":7,\"error\":{\"code\":-32603,\"message\":\"m\"}}\n",
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"ping\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1e400}\n\n",
		"event: endpoint\ndata: https://elsewhere.example.com/\n\ndata: []\n\n",
		"data: {\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":{}}\n\n", ": comment\n\n", "", "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{},\"error\":{}}\n\n",
		"data: {\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":null}\n\n",
		"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":\"" + strings.Repeat("x", 5000) + "\"}}\n\n",
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, standIn bool) {
		whole := readStream(t, bytes.NewReader(body), standIn)
		if diff := cmp.Diff(whole, readStream(t, iotest.OneByteReader(bytes.NewReader(body)), standIn)); diff != "" {
			t.Fatalf("read byte by byte, the stream is another (-whole +bytes):\n%s", diff)
		}
		if (whole.Result == "") == (whole.Failure == "") {
			t.Fatalf("result %q and error %q", whole.Result, whole.Failure)
		}
		if whole.Result != "" && !bytes.Contains(body, []byte(strings.SplitN(whole.Result, "\n", 2)[0])) {
			t.Fatalf("the result %q is not what was sent", whole.Result)
		}
		answers := 0
		for i, text := range whole.Seen {
			m, err := parseMessage([]byte(text))
			if err != nil {
				t.Fatalf("the SDK sees %q: %v", text, err)
			}
			if m.answers(json.RawMessage(fuzzedID)) {
				answers++
			} else if m.method == "" || m.id == nil {
				t.Fatalf("the SDK sees %q, which is neither the answer nor a request", text)
			}
			if last := i == len(whole.Seen)-1; last != m.answers(json.RawMessage(fuzzedID)) {
				t.Fatalf("the SDK sees the answer as message %d of %d", i+1, len(whole.Seen))
			}
		}
		if answers != 1 {
			t.Fatalf("the SDK sees %d answers", answers)
		}
	})
}

// seenStream is what came of a stream.
type seenStream struct {
	Seen            []string // by the SDK
	Result, Failure string
}

func readStream(t *testing.T, body io.Reader, standIn bool) seenStream {
	t.Helper()
	ex := &exchange{methods: []string{methodCall}, maxBytes: 4 << 10, cancel: func(error) {}}
	if standIn {
		ex.standIn = `{"content":[]}`
	}
	s := (&guard{serverRequests: newServerRequests()}).newEventStream(t.Context(), io.NopCloser(body), ex, json.RawMessage(fuzzedID), nil)
	all, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out := seenStream{Result: string(ex.result)}
	if ex.err != nil {
		out.Failure = ex.err.Message
		if ex.err.Stage == "" || ex.err.Message == "" || len(ex.err.Message) > 200 {
			t.Fatalf("error %#v", ex.err)
		}
	}
	var data []string
	for lines := bufio.NewScanner(bytes.NewReader(all)); lines.Scan(); {
		line, isData := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case isData:
			data = append(data, line)
		case lines.Text() == "" && len(data) > 0:
			out.Seen, data = append(out.Seen, strings.Join(data, "\n")), nil
		default:
			t.Fatalf("the SDK gets the line %q", lines.Text())
		}
	}
	return out
}

// FuzzResult checks that any result of a call becomes text of a bounded size, and an error only where it says so.
func FuzzResult(f *testing.F) {
	for _, result := range []string{
		`{"content":[{"type":"text","text":"a"},{"type":"text","text":"\ud800"}],"isError":true}`,
		`{"content":[{"type":"image","mimeType":"image/png","data":"AAAA"},{"type":"video"},{"type":"audio","data":5},7,null]}`,
		`{"content":[{"type":"resource","resource":{"uri":"file:///a","text":"t"}},{"type":"resource","resource":{"blob":"AA=="}},{"type":"resource"}]}`,
		`{"content":[{"type":"resource_link","uri":"\u202ehttps://a"}],"structuredContent":{ "a" : 1e400 }}`,
		`{"structuredContent":[9007199254740993]}`, `{"content":"str"}`, `{"resultType":"input_required"}`, `[]`, `null`, "{\"content\":[{\"type\":\"text\",\"text\":\"\xff\"}]}",
		`{"content":[{"type":"` + strings.Repeat("x", 600) + `"}],"isError":"true"}`,
	} {
		f.Add([]byte(result))
	}
	const key = "the-key/of+the=server-01"
	f.Add([]byte(`{"structuredContent":{"a":"the-key\/of\u002bthe=server-01","the-key/of+the=server-01":1}}`))
	f.Add([]byte(`{"content":[{"type":"text","text":"{\"a\":\"the-key\\/of+the=server-01\"}"}]}`))
	secrets := newRedactor(Server{URL: "https://a/", Header: http.Header{"X-Key": {key}}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // never gets here
		}
		result, failure := parseResult(raw, secrets)
		if failure != nil {
			if failure.Sent != Answered || failure.Stage != StageProtocol || result != (Result{}) {
				t.Fatalf("%+v with %+v", failure, result)
			}
			return
		}
		if !utf8.ValidString(result.Output) {
			t.Fatalf("%q is not UTF-8", result.Output)
		}
		var decoded any
		if json.Unmarshal([]byte(result.Output), &decoded) == nil {
			if text, err := json.Marshal(decoded); err != nil || secrets.Found(string(text)) {
				t.Fatalf("%s has the key", result.Output)
			}
		}
		if secrets.Found(result.Output) {
			t.Fatalf("%q has the key", result.Output)
		}
		// A part that is not text becomes a line of words, from at least one byte and its comma.
		if most := 64 + 40*len(raw); len(result.Output) > most {
			t.Fatalf("%d bytes of output from %d", len(result.Output), len(raw))
		}
		var said struct {
			IsError json.RawMessage `json:"isError"`
		}
		if json.Unmarshal(raw, &said) == nil && result.IsError && string(said.IsError) != "true" {
			t.Fatalf("%s is taken for an error", raw)
		}
	})
}

// FuzzTool checks that what is offered of a tool is what its server wrote, within the bounds, and without the credentials of the server.
func FuzzTool(f *testing.F) {
	const key = "the-key-of-the-server-01"
	for _, tool := range []string{
		`{"name":"t","description":"d","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true,"idempotentHint":false}}`,
		`{"name":"t","inputSchema":{"a":[{"maximum":9223372036854775807}],"$ref":"https://a"}}`, `{"name":"t","inputSchema":{"a":1e400}}`,
		`{"name":"` + key + `","inputSchema":{}}`, `{"name":"t","description":"say ` + key + `","inputSchema":{}}`, `{"name":"t","inputSchema":{"a":"` + key + `"}}`,
		`{"name":"t","inputSchema":` + strings.Repeat(`{"a":`, 40) + `{}` + strings.Repeat(`}`, 40) + `}`, `{"name":"\u202et","inputSchema":true}`, `{"name":"t","inputSchema":null}`,
		`{"name":"t","inputSchema":{"a":"the-key-of-the-server\u002d01"}}`, `{"name":"t","inputSchema":{"a":1,"a":2}}`, "{\"name\":\"t\",\"inputSchema\":{\"\xff\":1}}", `7`, `{"name":"é","description":"` + strings.Repeat("é", 100) + `","inputSchema":{}}`,
	} {
		f.Add([]byte(tool))
	}
	p := toolParser{maxSchema: 300, maxDescription: 101, secrets: newRedactor(Server{URL: "https://a/?key=" + key})}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // never gets here
		}
		tool, reason := p.parse(raw)
		if len(reason) > 200 || len(p.secrets.clean(tool.Name, maxToolName)) > maxToolName {
			t.Fatalf("dropped %q because of %q", tool.Name, reason)
		}
		if reason != "" {
			return
		}
		switch {
		case !bytes.Contains(raw, tool.InputSchema):
			t.Fatalf("the schema %s is not what was sent", tool.InputSchema)
		case len(tool.InputSchema) > p.maxSchema, len(tool.Description) > p.maxDescription:
			t.Fatalf("%d bytes of schema, %d of description", len(tool.InputSchema), len(tool.Description))
		case !utf8.Valid(tool.InputSchema), !utf8.ValidString(tool.Name), !utf8.ValidString(tool.Description):
			t.Fatalf("%+v is not UTF-8", tool)
		case checkToolName(tool.Name) != "" || tool.Name == "":
			t.Fatalf("the name is %q", tool.Name)
		case strings.Contains(tool.Name+tool.Description+string(tool.InputSchema), key):
			t.Fatalf("%+v has the key", tool)
		}
		// Whoever reads the schema, escapes and all, reads no key.
		var schema map[string]any
		if err := json.Unmarshal(tool.InputSchema, &schema); err != nil {
			t.Fatalf("the schema %s: %v", tool.InputSchema, err)
		}
		plain, err := json.Marshal(schema)
		if err != nil || bytes.Contains(plain, []byte(key)) {
			t.Fatalf("the schema %s has the key: %v", tool.InputSchema, err)
		}
	})
}

// FuzzCheckHeader checks that a header which is allowed arrives at a server as itself, and that nothing else does with it.
func FuzzCheckHeader(f *testing.F) {
	f.Add("X-Api-Key", "value")
	f.Add("authorization", "Bearer a b")
	f.Add("Host", "elsewhere")
	f.Add("X-A", "v\r\nX-B: 1")
	f.Add("X_a.b!", "")
	f.Add("Transfer-encoding", "chunked")
	f.Fuzz(func(t *testing.T, name, value string) {
		err := CheckHeader(name, value)
		if err != nil {
			if len(value) > 12 && strings.Contains(err.Error(), value) && !strings.Contains(name, value) {
				t.Fatalf("the error shows the value: %v", err)
			}
			return
		}
		u := &url.URL{Scheme: "http", Host: "mcp.example.com"}
		req := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2}
		g := &guard{header: http.Header{name: {value}}, userAgent: "perdure"}
		g.dress(req)
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatalf("%q: %q cannot be sent: %v", name, value, err)
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("%q: %q cannot be read: %v", name, value, err)
		}
		want := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"perdure"}, "Content-Length": {"2"}}
		canonical := http.CanonicalHeaderKey(name)
		want[canonical] = []string{value}
		if canonical == "User-Agent" && value == "" {
			delete(want, canonical) // net/http leaves it out
		}
		if diff := cmp.Diff(want, got.Header); diff != "" {
			t.Fatalf("a server gets other headers (-want +got):\n%s", diff)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != "{}" || got.Host != u.Host {
			t.Fatalf("a server gets the body %q for %s: %v", body, got.Host, err)
		}
	})
}

// FuzzMessage checks that what is taken for a message is one, and one only.
func FuzzMessage(f *testing.F) {
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"m"}}`, `{"jsonrpc":"2.0","method":"m"}`,
		`{"jsonrpc":"2.0","id":1,"RESULT":{}}`, `[]`, `{"jsonrpc":"2.0","id":null,"result":null,"error":null}`, `{"jsonrpc":"2.0","id":1,"method":"m","result":1}`,
		`{"jsonrpc":"2.0","id":1,"error":"text"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":"a","message":1}}`,
	} {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMessage(raw)
		if err != nil {
			if !errors.Is(err, errNotMessage) {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(raw) {
			t.Fatal("what is not JSON is taken for a message")
		}
		kinds := 0
		for _, is := range []bool{m.method != "", m.err != nil, m.method == "" && m.result != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Fatalf("%+v is of %d kinds", m, kinds)
		}
	})
}
