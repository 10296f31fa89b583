package file

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Endpoints are those that requests of a batch may be for.
var Endpoints = []string{"/v1/responses", "/v1/agent"}

// maxCustomID is how many bytes a custom_id may have.
const maxCustomID = 512

// member is what is needed of a member of a request: the first byte says what it is, and only a string that may be of use is kept.
type member struct {
	kind byte
	text string
	long bool
}

func (m *member) UnmarshalJSON(data []byte) error {
	*m = member{kind: data[0]}
	if m.kind != '"' {
		return nil
	}
	if m.long = len(data) > 6*maxCustomID+2; m.long { // six bytes are what JSON may make of one
		return nil
	}
	return json.Unmarshal(data, &m.text)
}

// checkRequest says what is wrong with a line; empty: nothing. What the body says is looked at when it is its turn.
func checkRequest(line []byte) (customID, endpoint, problem string) {
	if !utf8.Valid(line) {
		return "", "", "is not UTF-8 text"
	}
	if bytes.HasPrefix(line, []byte("\ufeff")) {
		return "", "", "begins with a byte order mark: save the file as UTF-8 without one"
	}
	var members map[string]member
	if trimmed := bytes.TrimSpace(line); trimmed[0] != '{' {
		return "", "", "must be a JSON object: each line is one request"
	}
	if err := json.Unmarshal(line, &members); err != nil {
		return "", "", "is not valid JSON: each line is one JSON object"
	}
	id, method, url := members["custom_id"], members["method"], members["url"]
	switch {
	case id.kind == 0:
		return "", "", "custom_id is missing: it is how you find the answer in the output"
	case id.kind != '"' || id.text == "" && !id.long:
		return "", "", "custom_id must be a string that is not empty"
	case id.long || len(id.text) > maxCustomID:
		return "", "", "custom_id must have at most 512 bytes"
	case method.kind == 0:
		return "", "", `method is missing: it must be "POST"`
	case method.text != "POST":
		return "", "", `method must be "POST"`
	case url.kind == 0:
		return "", "", "url is missing: it must be " + endpoints
	case !slices.Contains(Endpoints, url.text):
		return "", "", "url must be " + endpoints
	case members["body"].kind == 0:
		return "", "", "body is missing: it is the request, an object"
	case members["body"].kind != '{':
		return "", "", "body must be an object"
	}
	return id.text, url.text, ""
}

var endpoints = strings.Join(Endpoints, " or ")

// Request is a line of an upload.
type Request struct {
	CustomID string          `json:"custom_id"`
	URL      string          `json:"url"`
	Body     json.RawMessage `json:"body"`
}

// ParseRequest reads a line that was checked when it came.
func ParseRequest(line []byte) (Request, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return Request{}, err
	}
	var r Request
	if err := json.Unmarshal(members["custom_id"], &r.CustomID); err != nil {
		return Request{}, err
	}
	r.Body = members["body"]
	return r, json.Unmarshal(members["url"], &r.URL)
}
