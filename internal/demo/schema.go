package demo

import (
	"math"
	"strings"
)

// schema is a JSON Schema as encoding/json reads it. Its methods make do with whatever they find: schemas come from servers
// that nobody here knows. A nil schema allows anything.
type schema map[string]any

func (s schema) sub(key string) schema    { sub, _ := s[key].(map[string]any); return sub }
func (s schema) text(key string) string   { text, _ := s[key].(string); return text }
func (s schema) list(key string) []any    { list, _ := s[key].([]any); return list }
func (s schema) properties() schema       { return s.sub("properties") }
func (s schema) has(property string) bool { _, ok := s.properties()[property]; return ok }

func (s schema) number(key string) (float64, bool) { n, ok := s[key].(float64); return n, ok }

func (s schema) size(key string, otherwise int) int {
	n, ok := s.number(key)
	if !ok || n < 0 || n > math.MaxInt32 {
		return otherwise
	}
	return int(n)
}

func (s schema) required() []string {
	var names []string
	for _, v := range s.list("required") {
		if name, ok := v.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// kind is the first type other than null, or what the keywords suggest.
func (s schema) kind() string {
	if t := s.text("type"); t != "" {
		return t
	}
	for _, v := range s.list("type") {
		if t, ok := v.(string); ok && t != "null" {
			return t
		}
	}
	switch {
	case len(s.properties()) > 0:
		return "object"
	case s["items"] != nil:
		return "array"
	default:
		return "string"
	}
}

// role is what a property's name says that its value is.
type role int

const (
	roleOther role = iota
	roleOwner
	roleRepo     // without its owner
	roleFullRepo // owner/repo
	roleURL
	roleNumber
)

// roleOf guesses the role of a property of s.
func (s schema) roleOf(name string) role {
	switch kind := s.properties().sub(name).kind(); kind {
	case "integer", "number":
		return roleNumber
	case "string":
	default:
		return roleOther
	}
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "owner", "org", "organization":
		return roleOwner
	case "repo", "repository", "reponame", "repositoryname":
		if s.has("owner") || s.has("org") || s.has("organization") {
			return roleRepo
		}
		return roleFullRepo
	case "repofullname", "fullname":
		return roleFullRepo
	case "url", "uri", "link":
		return roleURL
	default:
		return roleOther
	}
}
