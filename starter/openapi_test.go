package starter

import (
	"encoding/json"
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

	"perdure/internal/mcptest"
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
	o, ok := doc.operations()[pattern]
	if !ok {
		return // of another part of the API
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

// TestOpenAPIRoutes: the file has each route of these, and no other.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	var patterns []string
	note := func(pattern string, _ http.Handler) { patterns = append(patterns, pattern) }
	s := &Starter{}
	s.managedRoutes(note)
	s.scheduleRoutes(note)
	s.browserRoutes(note)
	s.fileRoutes(note)
	s.batchRoutes(note)
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
		if strings.Contains(pattern, schedulesPath) {
			continue // see TestScheduleExamples
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
