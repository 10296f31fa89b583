package mcpclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// maxFieldBytes bounds a MIME type, a URI or a type name within a summary.
const maxFieldBytes = 512

// parseResult turns the result of tools/call into text, without the server's credentials.
func parseResult(raw json.RawMessage, secrets redactor) (Result, *Error) {
	result, ok := members(raw)
	if !ok {
		return Result{}, callFailure("its answer to tools/call is not an object")
	}
	if stringOf(result["resultType"]) == "input_required" {
		return Result{}, callFailure("the tool asks for input from a person, which is not supported")
	}
	var parts []json.RawMessage
	if c := present(result["content"]); c != nil {
		if parts, ok = elements(c); !ok {
			return Result{}, callFailure("its answer to tools/call has content that is not a list")
		}
	}
	var lines []string
	hasText := false
	for _, part := range parts {
		line, isText := secrets.describe(part)
		lines = append(lines, line)
		hasText = hasText || isText
	}
	if structured := present(result["structuredContent"]); structured != nil && !hasText {
		lines = append(lines, secrets.JSON(strings.ToValidUTF8(string(structured), "\uFFFD")))
	}
	return Result{
		Output:  secrets.Text(strings.Join(lines, "\n")),
		IsError: bytes.Equal(result["isError"], []byte("true")),
	}, nil
}

// describe renders one part of the content: text as it is, a link as its URI,
// anything else as a line that says what it was.
func (r redactor) describe(raw json.RawMessage) (line string, isText bool) {
	part, ok := members(raw)
	if !ok {
		return "[unreadable content]", false
	}
	switch kind := stringOf(part["type"]); kind {
	case "text":
		return stringOf(part["text"]), true
	case "image", "audio":
		return r.binary(kind, "", part["mimeType"], part["data"]), false
	case "resource_link":
		return r.field(part["uri"]), false
	case "resource":
		return r.describeResource(part["resource"])
	default:
		return fmt.Sprintf("[unsupported content %q]", r.clean(kind, maxFieldBytes)), false
	}
}

func (r redactor) describeResource(raw json.RawMessage) (line string, isText bool) {
	resource, ok := members(raw)
	if !ok {
		return "[unreadable resource]", false
	}
	if text := present(resource["text"]); text != nil {
		return stringOf(text), true
	}
	return r.binary("resource", r.field(resource["uri"]), resource["mimeType"], resource["blob"]), false
}

// binary summarizes base64 data without decoding it.
func (r redactor) binary(kind, uri string, mimeType, data json.RawMessage) string {
	encoded := strings.TrimRight(stringOf(data), "=")
	words := []string{kind}
	for _, s := range []string{uri, r.field(mimeType)} {
		if s != "" {
			words = append(words, s)
		}
	}
	return fmt.Sprintf("[%s, %d bytes]", strings.Join(words, " "), len(encoded)*3/4)
}

// stringOf returns a JSON string's value, or "" for anything else.
func stringOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func (r redactor) field(raw json.RawMessage) string { return r.clean(stringOf(raw), maxFieldBytes) }

// callFailure is an unusable answer to a call: the tool ran, with unknown effect.
func callFailure(message string) *Error {
	e := failure(StageProtocol, "%s", message)
	e.Sent = Answered
	return e
}
