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

// mirrorsOf returns the arguments that a tool wants repeated, or why its
// annotations are not valid.
func mirrorsOf(schema json.RawMessage) (mirrors []mirror, reason string) {
	reason = collectMirrors(schema, nil, make(map[string]bool), &mirrors)
	return mirrors, reason
}

func collectMirrors(schema json.RawMessage, path []string, seen map[string]bool, mirrors *[]mirror) (reason string) {
	object, _ := members(schema)
	properties, _ := members(object["properties"])
	for _, name := range sortedKeys(properties) {
		at := append(path[:len(path):len(path)], name)
		property, _ := members(properties[name])
		if annotation, ok := property["x-mcp-header"]; ok {
			header, reason := mirrorHeader(property["type"], annotation)
			if reason == "" && seen[strings.ToLower(header)] {
				reason = "two of its x-mcp-header annotations are the same"
			}
			if reason != "" {
				return reason
			}
			seen[strings.ToLower(header)] = true
			*mirrors = append(*mirrors, mirror{path: at, header: mirrorPrefix + header})
			if len(*mirrors) > maxMirrors {
				return fmt.Sprintf("it has more than %d x-mcp-header annotations", maxMirrors)
			}
		}
		if reason := collectMirrors(properties[name], at, seen, mirrors); reason != "" {
			return reason
		}
	}
	return ""
}

func mirrorHeader(schemaType, annotation json.RawMessage) (name, reason string) {
	switch string(schemaType) {
	case `"string"`, `"integer"`, `"boolean"`:
	default:
		return "", "an x-mcp-header annotation is on a property that is not a string, an integer or a boolean"
	}
	if json.Unmarshal(annotation, &name) != nil || name == "" || len(name) > MaxHeaderNameBytes ||
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
			object, _ := members(raw)
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
