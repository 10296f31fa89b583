package demo

import (
	"math"
	"strings"
	"unicode/utf8"
)

const (
	// maxNodes bounds a value as a whole: a schema that refers to itself can ask for one that grows without end.
	maxNodes       = 256
	maxSchemaDepth = 12
	maxItems       = 16
	maxString      = 2000 // characters
	maxPadding     = 4000 // to which characters a short string is filled up
)

// filler makes a value for a schema out of a message. The value is small: of optional properties it has only those that the
// message speaks of. It is usually valid; patterns and conditions are beyond it.
type filler struct {
	root   schema // where $ref points into
	prompt prompt
	repo   repo // to use; zero when there is none
	// text is for the first string that has no better source; further ones get rest.
	text, rest string

	numbers, quotes int // of the prompt's that are used
	texts           int
	nodes           int
}

// value fills s, the schema of the property name of parent.
func (f *filler) value(s, parent schema, name string, depth int) any {
	if f.nodes++; f.nodes > maxNodes || depth > maxSchemaDepth {
		return nil
	}
	if target, ok := f.resolve(s); ok {
		return f.value(target, parent, name, depth+1)
	}
	if v, ok := s["const"]; ok {
		return v
	}
	if list := s.list("enum"); len(list) > 0 {
		return f.choose(list, s["default"])
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if option, ok := firstOption(s.list(key)); ok && s["type"] == nil && s["properties"] == nil {
			return f.value(option, parent, name, depth+1)
		}
	}
	if all := s.list("allOf"); len(all) > 0 {
		return f.value(f.merge(s, all), parent, name, depth+1)
	}
	switch s.kind() {
	case "object":
		return f.object(s, depth)
	case "array":
		return f.array(s, depth)
	case "integer":
		return f.number(s, 1)
	case "number":
		return f.number(s, 0)
	case "boolean":
		v, _ := s["default"].(bool)
		return v
	case "null":
		return nil
	default:
		return f.string(s, parent, name)
	}
}

