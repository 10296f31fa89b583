package starter

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"

	"perdure/internal/file"
	"perdure/internal/mcptest"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// apiDocument is openapi.yaml as far as tests need it. The schemas of OpenAPI 3.1 are JSON Schemas.
type apiDocument struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas   map[string]json.RawMessage `json:"schemas"`
		Responses map[string]documented      `json:"responses"`
	} `json:"components"`
}

type operation struct {
	RequestBody struct {
		Content map[string]struct {
			Schema   json.RawMessage
			Examples map[string]struct{ Value json.RawMessage }
		}
	} `json:"requestBody"`
	Responses map[string]documented `json:"responses"`
}

type documented struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema json.RawMessage }
}

var apiDoc = sync.OnceValue(func() apiDocument {
	var tree any
	if err := yaml.Unmarshal(openAPI, &tree); err != nil {
		panic(err)
	}
	var doc apiDocument
	// JSON Schema has definitions elsewhere than OpenAPI.
	text := strings.ReplaceAll(string(must(json.Marshal(tree))), "#/components/schemas/", "#/$defs/")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		panic(err)
	}
	return doc
})

// operations are all operations by their patterns, as routes have them.
func (d apiDocument) operations() map[string]operation {
	all := map[string]operation{}
	for path, members := range d.Paths {
		for method, raw := range members {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				panic(err)
			}
			all[strings.ToUpper(method)+" "+path] = o
		}
	}
	return all
}

// apiOperations are read once: every answer of most tests is looked up.
var apiOperations = sync.OnceValue(func() map[string]operation { return apiDoc().operations() })

var resolvedSchemas sync.Map // by their text

// check validates a value against a schema of the document.
func (d apiDocument) check(schema json.RawMessage, value []byte) error {
	resolved, ok := resolvedSchemas.Load(string(schema))
	if !ok {
		var s jsonschema.Schema
		text := must(json.Marshal(map[string]any{"$defs": d.Components.Schemas, "allOf": []json.RawMessage{schema}}))
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		resolved = must(s.Resolve(nil))
		resolvedSchemas.Store(string(schema), resolved)
	}
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	return resolved.(*jsonschema.Resolved).Validate(v)
}

// checkAnswer compares the answer to a request with what the document says of it.
func checkAnswer(t *testing.T, mux *http.ServeMux, method, address string, a answer) {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, address, nil))
	_, pattern := mux.Handler(r)
	doc := apiDoc()
	o, ok := apiOperations()[pattern]
	if !ok {
		return // of no part of the API
	}
	d, ok := o.Responses[strconv.Itoa(a.status)]
	if name, isRef := strings.CutPrefix(d.Ref, "#/components/responses/"); isRef {
		d = doc.Components.Responses[name]
	}
	if !ok {
		t.Errorf("%s answers with HTTP %d, which openapi.yaml does not have: %s", pattern, a.status, a.body)
		return
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if len(d.Content) == 0 || a.body == "" {
		return
	}
	content, ok := d.Content[kind]
	switch {
	case !ok:
		t.Errorf("%s answers HTTP %d with %s, which openapi.yaml does not have", pattern, a.status, kind)
	case kind == "application/json":
		if err := doc.check(content.Schema, []byte(a.body)); err != nil {
			t.Errorf("%s answers HTTP %d with what openapi.yaml does not describe: %v\n%s", pattern, a.status, err, a.body)
		}
	}
}

// allRoutes calls handle for each route that the API has where it has a database and files.
func allRoutes(handle func(pattern string, h http.Handler)) {
	whole := &Starter{Intake: &Intake{Options: Options{Files: &file.Service{}}, Store: &store.Store{}}}
	whole.apiRoutes(handle)
}

// apiMux tells the pattern of a request for the API.
var apiMux = sync.OnceValue(func() *http.ServeMux {
	mux := http.NewServeMux()
	allRoutes(mux.Handle)
	return mux
})

// TestOpenAPIRoutes: the file has each route of the API, and no other.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	var patterns []string
	allRoutes(func(pattern string, _ http.Handler) { patterns = append(patterns, pattern) })
	slices.Sort(patterns)
	if known := slices.Sorted(maps.Keys(apiDoc().operations())); !slices.Equal(known, patterns) {
		t.Errorf("openapi.yaml has %q\nwant each of %q", known, patterns)
	}
	m := newManaged(t)
	m.as(t, "ann", http.MethodGet, "/openapi.yaml", "").want(t, http.StatusOK, "openapi: 3.1.0")
}

