package snippet

import (
	"strconv"
	"strings"
)

// language is how a value is written.
type language struct {
	indent      string
	text        func(string) string // a literal of a string
	env         func(Env) string
	yes, no     string
	name        func(string) string // of a member of an object
	trailing    bool                // whether the last of a list may have a comma, as it has where people write by hand
	beforeEntry func(Member) string // a comment on the line before a member; nil: there is none
}

// write writes a value. Depth is how far the line on which it begins is indented.
func (l language) write(b *strings.Builder, value any, depth int) {
	switch v := value.(type) {
	case string:
		b.WriteString(l.text(v))
	case Env:
		b.WriteString(l.env(v))
	case bool:
		b.WriteString(map[bool]string{true: l.yes, false: l.no}[v])
	case int:
		b.WriteString(strconv.Itoa(v))
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	case List:
		l.list(b, v, depth)
	case Object:
		l.object(b, v, depth)
	default:
		panic("snippet: a value of an unknown type")
	}
}

func (l language) list(b *strings.Builder, v List, depth int) {
	if len(v) == 0 {
		b.WriteString("[]")
		return
	}
	if short, ok := l.onOneLine(v); ok {
		b.WriteString(short)
		return
	}
	b.WriteString("[\n")
	for i, element := range v {
		b.WriteString(strings.Repeat(l.indent, depth+1))
		l.write(b, element, depth+1)
		l.comma(b, i == len(v)-1)
	}
	b.WriteString(strings.Repeat(l.indent, depth) + "]")
}

// maxLine is how long a list of texts may be that is written on one line.
const maxLine = 72

// onOneLine writes a short list of texts.
func (l language) onOneLine(v List) (string, bool) {
	texts := make([]string, len(v))
	length := 0
	for i, element := range v {
		text, ok := element.(string)
		if !ok {
			return "", false
		}
		texts[i] = l.text(text)
		length += len(texts[i]) + len(", ")
	}
	return "[" + strings.Join(texts, ", ") + "]", length <= maxLine
}

func (l language) object(b *strings.Builder, v Object, depth int) {
	if len(v) == 0 {
		b.WriteString("{}")
		return
	}
	b.WriteString("{\n")
	for i, m := range v {
		l.member(b, m, depth+1)
		l.comma(b, i == len(v)-1)
	}
	b.WriteString(strings.Repeat(l.indent, depth) + "}")
}

func (l language) member(b *strings.Builder, m Member, depth int) {
	start := strings.Repeat(l.indent, depth)
	if l.beforeEntry != nil {
		if comment := l.beforeEntry(m); comment != "" {
			b.WriteString(start + comment + "\n")
		}
	}
	b.WriteString(start + l.name(m.Name) + ": ")
	l.write(b, m.Value, depth)
}

func (l language) comma(b *strings.Builder, last bool) {
	if !last || l.trailing {
		b.WriteByte(',')
	}
	b.WriteByte('\n')
}