// resolve follows a reference within the schema.
func (f *filler) resolve(s schema) (schema, bool) {
	ref := s.text("$ref")
	if ref == "#" {
		return f.root, true
	}
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, false
	}
	target := f.root
	for step := range strings.SplitSeq(path, "/") {
		target = target.sub(strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	return target, target != nil
}

// firstOption is the first schema that is not null's.
func firstOption(list []any) (schema, bool) {
	for _, v := range list {
		if s, ok := v.(map[string]any); ok && s["type"] != "null" {
			return s, true
		}
	}
	return nil, false
}

// merge joins the parts of an allOf. Where parts speak of the same property, the last one counts.
func (f *filler) merge(s schema, all []any) schema {
	merged, properties := schema{}, map[string]any{}
	var required []any
	join := func(part schema) {
		for key, v := range part {
			if key != "allOf" {
				merged[key] = v
			}
		}
		for name, v := range part.properties() {
			properties[name] = v
		}
		required = append(required, part.list("required")...)
	}
	join(s)
	for _, v := range all {
		part, _ := v.(map[string]any)
		if target, ok := f.resolve(part); ok {
			part = target
		}
		join(part)
	}
	if len(properties) > 0 {
		merged["properties"], merged["required"] = properties, required
	}
	return merged
}

// choose prefers what the message mentions, then the default.
func (f *filler) choose(options []any, preset any) any {
	if mentioned, ok := f.mentioned(options); ok {
		return mentioned
	}
	if preset != nil {
		return preset
	}
	return options[0]
}

func (f *filler) mentioned(options []any) (any, bool) {
	for _, option := range options {
		if text, ok := option.(string); ok && f.prompt.mentions(text) {
			return option, true
		}
	}
	return nil, false
}

func (f *filler) object(s schema, depth int) any {
	out := map[string]any{}
	for _, name := range s.required() {
		out[name] = f.value(s.properties().sub(name), s, name, depth+1)
	}
	for name := range s.properties() {
		if _, done := out[name]; done {
			continue
		}
		if v, ok := f.optional(s, name); ok {
			out[name] = v
		}
	}
	return out
}

// optional fills a property that may be left out, if the message speaks of it.
func (f *filler) optional(parent schema, name string) (any, bool) {
	property := parent.properties().sub(name)
	if list := property.list("enum"); len(list) > 0 {
		return f.mentioned(list)
	}
	if f.repo == (repo{}) {
		return nil, false
	}
	switch parent.roleOf(name) {
	case roleOwner, roleRepo, roleFullRepo:
		return f.string(property, parent, name), true
	default:
		return nil, false
	}
}

func (f *filler) array(s schema, depth int) any {
	n := min(max(s.size("minItems", 0), 1), s.size("maxItems", maxItems), maxItems)
	out := make([]any, n)
	for i := range out {
		out[i] = f.value(s.sub("items"), nil, "", depth+1)
	}
	return out
}

// number takes the next number of the message, else the default, else 1, and moves it into the schema's bounds. A step of 1
// makes it whole.
func (f *filler) number(s schema, step float64) any {
	n := 1.0
	if f.numbers < len(f.prompt.numbers) {
		n = f.prompt.numbers[f.numbers]
		f.numbers++
	} else if preset, ok := s.number("default"); ok {
		n = preset
	}
	if multiple, ok := s.number("multipleOf"); ok && multiple > 0 {
		step = multiple
	}
	// The distance by which a value stays clear of a bound that it must not reach.
	gap := step
	if gap == 0 {
		gap = 0.5
	}
	low, high := math.Inf(-1), math.Inf(1)
	if v, ok := s.number("minimum"); ok {
		low = v
	}
	if v, ok := s.number("exclusiveMinimum"); ok {
		low = max(low, v+gap)
	}
	if v, ok := s.number("maximum"); ok {
		high = v
	}
	if v, ok := s.number("exclusiveMaximum"); ok {
		high = min(high, v-gap)
	}
	n = max(min(n, high), low)
	if step > 0 {
		up := math.Ceil(n/step) * step
		if up > high {
			up = math.Floor(n/step) * step
		}
		n = up
	}
	return n
}

func (f *filler) string(s, parent schema, name string) string {
	text := f.source(s, parent, name)
	limit := min(s.size("maxLength", maxString), maxString)
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit])
	}
	if missing := min(s.size("minLength", 0), maxPadding) - utf8.RuneCountInString(text); missing > 0 {
		text += strings.Repeat(".", missing)
	}
	return text
}

// source finds the text for a string: what its name or format asks for, the next quoted phrase, or the message itself.
func (f *filler) source(s, parent schema, name string) string {
	if f.repo != (repo{}) {
		switch parent.roleOf(name) {
		case roleOwner:
			return f.repo.owner
		case roleRepo:
			return f.repo.name
		case roleFullRepo:
			return f.repo.String()
		}
	}
	if text, ok := f.formatted(s.text("format"), parent.roleOf(name)); ok {
		return text
	}
	if preset := s.text("default"); preset != "" {
		return preset
	}
	if f.quotes < len(f.prompt.quoted) {
		f.quotes++
		return f.prompt.quoted[f.quotes-1]
	}
	f.texts++
	if f.texts > 1 {
		return f.rest
	}
	return f.text
}

func (f *filler) formatted(format string, r role) (string, bool) {
	if r == roleURL {
		format = "uri"
	}
	switch format {
	case "uri", "url", "uri-reference", "iri":
		if len(f.prompt.urls) > 0 {
			return f.prompt.urls[0], true
		}
		return "https://example.com/", true
	case "date-time":
		return "2026-01-01T00:00:00Z", true
	case "date":
		return "2026-01-01", true
	case "time":
		return "00:00:00Z", true
	case "email":
		return "someone@example.com", true
	case "uuid":
		return "00000000-0000-4000-8000-000000000000", true
	default:
		return "", false
	}
}