// TestOpenAPIExamples: each example fits its schema, and the handlers take it.
func TestOpenAPIExamples(t *testing.T) {
	t.Parallel()
	server := mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true})
	count := 0
	for pattern, o := range apiDoc().operations() {
		if strings.Contains(pattern, schedulesPath) || runDecoder(pattern) != nil {
			continue // see TestScheduleExamples and TestRunExamples
		}
		content := o.RequestBody.Content["application/json"]
		for name, example := range content.Examples {
			count++
			t.Run(pattern+" "+name, func(t *testing.T) {
				t.Parallel()
				if err := apiDoc().check(content.Schema, example.Value); err != nil {
					t.Errorf("it does not fit the schema: %v", err)
				}
				m := newManaged(t)
				m.letMembersAdd(t, true)
				owner := "ann"
				if strings.HasSuffix(pattern, "/restrict") {
					owner = "alice"
				}
				path := m.add(t, owner, server, object{"headers": object{"X-Team": "before"}})
				method, to, _ := strings.Cut(pattern, " ")
				if strings.HasPrefix(to, connectorsPath) {
					to = strings.Replace(to, connectorsPath+"/{id}", path, 1)
				}
				to = strings.Replace(to, "{id}", "bob", 1)
				body := strings.ReplaceAll(string(example.Value), "https://mcp.example.com/mcp", server)
				m.as(t, "ann", method, to, body).want(t, http.StatusOK)
				// What the schema does not have, the handler does not take.
				unknown := strings.TrimSuffix(body, "}") + `,"unknown":1}`
				if body == "{}" {
					unknown = `{"unknown":1}`
				}
				m.as(t, "ann", method, to, unknown).want(t, http.StatusBadRequest, `"param":"unknown"`)
				if err := apiDoc().check(content.Schema, []byte(unknown)); err == nil {
					t.Error("the schema takes unknown members")
				}
			})
		}
	}
	if count < 15 {
		t.Errorf("%s: there are %d examples", fmt.Sprint(slices.Sorted(maps.Keys(apiDoc().operations()))), count)
	}
}

// runDecoder returns what reads the body of a route of responses or conversations; nil for other routes.
func runDecoder(pattern string) func(body []byte) error {
	switch pattern {
	case "POST /v1/responses", "POST /v1/agent", "POST /v1/responses/input_tokens", "POST /v1/agent/input_tokens":
		return func(body []byte) error { _, err := responses.DecodeRequest(body, responses.DialectAgent); return err }
	case "POST /v1/responses/compact", "POST /v1/agent/compact":
		return func(body []byte) error { _, err := responses.DecodeCompaction(body); return err }
	case "POST /v1/conversations":
		return func(body []byte) error { _, err := responses.DecodeConversation(body); return err }
	case "POST /v1/conversations/{id}":
		return func(body []byte) error { _, err := responses.DecodeConversationUpdate(body); return err }
	case "POST /v1/conversations/{id}/items":
		return func(body []byte) error { _, err := responses.DecodeConversationItems(body); return err }
	default:
		return nil
	}
}

// TestRunExamples: each example of a request for a response or a conversation fits its schema, and the decoder takes it and no other members.
func TestRunExamples(t *testing.T) {
	t.Parallel()
	count := 0
	for pattern, o := range apiDoc().operations() {
		decode := runDecoder(pattern)
		content := o.RequestBody.Content["application/json"]
		if decode == nil {
			continue
		}
		if len(content.Examples) == 0 {
			t.Errorf("%s has no example", pattern)
		}
		for name, example := range content.Examples {
			count++
			if err := errors.Join(apiDoc().check(content.Schema, example.Value), decode(example.Value)); err != nil {
				t.Errorf("%s %s: %v", pattern, name, err)
			}
			unknown := []byte(strings.TrimSuffix(string(example.Value), "}") + `,"unknown":1}`)
			if apiDoc().check(content.Schema, unknown) == nil || decode(unknown) == nil {
				t.Errorf("%s %s: an unknown member is taken", pattern, name)
			}
		}
	}
	if count < 10 {
		t.Errorf("there are %d examples", count)
	}
}

// TestOpenAPIMembers: the members of the schemas of requests are those that the decoders know, and null is as if one were left out.
func TestOpenAPIMembers(t *testing.T) {
	t.Parallel()
	members := func(schema string) []string {
		var s struct{ Properties map[string]json.RawMessage }
		if err := json.Unmarshal(apiDoc().Components.Schemas[schema], &s); err != nil || len(s.Properties) == 0 {
			t.Fatalf("%s: %d members, error %v", schema, len(s.Properties), err)
		}
		return slices.Sorted(maps.Keys(s.Properties))
	}
	check := func(schema, before, after string) {
		for _, name := range members(schema) {
			body := before + strconv.Quote(name) + ":null" + after
			if strings.Contains(before, strconv.Quote(name)) {
				continue // it is required
			}
			if _, err := responses.DecodeRequest([]byte(body), responses.DialectOpenAI); err != nil {
				t.Errorf("%s is refused: %v", body, err)
			}
		}
	}
	check("ResponseCreate", `{"input":"hi",`, `}`)
	check("MCPTool", `{"input":"hi","tools":[{"type":"mcp","server_label":"s","server_url":"https://h",`, `}]}`)
	check("FunctionTool", `{"input":"hi","tools":[{"type":"function","name":"f",`, `}]}`)
	check("ToolFilter", `{"input":"hi","tools":[{"type":"mcp","server_label":"s","server_url":"https://h","allowed_tools":{`, `}}]}`)
	check("TextFormat", `{"input":"hi","text":{"format":{"type":"json_schema","name":"n","schema":{},`, `}}}`)
}
