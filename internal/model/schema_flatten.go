package model

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxFlattenDepth bounds references to references and combinators within combinators at the top of a schema.
const maxFlattenDepth = 8

// flatten replaces what providers refuse at the top of a schema (a reference, allOf, anyOf, oneOf) by the properties that it
// leads to. It returns a reason when it cannot.
func (s *sanitizer) flatten(root *object) (reason string) {
	definitions := newObject()
	for _, key := range []string{"$defs", "definitions"} {
		if root.has(key) {
			definitions.set(key, root.get(key))
		}
	}
	if !takesObject(root) {
		return "it does not describe an object"
	}
	if reason := s.flattenInto(root, root, 0); reason != "" {
		return reason
	}
	for _, key := range definitions.keys {
		root.set(key, definitions.get(key))
	}
	return ""
}

// flattenInto resolves o's own reference and combinators against root, and merges them into o.
func (s *sanitizer) flattenInto(o, root *object, depth int) (reason string) {
	if depth > maxFlattenDepth {
		return "its references or alternatives nest too deeply"
	}
	if ref, ok := o.get("$ref").(string); ok {
		target, ok := lookup(root, ref)
		if !ok {
			return "it refers to something outside of it"
		}
		o.remove("$ref")
		s.note("the $ref at the top was resolved")
		part, reason := s.part(target, root, depth)
		if reason != "" {
			return reason
		}
		s.mergeAll(o, part)
	}
	if all := o.list("allOf"); all != nil {
		o.remove("allOf")
		s.note("allOf at the top was merged")
		for _, branch := range all {
			part, reason := s.part(branch, root, depth)
			if reason != "" {
				return reason
			}
			s.mergeAll(o, part)
		}
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		branches := o.list(key)
		if branches == nil {
			continue
		}
		o.remove(key)
		s.note(key + " at the top was merged")
		var parts []*object
		for _, branch := range branches {
			if part, reason := s.part(branch, root, depth); reason == "" {
				parts = append(parts, part)
			}
		}
		if len(parts) == 0 {
			return "none of its alternatives is an object that can be described here"
		}
		s.mergeAny(o, parts)
	}
	return ""
}

// part returns a flattened copy of a branch. Its definitions are left behind: references start at the root.
func (s *sanitizer) part(branch any, root *object, depth int) (*object, string) {
	if branch == true {
		return newObject(), ""
	}
	o, ok := branch.(*object)
	if !ok || !takesObject(o) {
		return nil, "it does not describe an object"
	}
	if o == root {
		return nil, "it refers to itself"
	}
	copied, ok := cloneJSON(o, &s.budget)
	if !ok {
		return nil, "it is too large"
	}
	o, _ = copied.(*object)
	o.remove("$defs")
	o.remove("definitions")
	return o, s.flattenInto(o, root, depth+1)
}

func takesObject(o *object) bool { return !o.has("type") || isType(o, "object") }

// mergeAll adds to dst what must hold as well.
func (s *sanitizer) mergeAll(dst, src *object) {
	for _, key := range src.keys {
		switch key {
		case "properties":
			s.mergeProperties(dst, src, "allOf")
		case "required":
			require(dst, src.list("required"))
		case "additionalProperties", "unevaluatedProperties":
			// What closes one part would shut out the properties of the others.
		default:
			if !dst.has(key) {
				dst.set(key, src.get(key))
			}
		}
	}
}

// mergeAny adds to dst the properties of all alternatives, requires what every one of them requires, and says in words which
// properties belong together.
func (s *sanitizer) mergeAny(dst *object, parts []*object) {
	var groups []string
	common := parts[0].list("required")
	for _, part := range parts {
		s.mergeProperties(dst, part, "anyOf")
		common = slices.DeleteFunc(slices.Clone(common), func(v any) bool { return !contains(part.list("required"), v) })
		if group := describe(part); group != "" && len(groups) < 16 {
			groups = append(groups, "("+group+")")
		}
	}
	require(dst, common)
	dst.remove("additionalProperties")
	if len(groups) > 1 {
		text := "Give the properties of one of these groups: " + strings.Join(groups, " or ") + "."
		if before, _ := dst.get("description").(string); before != "" {
			text = before + "\n" + text
		}
		dst.set("description", text)
	}
}

// describe lists an alternative's required properties, or all of them when it requires none.
func describe(part *object) string {
	var names []string
	for _, v := range part.list("required") {
		if name, ok := v.(string); ok {
			names = append(names, clip(name, 64))
		}
	}
	if properties := part.object("properties"); len(names) == 0 && properties != nil {
		names = slices.Clone(properties.keys)
	}
	return strings.Join(names[:min(len(names), 16)], ", ")
}

// mergeProperties adds src's properties to dst. One that both have with different schemas gets both, under the combinator.
func (s *sanitizer) mergeProperties(dst, src *object, combinator string) {
	from := src.object("properties")
	if from == nil {
		return
	}
	to := dst.object("properties")
	if to == nil {
		to = newObject()
		dst.set("properties", to)
	}
	for _, name := range from.keys {
		theirs := from.get(name)
		ours := to.get(name)
		switch {
		case !to.has(name):
			to.set(name, theirs)
		case equalJSON(ours, theirs):
		default:
			both := newObject()
			list := []any{ours, theirs}
			if o, ok := ours.(*object); ok && len(o.keys) == 1 && o.has(combinator) {
				list = append(slices.Clone(o.list(combinator)), theirs)
			}
			both.set(combinator, list)
			to.set(name, both)
		}
	}
}

func require(dst *object, names []any) {
	required := slices.Clone(dst.list("required"))
	for _, name := range names {
		if !contains(required, name) {
			required = append(required, name)
		}
	}
	if len(required) > 0 {
		dst.set("required", required)
	}
}

// contains compares names only: other values may not be comparable.
func contains(list []any, v any) bool {
	name, ok := v.(string)
	return ok && slices.ContainsFunc(list, func(w any) bool { return w == name })
}

// lookup follows a JSON pointer within the document, such as "#/$defs/Point".
func lookup(root *object, ref string) (any, bool) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, false
	}
	var at any = root
	if pointer == "" {
		return at, true
	}
	if !strings.HasPrefix(pointer, "/") {
		return nil, false
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch v := at.(type) {
		case *object:
			if !v.has(token) {
				return nil, false
			}
			at = v.get(token)
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, true
}
