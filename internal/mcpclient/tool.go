package mcpclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxToolName    = 128 // characters
	maxSchemaDepth = 32
)

// A Tool is one tool as its server describes it. All of it is untrusted: the
// description may try to instruct the model, and the hints may be wrong.
type Tool struct {
	Name        string
	Description string
	// InputSchema is a JSON object, byte for byte as it was on the wire.
	InputSchema json.RawMessage
	// The annotations readOnlyHint, idempotentHint and destructiveHint; nil if
	// the server does not give them.
	ReadOnly    *bool
	Idempotent  *bool
	Destructive *bool

	mirrors []mirror
}

// toolParser reads tools one by one, so that a broken one harms no other.
type toolParser struct {
	maxSchema      int
	maxDescription int
	secrets        redactor
	mirrors        bool // the protocol version has them
}

// parse returns the tool, or as much of it as can name it and the reason why
// it cannot be offered.
func (p toolParser) parse(raw json.RawMessage) (tool Tool, reason string) {
	parts, ok := members(raw)
	if !ok {
		return tool, "it is not an object"
	}
	if json.Unmarshal(parts["name"], &tool.Name) != nil || tool.Name == "" {
		tool.Name = ""
		return tool, "it has no name"
	}
	if reason := checkToolName(tool.Name); reason != "" {
		return tool, reason
	}
	if d := present(parts["description"]); d != nil && json.Unmarshal(d, &tool.Description) != nil {
		return tool, "its description is not a string"
	}
	tool.Description = cutText(p.secrets.Text(tool.Description), p.maxDescription)
	tool.InputSchema = bytes.Clone(parts["inputSchema"]) // it is kept, and the answer need not be
	if reason := checkSchema(tool.InputSchema, p.maxSchema); reason != "" {
		return tool, reason
	}
	if p.secrets.Found(tool.Name) || p.secrets.JSON(string(tool.InputSchema)) != string(tool.InputSchema) {
		return tool, "it repeats a credential"
	}
	if p.mirrors {
		var reason string
		if tool.mirrors, reason = mirrorsOf(tool.InputSchema); reason != "" {
			return tool, reason
		}
	}
	var hints map[string]json.RawMessage
	if json.Unmarshal(parts["annotations"], &hints) == nil {
		tool.ReadOnly = hint(hints["readOnlyHint"])
		tool.Idempotent = hint(hints["idempotentHint"])
		tool.Destructive = hint(hints["destructiveHint"])
	}
	return tool, ""
}

// checkToolName is more generous than the specification, which recommends
// ASCII letters, digits and "_-.": names offered to models are mapped anyway.
func checkToolName(name string) string {
	switch {
	case utf8.RuneCountInString(name) > maxToolName:
		return fmt.Sprintf("its name is longer than %d characters", maxToolName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		return "its name has a character that cannot be printed"
	case strings.TrimSpace(name) != name:
		return "its name begins or ends with a space"
	}
	return ""
}

// checkSchema accepts a JSON object that any reader can handle. What it means
// as a schema is not looked at.
func checkSchema(schema json.RawMessage, limit int) string {
	switch {
	case present(schema) == nil:
		return "it has no input schema"
	case schema[0] != '{':
		return "its input schema is not an object"
	case len(schema) > limit:
		return fmt.Sprintf("its input schema is larger than %d bytes", limit)
	case !utf8.Valid(schema):
		return "its input schema is not UTF-8"
	}
	depth := 0
	d := json.NewDecoder(bytes.NewReader(schema))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil { // only the end: the JSON has been checked before
			return ""
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxSchemaDepth {
				return fmt.Sprintf("its input schema is nested more than %d levels deep", maxSchemaDepth)
			}
		case json.Number:
			if f, err := t.Float64(); err != nil || math.IsInf(f, 0) {
				return "its input schema has a number that is too large"
			}
		}
	}
}

func hint(raw json.RawMessage) *bool {
	var b *bool
	if json.Unmarshal(raw, &b) != nil {
		return nil
	}
	return b
}
