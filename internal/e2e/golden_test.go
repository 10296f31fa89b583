package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"perdure/internal/modeltest"
)

var (
	anyUUID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyItem   = regexp.MustCompile(`_ID_(\d+)r\d+`) // of an attempt that is not the first
	anyPort   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	anyTime   = regexp.MustCompile(`"(created_at|completed_at)": ?\d+`)
	anyString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	callHash  = regexp.MustCompile(`call_[0-9a-f]{32}`)
	modelName = regexp.MustCompile(`"((?:openai|backup)/[^"@]+)"`)
)

// plain are the members of a response to a request that asks for nothing in particular. Goldens leave them out.
var plain = map[string]string{
	"id": `"resp_ID"`, "object": `"response"`, "created_at": "0", "completed_at": "0", "background": "false", "store": "true",
	"model": `"openai/gpt-5.5"`, "error": "null", "incomplete_details": "null", "instructions": "null", "metadata": "{}",
	"previous_response_id": "null", "tools": "[]", "tool_choice": `"auto"`, "parallel_tool_calls": "true",
	"max_output_tokens": "null", "max_tool_calls": "null", "reasoning": `{"effort":null,"summary":null}`,
	"text": `{"format":{"type":"text"}}`, "temperature": "1", "top_p": "1", "presence_penalty": "0", "frequency_penalty": "0",
	"top_logprobs": "0", "truncation": `"disabled"`, "service_tier": `"default"`, "safety_identifier": "null",
	"prompt_cache_key": "null",
}

// normalize replaces what differs from run to run.
func normalize(text []byte) []byte {
	text = anyUUID.ReplaceAll(text, []byte("ID"))
	text = anyItem.ReplaceAll(text, []byte("_ID_$1"))
	text = anyPort.ReplaceAll(text, []byte("127.0.0.1:PORT"))
	return anyTime.ReplaceAll(text, []byte(`"$1":0`))
}

// goldenBody renders an answer for people: indented, normalized, without what is plain, long texts cut.
func goldenBody(body []byte) ([]byte, error) {
	members, err := orderedMembers(normalize(body))
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, body)
	}
	if err := checkComplete(members); err != nil {
		return nil, fmt.Errorf("%w in %s", err, body)
	}
	var out bytes.Buffer
	out.WriteString("{")
	for _, m := range members {
		if plain[m.name] == string(m.value) {
			continue
		}
		if out.Len() > 1 {
			out.WriteString(",")
		}
		fmt.Fprintf(&out, "%q:%s", m.name, m.value)
	}
	out.WriteString("}")
	pretty, err := layOut(abbreviate(out.Bytes()), "")
	return append(pretty, '\n'), err
}

// width is how long a value may be to stand on one line.
const width = 180

// layOut indents JSON as people do: what is short stays on one line.
func layOut(value json.RawMessage, indent string) ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return nil, err
	}
	if compact.Len() <= width || compact.Bytes()[0] == '"' {
		return compact.Bytes(), nil
	}
	var members []member
	var err error
	if compact.Bytes()[0] == '{' {
		members, err = orderedMembers(compact.Bytes())
	} else {
		var elements []json.RawMessage
		err = json.Unmarshal(compact.Bytes(), &elements)
		for _, e := range elements {
			members = append(members, member{value: e})
		}
	}
	if err != nil {
		return nil, err
	}
	out := []byte{compact.Bytes()[0]}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, "\n"+indent+"  "...)
		if m.name != "" {
			out = fmt.Appendf(out, "%q: ", m.name)
		}
		laidOut, err := layOut(m.value, indent+"  ")
		if err != nil {
			return nil, err
		}
		out = append(out, laidOut...)
	}
	out = append(out, "\n"+indent...)
	return append(out, compact.Bytes()[compact.Len()-1]), nil
}

