package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// The keys of a configuration are the mapstructure tags of Config. Every source walks them to tell keys from typing
// errors and to know the type of a value, so that an error can name the line or the variable that it came from.

// field is a key of a section.
type field struct {
	key string
	typ reflect.Type
}

var (
	configType = reflect.TypeFor[Config]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isSection reports whether t holds keys that Perdure defines.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textType)
}

// isEntries reports whether t is a list of sections, such as auth.api_keys.
func isEntries(t reflect.Type) bool { return t.Kind() == reflect.Slice && isSection(t.Elem()) }

// isMap reports whether t holds keys that the operator chooses, such as models.providers.
func isMap(t reflect.Type) bool { return t.Kind() == reflect.Map }

func fieldsOf(section reflect.Type) []field {
	var fields []field
	for f := range section.Fields() {
		fields = append(fields, field{key: f.Tag.Get("mapstructure"), typ: f.Type})
	}
	return fields
}

func fieldOf(section reflect.Type, key string) (reflect.Type, bool) {
	fields := fieldsOf(section)
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
	if i < 0 {
		return nil, false
	}
	return fields[i].typ, true
}

// keyPaths returns the paths of all keys of a section that need no name or index from the operator.
func keyPaths(section reflect.Type, path string) []string {
	var paths []string
	for _, f := range fieldsOf(section) {
		if isSection(f.typ) {
			paths = append(paths, keyPaths(f.typ, join(path, f.key))...)
		} else {
			paths = append(paths, join(path, f.key))
		}
	}
	return paths
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// suggestKey returns a hint for a key that the section does not have, or "": a similar key of the section, or the same
// key in other sections.
func suggestKey(section reflect.Type, key string) string {
	var names []string
	for _, f := range fieldsOf(section) {
		names = append(names, f.key)
	}
	if name := nearest(strings.ToLower(key), names); name != "" {
		return ": did you mean " + name + "?"
	}
	var elsewhere []string
	for _, path := range keyPaths(configType, "") {
		if strings.HasSuffix(path, "."+key) {
			elsewhere = append(elsewhere, path)
		}
	}
	if len(elsewhere) > 0 {
		return ": did you mean " + strings.Join(elsewhere, " or ") + "?"
	}
	return ""
}

// nearest returns the candidate most similar to name, or "" if none is similar enough to be what was meant.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", 1+min((len(name)+2)/3, 3)
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance: how many letters to insert, delete or replace to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
