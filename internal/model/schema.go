package model

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Bounds of a schema that a model sees.
const (
	maxSchemaBytes = 256 << 10
	maxSchemaDepth = 32  // of schemas within schemas
	maxJSONDepth   = 200 // of JSON, which nests two or three levels to a schema
	maxSchemaNodes = 50_000
	maxNoteBytes   = 300
)

// permissive is offered for a tool without a schema of its own.
const permissive = `{"type":"object","properties":{}}`

// Sanitize returns the form of a tool's schema that providers accept, and a note on what was changed; the note is empty and the
// schema is raw itself when nothing was. One schema that a provider dislikes makes it refuse the whole request, so this never
// fails: what cannot be adapted becomes a schema that allows anything and says so. The server still checks the arguments
// against the schema as it wrote it.
//
// The result is always an object schema with properties and without combinators, enumerations and references at the top.
// The order of members and every number are kept. The same raw gives the same result.
func Sanitize(raw json.RawMessage) (schema json.RawMessage, note string) {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || string(trimmed) == "null" {
		return json.RawMessage(permissive), ""
	}
	if len(raw) > maxSchemaBytes {
		return fallback("it is too large")
	}
	value, repeated, err := readOrdered(raw, maxJSONDepth)
	if err != nil {
		return fallback("it is not a JSON Schema")
	}
	root, ok := value.(*object)
	if !ok {
		return fallback("it is not an object")
	}
	s := &sanitizer{budget: maxSchemaNodes}
	if repeated {
		s.note("a member stood twice")
	}
	if reason := s.flatten(root); reason != "" {
		return fallback(reason)
	}
	s.root = root
	s.top(root)
	s.schema(root, 0)
	if len(s.notes) == 0 {
		return raw, ""
	}
	out, err := json.Marshal(root)
	if err != nil || len(out) > 2*maxSchemaBytes {
		return fallback("it could not be rendered")
	}
	return out, clip(strings.Join(s.notes, "; "), maxNoteBytes)
}

// fallback returns a schema that allows any object and tells the model why.
func fallback(reason string) (json.RawMessage, string) {
	o := newObject()
	o.set("type", "object")
	o.set("description", "The schema of these arguments is not available, because "+reason+". Follow the tool's description.")
	o.set("properties", newObject())
	o.set("additionalProperties", true)
	data, err := json.Marshal(o)
	if err != nil {
		return json.RawMessage(permissive), reason
	}
	return data, "replaced: " + reason
}

// sanitizer works in place on one schema.
type sanitizer struct {
	root   *object
	budget int // of nodes that may still be copied
	notes  []string
}

