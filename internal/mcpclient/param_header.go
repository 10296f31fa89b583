package mcpclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// From statelessVersion on a tool can ask that arguments be repeated in headers of
// the request, for gateways that do not read bodies: properties of its schema
// carry the annotation x-mcp-header. Clients have to follow, and to leave out
// tools whose annotations are not valid.
const (
	mirrorPrefix = "Mcp-Param-"

	maxMirrors = 32 // of one tool
	// maxSafeInteger is the largest that all readers of JSON agree on.
	maxSafeInteger = 1<<53 - 1
)

// A mirror is one argument that is repeated in a header.
type mirror struct {
	path   []string // names of properties, from the arguments inwards
	header string
}

// mirroredProperty is what is needed of a schema.
type mirroredProperty struct {
	Type       any                         `json:"type"`
	Header     *json.RawMessage            `json:"x-mcp-header"`
	Properties map[string]mirroredProperty `json:"properties"`
}

// mirrorsOf returns the arguments that a tool wants repeated, or why its
// annotations are not valid.
func mirrorsOf(schema json.RawMessage) ([]mirror, string) {
	if !strings.Contains(string(schema), "x-mcp-header") {
		return nil, ""
	}
	var root mirroredProperty
	if json.Unmarshal(schema, &root) != nil {
		return nil, "its x-mcp-header annotations cannot be read"
	}
	var mirrors []mirror
	seen := make(map[string]bool)
	reason := root.collect(nil, seen, &mirrors)
	return mirrors, reason
}

func (p mirroredProperty) collect(path []string, seen map[string]bool, mirrors *[]mirror) (reason string) {
	for _, name := range sortedKeys(p.Properties) {
		property := p.Properties[name]
		at := append(path[:len(path):len(path)], name)
		if property.Header != nil {
			header, reason := property.header()
			if reason == "" && seen[strings.ToLower(header)] {
				reason = "two of its x-mcp-header annotations are the same"
			}
			if seen[strings.ToLower(header)] = true; reason != "" {
				return reason
			}
			*mirrors = append(*mirrors, mirror{path: at, header: mirrorPrefix + header})
			if len(*mirrors) > maxMirrors {
				return fmt.Sprintf("it has more than %d x-mcp-header annotations", maxMirrors)
			}
		}
		if reason := property.collect(at, seen, mirrors); reason != "" {
			return reason
		}
	}
	return ""
}

func (p mirroredProperty) header() (name, reason string) {
	if p.Type != "string" && p.Type != "integer" && p.Type != "boolean" {
		return "", "an x-mcp-header annotation is on a property that is not a string, an integer or a boolean"
	}
	if json.Unmarshal(*p.Header, &name) != nil || name == "" || len(name) > MaxHeaderNameBytes ||
		strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }) {
		return "", "an x-mcp-header annotation is not the name of a header"
	}
	return name, ""
}

// paramHeaders are the headers that repeat arguments. An argument that is
// absent, null or of another type than it should be is not repeated: what to
// make of that is the server's affair.
func paramHeaders(mirrors []mirror, arguments json.RawMessage) (http.Header, error) {
	if len(mirrors) == 0 || arguments == nil {
		return nil, nil
	}
	h := make(http.Header)
	for _, m := range mirrors {
		raw := arguments
		for _, name := range m.path {
			var object map[string]json.RawMessage
			if json.Unmarshal(raw, &object) != nil {
				object = nil
			}
			raw = object[name]
		}
		value, ok := headerValue(raw)
		if !ok {
			continue
		}
		if len(value) > MaxHeaderBytes {
			return nil, notSent(StageCall, "an argument that the tool wants in a header is longer than %d bytes", MaxHeaderBytes)
		}
		h[http.CanonicalHeaderKey(m.header)] = []string{value}
	}
	return h, nil
}

// headerValue writes a string, an integer or a boolean as the value of a
// header, in base64 if it would not come through as it is.
func headerValue(raw json.RawMessage) (string, bool) {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > maxSafeInteger {
			return "", false
		}
		return strconv.FormatInt(int64(v), 10), true
	case string:
		plain := strings.TrimSpace(v) == v && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) &&
			!(strings.HasPrefix(v, "=?base64?") && strings.HasSuffix(v, "?="))
		if plain {
			return v, true
		}
		return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?=", true
	default:
		return "", false
	}
}

// mirrors returns what a tool wants repeated. A session that has not listed the
// tools does so now: another one may have, on another worker.
func (c *Client) mirrors(ctx context.Context, sess *session, tool string) ([]mirror, error) {
	if sess.version() < statelessVersion {
		return nil, nil
	}
	known := sess.mirrors.Load()
	if known == nil {
		if _, err := c.list(ctx, sess); err != nil {
			e := *asError(err, "")
			e.Sent = NotSent // the call was not
			return nil, &e
		}
		known = sess.mirrors.Load()
	}
	return (*known)[tool], nil
}

// version is the protocol version that was negotiated.
func (s *session) version() string {
	if info := s.mcp.InitializeResult(); info != nil {
		return info.ProtocolVersion
	}
	return ""
}
