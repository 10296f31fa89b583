package snippet

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// jsonText writes a string for JSON, which is a literal of JavaScript as well. All that cannot be seen is escaped: control characters act
// on a terminal into which they are pasted, and those that reorder text make code look like other code.
func jsonText(s string) string {
	return literal(s, func(r rune) string {
		if r >= 0x10000 {
			high, low := utf16.EncodeRune(r)
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// pythonText writes a literal of a string for Python.
func pythonText(s string) string {
	return literal(s, func(r rune) string {
		if r >= 0x10000 {
			return fmt.Sprintf(`\U%08x`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// literal quotes a string with double quotes. The escapes that it writes itself mean the same in JSON, JavaScript and Python.
func literal(s string, escape func(rune) string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s { // what is not UTF-8 becomes U+FFFD
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(escape(r))
		}
	}
	b.WriteByte('"')
	return b.String()
}

// shellText quotes a string for a POSIX shell: nothing between single quotes means anything to it but the quote that ends them.
func shellText(s string) string { return "'" + shellInner(s) + "'" }

// shellInner is s for between single quotes.
func shellInner(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }
