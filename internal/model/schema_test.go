package model_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/model"
)

func TestSanitizeLeavesGoodSchemasAlone(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"type":"object","properties":{}}`,
		`{ "type": "object", "properties": {"z": {"type":"string"}, "a": {"type":"integer","maximum":12345678901234567890}},
		   "required": ["z"], "additionalProperties": false }`,
		`{"type":"object","properties":{"$schema":{"type":"string"},"type":{"enum":["x",1,null]},"anything":{}}}`,
		`{"type":"object","properties":{"p":{"$ref":"#/$defs/P"},"self":{"$ref":"#"}},"$defs":{"P":{"type":"array","items":{"type":"number"}}}}`,
		`{"type":"object","properties":{"d":{"default":{"$schema":"kept, since this is data","type":"nonsense"}}}}`,
		`{"type":"object","properties":{"m":{"type":"object","properties":{},"additionalProperties":{"type":"string"}}}}`,
	} {
		got, note := model.Sanitize(json.RawMessage(raw))
		if string(got) != raw || note != "" {
			t.Errorf("Sanitize(%s) = %s, %q; want it unchanged", raw, got, note)
		}
	}
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ raw, want string }{
		"none":                   {``, `{"type":"object","properties":{}}`},
		"null":                   {`null`, `{"type":"object","properties":{}}`},
		"empty":                  {`{}`, `{"type":"object","properties":{}}`},
		"no properties":          {`{"type":"object"}`, `{"type":"object","properties":{}}`},
		"properties of no kind":  {`{"type":"object","properties":[]}`, `{"type":"object","properties":{}}`},
		"no type":                {`{"properties":{"a":{"type":"string"}}}`, `{"type":"object","properties":{"a":{"type":"string"}}}`},
		"type or null":           {`{"type":["object","null"],"properties":{}}`, `{"type":"object","properties":{}}`},
		"meta":                   {`{"$schema":"s","$id":"i","type":"object","properties":{"a":{"$comment":"c"}}}`, `{"type":"object","properties":{"a":{}}}`},
		"order and numbers kept": {`{"$schema":"s","type":"object","properties":{"z":{"maximum":12345678901234567890.10},"a":{"const":1E400}}}`, `{"type":"object","properties":{"z":{"maximum":12345678901234567890.10},"a":{"const":1E400}}}`},
		"nested object":          {`{"type":"object","properties":{"a":{"type":"object"}}}`, `{"type":"object","properties":{"a":{"type":"object","properties":{}}}}`},
		"array without items":    {`{"type":"object","properties":{"a":{"type":"array"},"b":{"type":["array","null"],"items":true}}}`, `{"type":"object","properties":{"a":{"type":"array","items":{}},"b":{"type":["array","null"],"items":{}}}}`},
		"tuple":                  {`{"type":"object","properties":{"a":{"type":"array","items":[{"type":"string"},{"type":"array"}],"additionalItems":false}}}`, `{"type":"object","properties":{"a":{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"array","items":{}}]}}}}`},
		"new tuple":              {`{"type":"object","properties":{"a":{"type":"array","prefixItems":[{"type":"string"}],"items":false}}}`, `{"type":"object","properties":{"a":{"type":"array","items":{"anyOf":[{"type":"string"}]}}}}`},
		"boolean schemas":        {`{"type":"object","properties":{"a":true,"b":false},"anyOf":null,"not":true}`, `{"type":"object","properties":{"a":{}}}`},
		"boolean alternatives":   {`{"type":"object","properties":{"a":{"anyOf":[true,false,{"type":"string"}]}}}`, `{"type":"object","properties":{"a":{"anyOf":[{},{"type":"string"}]}}}`},
		"empty combinator":       {`{"type":"object","properties":{"a":{"oneOf":[],"enum":[]}}}`, `{"type":"object","properties":{"a":{}}}`},
		"empty additional":       {`{"type":"object","properties":{},"additionalProperties":{}}`, `{"type":"object","properties":{},"additionalProperties":true}`},
		"unknown types":          {`{"type":"object","properties":{"a":{"type":"any"},"b":{"type":["string","float"]},"c":{"type":[]}}}`, `{"type":"object","properties":{"a":{},"b":{"type":["string"]},"c":{}}}`},
		"required":               {`{"type":"object","properties":{"a":{"required":true}},"required":["a","a",1,"b"]}`, `{"type":"object","properties":{"a":{},"b":{}},"required":["a","b"]}`},
		"no text":                {`{"type":"object","properties":{},"description":7,"title":null}`, `{"type":"object","properties":{}}`},
		"twice":                  {`{"type":"string","type":"object","properties":{}}`, `{"type":"object","properties":{}}`},
		"forbidden at the top":   {`{"type":"object","properties":{},"enum":[{}],"const":{},"not":{},"if":{},"then":{},"else":{}}`, `{"type":"object","properties":{}}`},
		"remote reference":       {`{"type":"object","properties":{"a":{"$ref":"https://evil.example/x.json","title":"t"},"b":{"$ref":"#/$defs/none"}}}`, `{"type":"object","properties":{"a":{"title":"t"},"b":{}}}`},
		"reference at the top":   {`{"$ref":"#/$defs/In","$defs":{"In":{"type":"object","properties":{"p":{"$ref":"#/$defs/P"}},"required":["p"]},"P":{"type":"string"}}}`, `{"$defs":{"In":{"type":"object","properties":{"p":{"$ref":"#/$defs/P"}},"required":["p"]},"P":{"type":"string"}},"type":"object","properties":{"p":{"$ref":"#/$defs/P"}},"required":["p"]}`},
		"escaped reference":      {`{"$ref":"#/definitions/a~1b%20c","definitions":{"a/b c":{"properties":{"x":{}}}}}`, `{"type":"object","definitions":{"a/b c":{"properties":{"x":{}}}},"properties":{"x":{}}}`},
		"allOf at the top":       {`{"type":"object","properties":{"a":{}},"allOf":[{"properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false},{"properties":{"b":{"minLength":1}}}]}`, `{"type":"object","properties":{"a":{},"b":{"allOf":[{"type":"string"},{"minLength":1}]}},"required":["b"]}`},
		"oneOf at the top": {
			`{"oneOf":[{"properties":{"id":{"type":"string"}},"required":["id"]},{"type":"object","properties":{"name":{"type":"string"},"id":{"type":"integer"}},"required":["name"]},{"type":"null"}]}`,
			`{"type":"object","properties":{"id":{"anyOf":[{"type":"string"},{"type":"integer"}]},"name":{"type":"string"}},"description":"Give the properties of one of these groups: (id) or (name)."}`,
		},
		"anyOf of required": {
			`{"type":"object","description":"D","properties":{"a":{},"b":{},"c":{}},"required":["c"],"anyOf":[{"required":["a"]},{"required":["b","a"]}]}`,
			`{"type":"object","description":"D\nGive the properties of one of these groups: (a) or (b, a).","properties":{"a":{},"b":{},"c":{}},"required":["c","a"]}`,
		},
	} {
		got, note := model.Sanitize(json.RawMessage(test.raw))
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if test.raw != "" && test.raw != "null" && note == "" {
			t.Errorf("%s: the change is not noted", name)
		}
	}
}

func TestSanitizeFallsBack(t *testing.T) {
	t.Parallel()
	bomb := `{"$ref":"#/$defs/a0","$defs":{`
	for i := range 7 {
		next := string(rune('1' + i))
		refs := strings.Repeat(`{"$ref":"#/$defs/a`+next+`"},`, 60)
		bomb += `"a` + string(rune('0'+i)) + `":{"allOf":[` + strings.TrimSuffix(refs, ",") + `]},`
	}
	bomb += `"a7":{"properties":{"x":{}}}}}`
	for name, raw := range map[string]string{
		"true":                  `true`,
		"an array":              `[]`,
		"no JSON":               `{"type":`,
		"two values":            `{} {}`,
		"a string's schema":     `{"type":"string"}`,
		"remote at the top":     `{"$ref":"https://evil.example/x"}`,
		"circle at the top":     `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}`,
		"itself at the top":     `{"$ref":"#"}`,
		"only other types":      `{"anyOf":[{"type":"string"},false]}`,
		"references multiplied": bomb,
		"too large":             `{"type":"object","description":"` + strings.Repeat("x", 256<<10) + `"}`,
		"too deep for JSON":     strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat(`}`, 300),
	} {
		got, note := model.Sanitize(json.RawMessage(raw))
		var schema struct {
			Type, Description    string
			Properties           map[string]any
			AdditionalProperties bool
		}
		if err := json.Unmarshal(got, &schema); err != nil {
			t.Fatal(err)
		}
		if schema.Type != "object" || schema.Properties == nil || !schema.AdditionalProperties || schema.Description == "" || note == "" {
			t.Errorf("%s: %s, note %q; want a schema that allows anything and says so", name, got, note)
		}
	}
}

func TestSanitizeCutsDepth(t *testing.T) {
	t.Parallel()
	raw := `{"type":"object","properties":{"a":` + strings.Repeat(`{"items":`, 60) + `{"type":"string"}` + strings.Repeat(`}`, 60) + `}}`
	got, note := model.Sanitize(json.RawMessage(raw))
	if n := bytes.Count(got, []byte("items")); n != 32 || note == "" {
		t.Errorf("%d levels are left, note %q; want 32 and a note", n, note)
	}
}

func FuzzSanitize(f *testing.F) {
	f.Add([]byte(`{"type":"object","properties":{"a":{"type":"array"}}}`))
	f.Add([]byte(`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"properties":{"x":true}},{"$ref":"#/$defs/b"}]},"b":{"required":["y"]}}}`))
	f.Add([]byte(`{"allOf":[{"oneOf":[{"type":"object"},true]},{"properties":{"x":{"$ref":"#"}}}],"required":[1,"x"],"enum":[]}`))
	f.Add([]byte(`{"type":["object"],"items":[{}],"additionalProperties":{},"not":false,"$id":1e999}`))
	f.Add([]byte(`true`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		got, _ := model.Sanitize(raw)
		if !bytes.Equal(before, raw) {
			t.Fatal("the schema itself was changed")
		}
		var schema map[string]json.RawMessage
		if err := json.Unmarshal(got, &schema); err != nil {
			t.Fatalf("%s is not an object: %v", got, err)
		}
		if string(schema["type"]) != `"object"` || !bytes.HasPrefix(schema["properties"], []byte("{")) {
			t.Fatalf("%s is not an object schema with properties", got)
		}
		for _, key := range []string{"$ref", "anyOf", "oneOf", "allOf", "not", "enum", "const", "$schema"} {
			if _, ok := schema[key]; ok {
				t.Fatalf("%s has %s at the top", got, key)
			}
		}
		if again, _ := model.Sanitize(raw); !bytes.Equal(got, again) {
			t.Fatalf("%s, and then %s: not deterministic", got, again)
		}
		if len(got) < 200<<10 {
			if again, note := model.Sanitize(got); !bytes.Equal(got, again) {
				t.Fatalf("%s became %s (%s): not stable", got, again, note)
			}
		}
	})
}
