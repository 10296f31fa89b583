package responses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// object reads the members of one JSON object of a request. It knows where in the body it stands, so that every error names
// the place. The first error sticks to the shared reader and later reads return zero values: decoders check once, at the end.
type object struct {
	*reader
	path    string
	members map[string]json.RawMessage
	seen    map[string]bool
}

// reader is the state that the objects of one request share.
type reader struct{ err *Error }

func (r *reader) fail(err *Error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) object(path string, data json.RawMessage) *object {
	o := &object{reader: r, path: path, seen: map[string]bool{}}
	if !isObject(data) {
		r.fail(Invalid(path, "must be an object"))
		return o
	}
	if err := json.Unmarshal(data, &o.members); err != nil {
		r.fail(Invalid(path, "is not valid JSON"))
	}
	return o
}

// list calls each for the elements of a JSON array.
func (r *reader) list(path string, data json.RawMessage, most int, each func(path string, data json.RawMessage)) {
	var elements []json.RawMessage
	if !isArray(data) || json.Unmarshal(data, &elements) != nil {
		r.fail(Invalid(path, "must be an array"))
		return
	}
	if len(elements) > most {
		r.fail(Invalid(path, "has %d entries; at most %d are allowed", len(elements), most))
		return
	}
	for i, e := range elements {
		if r.err != nil {
			return
		}
		each(path+"["+strconv.Itoa(i)+"]", e)
	}
}

func (o *object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// take returns a member that is neither absent nor null, and marks it as known.
func (o *object) take(name string) (json.RawMessage, bool) {
	o.seen[name] = true
	data, ok := o.members[name]
	if !ok || o.err != nil || isNull(data) {
		return nil, false
	}
	return data, true
}

// require is take for a member that must be there.
func (o *object) require(name string) (json.RawMessage, bool) {
	data, ok := o.take(name)
	if !ok {
		o.fail(Invalid(o.at(name), "is required"))
	}
	return data, ok
}

// ignore marks members as known whose value does not matter.
func (o *object) ignore(names ...string) {
	for _, name := range names {
		o.seen[name] = true
	}
}

// unsupported refuses members that one of the three APIs defines and this server lacks, unless they are null.
func (o *object) unsupported(names ...string) {
	for _, name := range names {
		if _, ok := o.take(name); ok {
			o.fail(notSupported(o.at(name), strconv.Quote(name)))
		}
	}
}

// done refuses members that nothing asked for.
func (o *object) done() {
	if o.err != nil {
		return
	}
	var unknown []string
	for name := range o.members {
		if !o.seen[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		name := o.at(slices.Min(unknown))
		o.fail(Invalid(clip(name), "invalid request body: unknown field %q", clip(name)))
	}
}

func (o *object) string(name string, most int) *string {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	return o.text(o.at(name), data, most)
}

// text reads a JSON string of at most the given number of bytes.
func (r *reader) text(path string, data json.RawMessage, most int) *string {
	var s string
	switch {
	case len(data) == 0 || data[0] != '"' || json.Unmarshal(data, &s) != nil:
		r.fail(Invalid(path, "must be a string"))
	case len(s) > most:
		r.fail(Invalid(path, "is %d bytes long; at most %d are allowed", len(s), most))
	default:
		return &s
	}
	return nil
}

// word reads a string that must be one of the given ones.
func (o *object) word(name string, words ...string) string {
	s := o.string(name, math.MaxInt)
	if s == nil {
		return ""
	}
	if !slices.Contains(words, *s) {
		o.fail(Invalid(o.at(name), "must be one of %s", quoted(words)))
		return ""
	}
	return *s
}

func (o *object) bool(name string) *bool {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	var b bool
	if json.Unmarshal(data, &b) != nil {
		o.fail(Invalid(o.at(name), "must be true or false"))
		return nil
	}
	return &b
}

func (o *object) int(name string, least, most int) *int {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		o.fail(Invalid(o.at(name), "must be an integer"))
		return nil
	}
	if n < least || n > most {
		o.fail(Invalid(o.at(name), "must be between %d and %d", least, most))
		return nil
	}
	return &n
}

func (o *object) float(name string, least, most float64) *float64 {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	var f float64
	if data[0] == '"' || json.Unmarshal(data, &f) != nil {
		o.fail(Invalid(o.at(name), "must be a number"))
		return nil
	}
	if f < least || f > most {
		o.fail(Invalid(o.at(name), "must be between %v and %v", least, most))
		return nil
	}
	return &f
}

// strings reads an array of strings.
func (o *object) strings(name string, most, longest int) []string {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	out := []string{}
	o.list(o.at(name), data, most, func(path string, data json.RawMessage) {
		if s := o.text(path, data, longest); s != nil {
			out = append(out, *s)
		}
	})
	return out
}

// stringMap reads an object whose values are strings.
func (o *object) stringMap(name string, most, longestKey, longestValue int) map[string]string {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	in := o.object(o.at(name), data)
	if len(in.members) > most {
		o.fail(Invalid(in.path, "has %d entries; at most %d are allowed", len(in.members), most))
	}
	out := make(map[string]string, len(in.members))
	for key := range in.members {
		if len(key) > longestKey {
			o.fail(Invalid(in.path, "has a key of %d bytes; at most %d are allowed", len(key), longestKey))
			return nil
		}
		if _, ok := in.require(key); !ok {
			return nil
		}
		value := in.string(key, longestValue)
		if value == nil {
			return nil
		}
		out[key] = *value
	}
	return out
}

func isObject(data []byte) bool { return len(data) > 0 && data[0] == '{' }
func isArray(data []byte) bool  { return len(data) > 0 && data[0] == '[' }
func isString(data []byte) bool { return len(data) > 0 && data[0] == '"' }
func isNull(data []byte) bool   { return bytes.Equal(data, []byte("null")) }

func quoted(words []string) string {
	var b bytes.Buffer
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", w)
	}
	return b.String()
}

// clip bounds what an error repeats of a client's own words.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