func (s *sanitizer) note(text string) {
	if !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

func (s *sanitizer) drop(o *object, key, why string) {
	if o.has(key) {
		o.remove(key)
		s.note(why)
	}
}

// Keywords by what their value is. What is in none of these lists (enum, default, examples) is data, and is left alone.
var (
	metaKeywords = []string{
		"$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$recursiveAnchor", "$vocabulary", "$comment",
	}
	schemaKeywords = []string{"items", "not", "contains", "propertyNames", "if", "then", "else"}
	openKeywords   = []string{"additionalProperties", "unevaluatedProperties", "unevaluatedItems"} // a schema or a boolean
	listKeywords   = []string{"anyOf", "oneOf", "allOf"}
	mapKeywords    = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
	topless        = []string{"not", "enum", "const", "if", "then", "else", "dependentSchemas"}
	types          = []string{"string", "number", "integer", "boolean", "object", "array", "null"}
)

// top makes the outermost schema an object with properties.
func (s *sanitizer) top(root *object) {
	for _, key := range topless {
		s.drop(root, key, key+" at the top was dropped")
	}
	if root.get("type") != "object" {
		s.note("type at the top was set to object")
		rest := slices.DeleteFunc(slices.Clone(root.keys), func(k string) bool { return k == "type" })
		root.keys = append([]string{"type"}, rest...)
		root.values["type"] = "object"
	}
}

// schema cleans one schema and those in it.
func (s *sanitizer) schema(o *object, depth int) {
	for _, key := range metaKeywords {
		s.drop(o, key, key+" was dropped")
	}
	for _, key := range []string{"title", "description"} {
		if _, ok := o.get(key).(string); !ok {
			s.drop(o, key, "a "+key+" that is no text was dropped")
		}
	}
	if len(o.list("enum")) == 0 {
		s.drop(o, "enum", "an empty enum was dropped")
	}
	s.reference(o)
	s.types(o)
	s.arrays(o)
	for _, key := range schemaKeywords {
		s.member(o, key, depth)
	}
	for _, key := range openKeywords {
		if _, ok := o.get(key).(bool); !ok {
			s.member(o, key, depth)
		}
		if m := o.object(key); m != nil && len(m.keys) == 0 {
			o.set(key, true)
			s.note("an empty " + key + " became true")
		}
	}
	for _, key := range listKeywords {
		s.alternatives(o, key, depth)
	}
	for _, key := range mapKeywords {
		s.members(o, key, depth)
	}
	s.properties(o)
}

// reference keeps a reference to a definition of the same document, and drops any other: nothing is fetched.
func (s *sanitizer) reference(o *object) {
	if !o.has("$ref") {
		return
	}
	ref, _ := o.get("$ref").(string)
	if ref == "#" {
		return
	}
	if target, ok := lookup(s.root, ref); ok && strings.Count(ref, "/") == 2 {
		if _, ok := target.(*object); ok {
			return
		}
	}
	s.drop(o, "$ref", "a $ref that leads nowhere in the document was dropped")
}

func (s *sanitizer) types(o *object) {
	known := func(v any) bool { t, ok := v.(string); return ok && slices.Contains(types, t) }
	switch t := o.get("type").(type) {
	case []any:
		kept := slices.DeleteFunc(slices.Clone(t), func(v any) bool { return !known(v) })
		if len(kept) == len(t) && len(t) > 0 {
			return
		}
		if len(kept) > 0 {
			o.set("type", kept)
			s.note("an unknown type was dropped")
			return
		}
	default:
		if known(t) {
			return
		}
	}
	s.drop(o, "type", "an unknown type was dropped")
}

// isType reports whether a schema's type names t, alone or in a list.
func isType(o *object, t string) bool {
	return o.get("type") == t || slices.Contains(o.list("type"), any(t))
}

// arrays gives each array one schema for its items: providers know no tuples.
func (s *sanitizer) arrays(o *object) {
	tuple := o.list("prefixItems")
	if tuple == nil {
		tuple = o.list("items")
	}
	s.drop(o, "prefixItems", "a tuple became a list")
	s.drop(o, "additionalItems", "additionalItems was dropped")
	if o.object("items") != nil || !o.has("items") && tuple == nil && !isType(o, "array") {
		return
	}
	items := newObject()
	if len(tuple) > 0 {
		items.set("anyOf", tuple)
	}
	o.set("items", items)
	s.note("an array without a schema for its items got one")
}

// properties makes an object's list of required properties agree with its properties.
func (s *sanitizer) properties(o *object) {
	if isType(o, "object") && o.object("properties") == nil {
		o.set("properties", newObject())
		s.note("an object without properties got an empty list")
	}
	if !o.has("required") {
		return
	}
	required := o.list("required")
	if required == nil {
		s.drop(o, "required", "a required that is no list was dropped")
		return
	}
	names := make([]any, 0, len(required))
	seen := map[string]bool{}
	for _, v := range required {
		name, ok := v.(string)
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		names = append(names, name)
		if properties := o.object("properties"); properties != nil && !properties.has(name) {
			properties.set(name, newObject())
			s.note("a required property was not declared")
		}
	}
	if len(names) != len(required) {
		o.set("required", names)
		s.note("required had entries that are no names or stood twice")
	}
}

// member cleans a keyword whose value is a schema; true allows anything, and what is no schema is dropped.
func (s *sanitizer) member(o *object, key string, depth int) {
	if !o.has(key) {
		return
	}
	switch v := o.get(key).(type) {
	case *object:
		s.nested(v, depth+1)
	default:
		s.drop(o, key, "a "+key+" that is no object was dropped")
	}
}

// nested cleans a schema within another, and cuts off what lies too deep.
func (s *sanitizer) nested(o *object, depth int) {
	if depth > maxSchemaDepth {
		if len(o.keys) > 0 {
			o.retain(func(string) bool { return false })
			s.note("what lay too deep was cut off")
		}
		return
	}
	s.schema(o, depth)
}

// alternatives cleans anyOf and its kin.
func (s *sanitizer) alternatives(o *object, key string, depth int) {
	if !o.has(key) {
		return
	}
	list := o.list(key)
	kept := make([]any, 0, len(list))
	for _, v := range list {
		if v == true {
			v = newObject()
			s.note("a schema that is only true became an empty one")
		}
		if branch, ok := v.(*object); ok {
			s.nested(branch, depth+1)
			kept = append(kept, branch)
		}
	}
	if len(kept) == 0 {
		s.drop(o, key, "an empty "+key+" was dropped")
		return
	}
	if len(kept) != len(list) {
		s.note("an alternative that is no schema was dropped")
	}
	o.set(key, kept)
}

// members cleans a keyword whose value maps names to schemas.
func (s *sanitizer) members(o *object, key string, depth int) {
	if !o.has(key) {
		return
	}
	m := o.object(key)
	if m == nil {
		s.drop(o, key, "a "+key+" that is no object was dropped")
		return
	}
	m.retain(func(name string) bool {
		keep := m.get(name) != false
		if !keep {
			s.note("a property that must not be given was dropped")
		}
		return keep
	})
	for _, name := range m.keys {
		child := m.object(name)
		if child == nil {
			child = newObject()
			m.set(name, child)
			s.note("a schema that is no object became an empty one")
		}
		s.nested(child, depth+1)
	}
}
