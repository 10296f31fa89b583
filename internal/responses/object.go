package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// object reads the members of one JSON object of a request. It knows where in the body it stands, so that every error names
// the place. The first error sticks to the shared reader and later reads return zero values: decoders check once, at the end.
type object struct {
	*reader
	path string
	// unread are the members that nothing has asked for yet.
	unread map[string]json.RawMessage
}

// reader is the state that the objects of one request share.
type reader struct {
	err *Error
	// dialect says what counts where the APIs contradict each other.
	dialect Dialect
}

func (r *reader) fail(err *Error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) object(path string, data json.RawMessage) *object {
	o := &object{reader: r, path: path}
	if !isObject(data) {
		r.fail(Invalid(path, "must be an object"))
		return o
	}
	o.unread = map[string]json.RawMessage{}
	for name, value := range members(data) {
		o.unread[name] = value
	}
	return o
}

// list calls each for the elements of a JSON array.
func (r *reader) list(path string, data json.RawMessage, most int, each func(path string, data json.RawMessage)) {
	if !isArray(data) {
		r.fail(Invalid(path, "must be an array"))
		return
	}
	for i, element := range elements(data) {
		if i == most {
			r.fail(Invalid(path, "has more than %d entries", most))
		}
		if r.err != nil {
			return
		}
		each(path+"["+strconv.Itoa(i)+"]", element)
	}
}

func (o *object) at(name string) string {
	if o.path == "" {
		return clip(name)
	}
	return o.path + "." + clip(name)
}

func (o *object) has(name string) bool {
	_, ok := o.unread[name]
	return ok
}

// take returns a member that is neither absent nor null, and marks it as read.
func (o *object) take(name string) (json.RawMessage, bool) {
	data, ok := o.unread[name]
	delete(o.unread, name)
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

// ignore marks members as read whose value does not matter.
func (o *object) ignore(names ...string) {
	for _, name := range names {
		delete(o.unread, name)
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

// only refuses a member with any value but the given ones, which ask for nothing that this server lacks.
func (o *object) only(name string, harmless ...string) {
	if s := o.optional(name, math.MaxInt); s != "" && !slices.Contains(harmless, s) {
		o.fail(notSupported(o.at(name), strconv.Quote(name)+" other than "+quoted(harmless)))
	}
}

// done refuses members that nothing asked for.
func (o *object) done() {
	if o.err != nil || len(o.unread) == 0 {
		return
	}
	place := o.at(slices.Min(slices.Collect(maps.Keys(o.unread))))
	err := Invalid(place, "invalid request body: unknown field %q", place)
	err.Code = CodeUnknownParameter
	o.fail(err)
}

// string reads a string of at most the given number of characters; it returns nil when there is none.
func (o *object) string(name string, most int) *string {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	return o.text(o.at(name), data, most)
}

// optional is string for a member whose absence means "".
func (o *object) optional(name string, most int) string {
	if s := o.string(name, most); s != nil {
		return *s
	}
	return ""
}

// required reads a string that must be there, but may be empty and of any length.
func (o *object) required(name string) string {
	data, ok := o.require(name)
	if !ok {
		return ""
	}
	if s := o.text(o.at(name), data, math.MaxInt); s != nil {
		return *s
	}
	return ""
}

// filled reads a string that must be there and must not be empty.
func (o *object) filled(name string, most int) string {
	data, ok := o.require(name)
	if !ok {
		return ""
	}
	return o.filledText(o.at(name), data, most)
}

// filledText is text for a string that must not be empty.
func (r *reader) filledText(path string, data json.RawMessage, most int) string {
	s := r.text(path, data, most)
	if s == nil {
		return ""
	}
	if *s == "" {
		r.fail(Invalid(path, "must not be empty"))
	}
	return *s
}

// text decodes a JSON string of at most the given number of characters.
func (r *reader) text(path string, data json.RawMessage, most int) *string {
	if !isString(data) {
		r.fail(Invalid(path, "must be a string"))
		return nil
	}
	s := unquote(data)
	// Most texts are shorter in bytes than they may be in characters, and need no count.
	if len(s) > most && utf8.RuneCountInString(s) > most {
		r.fail(Invalid(path, "is longer than %d characters", most))
		return nil
	}
	return &s
}

// word reads a string that must be one of the given ones; it returns "" when there is none.
func (o *object) word(name string, words ...string) string {
	data, ok := o.take(name)
	if !ok {
		return ""
	}
	s := o.text(o.at(name), data, math.MaxInt)
	if s == nil {
		return ""
	}
	if !slices.Contains(words, *s) {
		o.fail(Invalid(o.at(name), "must be one of %s", quoted(words)))
		return ""
	}
	return *s
}

// wordRequired is word for a member that must be there.
func (o *object) wordRequired(name string, words ...string) string {
	if data, ok := o.unread[name]; !ok || isNull(data) {
		o.fail(Invalid(o.at(name), "is required; it must be one of %s", quoted(words)))
	}
	return o.word(name, words...)
}

// schema reads a JSON object that is passed on as it came. It is a copy: a few bytes must not keep a whole body in memory.
func (o *object) schema(name string) json.RawMessage {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	if !isObject(data) {
		o.fail(Invalid(o.at(name), "must be an object"))
		return nil
	}
	return bytes.Clone(data)
}

func (o *object) bool(name string) *bool {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	b := data[0] == 't'
	if !b && data[0] != 'f' {
		o.fail(Invalid(o.at(name), "must be true or false"))
		return nil
	}
	return &b
}

func isTrue(b *bool) bool { return b != nil && *b }

// trueUnlessFalse is bool for a member whose absence means true.
func (o *object) trueUnlessFalse(name string) bool {
	b := o.bool(name)
	return b == nil || *b
}

// requiredBool is bool for a member that must be there.
func (o *object) requiredBool(name string) bool {
	if data, ok := o.unread[name]; !ok || isNull(data) {
		o.fail(Invalid(o.at(name), "is required; it must be true or false"))
	}
	return isTrue(o.bool(name))
}

// falseOnly refuses true, and any value that is not a Boolean.
func (o *object) falseOnly(name string) {
	if isTrue(o.bool(name)) {
		o.fail(notSupported(o.at(name), strconv.Quote(name)+": true"))
	}
}

func (o *object) int(name string, least, most int) *int {
	data, ok := o.take(name)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(string(data))
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		o.fail(Invalid(o.at(name), "must be an integer"))
		return nil
	}
	if err != nil || n < least || n > most {
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
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
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
	return o.texts(name, data, most, longest)
}

func (o *object) texts(name string, data json.RawMessage, most, longest int) []string {
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
	if len(in.unread) > most {
		o.fail(Invalid(in.path, "has %d entries; at most %d are allowed", len(in.unread), most))
		return nil
	}
	out := make(map[string]string, len(in.unread))
	for _, key := range slices.Sorted(maps.Keys(in.unread)) {
		if utf8.RuneCountInString(key) > longestKey {
			o.fail(Invalid(in.path, "has a key that is longer than %d characters", longestKey))
			return nil
		}
		value := in.text(in.at(key), in.unread[key], longestValue)
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