// checkComplete reports a member that is missing from a response: the strictest client requires them all.
func checkComplete(members []member) error {
	if len(members) == 1 && members[0].name == "error" {
		return nil // an error, not a response
	}
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		if !slices.ContainsFunc(members, func(m member) bool { return m.name == name }) {
			return fmt.Errorf("the member %q is missing", name)
		}
	}
	return nil
}

type member struct {
	name  string
	value json.RawMessage
}

// orderedMembers reads an object without losing the order of its members.
func orderedMembers(body []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var members []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: fmt.Sprint(name)}
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

const (
	longText = 1000 // bytes
	keptText = 80   // at either end
)

// abbreviate replaces long JSON strings by their ends, their length and their hash.
func abbreviate(body []byte) []byte {
	return anyString.ReplaceAllFunc(body, func(quoted []byte) []byte {
		var s string
		if len(quoted) <= longText || json.Unmarshal(quoted, &s) != nil {
			return quoted
		}
		short, err := json.Marshal(short(s))
		if err != nil {
			return quoted
		}
		return short
	})
}

func short(s string) string {
	if len(s) <= longText {
		return s
	}
	begin, end := strings.ToValidUTF8(s[:keptText], ""), strings.ToValidUTF8(s[len(s)-keptText:], "")
	return fmt.Sprintf("%s … %s (%d bytes, SHA-256 %x)", begin, end, len(s), sha256.Sum256([]byte(s)))
}

// goldenRequests renders what a model was asked. Of a conversation that goes on it shows what is new.
func goldenRequests(requests []modeltest.Request) ([]byte, error) {
	var out bytes.Buffer
	var tools string
	var before []string
	for i, r := range requests {
		settings, err := settingsOf(r)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "request %d: %s\n", i+1, settings)
		if now := toolLines(r); now != tools {
			if now == "" {
				now = "  no tools\n"
			}
			tools = now
			out.WriteString(tools)
		}
		messages := messageLines(r)
		same := 0
		for same < min(len(before), len(messages)) && before[same] == messages[same] {
			same++
		}
		if same > 0 {
			fmt.Fprintf(&out, "  … and after these %d messages\n", same)
		}
		for _, line := range messages[same:] {
			out.WriteString(line)
		}
		before = messages
	}
	return numberCalls(normalize(out.Bytes())), nil
}

// numberCalls replaces the IDs of tool calls, which are hashes of random IDs.
func numberCalls(text []byte) []byte {
	numbers := map[string]int{}
	return callHash.ReplaceAllFunc(text, func(id []byte) []byte {
		if numbers[string(id)] == 0 {
			numbers[string(id)] = len(numbers) + 1
		}
		return fmt.Appendf(nil, "call %d", numbers[string(id)])
	})
}

// settingsOf lists the members of a request that are not shown otherwise.
func settingsOf(r modeltest.Request) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(r.Body, &members); err != nil {
		return "", err
	}
	for _, name := range []string{"model", "messages", "tools", "stream", "stream_options"} {
		delete(members, name)
	}
	parts := []string{r.Model}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, name+" "+string(members[name]))
	}
	return strings.Join(parts, ", "), nil
}

func toolLines(r modeltest.Request) string {
	var out strings.Builder
	for _, t := range r.Tools {
		fmt.Fprintf(&out, "  tool %s %s\n", t.Name, t.Parameters)
	}
	return out.String()
}

func messageLines(r modeltest.Request) []string {
	var lines []string
	for _, m := range r.Messages {
		var b strings.Builder
		fmt.Fprintf(&b, "  %s:", m.Role)
		if m.ToolCallID != "" {
			fmt.Fprintf(&b, " answers %s:", m.ToolCallID)
		}
		if m.Content != "" {
			b.WriteString(" " + strconv.Quote(short(m.Content)))
		}
		for _, url := range m.Images {
			b.WriteString(" image " + url)
		}
		for _, c := range m.ToolCalls {
			fmt.Fprintf(&b, " calls %s(%s) as %s", c.Name, c.Arguments, c.ID)
		}
		b.WriteByte('\n')
		lines = append(lines, b.String())
	}
	return lines
}
