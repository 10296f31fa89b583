package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// errRedacted reports that a String went through JSON or text as if it were an ordinary value. Accepting its
// placeholder would send "[redacted]" as somebody's credentials.
var errRedacted = errors.New(`secret: "[redacted]" stands for a value that was left out, it is not the value`)

// String is a secret text. Its zero value is empty and ready to use.
//
// The text is behind a pointer because fmt does not call the methods of a value that it reaches through an unexported
// field: it would print a plain string type in full, and prints a pointer as an address.
type String struct {
	_    [0]func() // no ==, which would compare addresses; use Equal
	text *string
}

// New returns text as a secret.
func New(text string) String {
	if text == "" {
		return String{}
	}
	return String{text: &text}
}

// Reveal returns the secret itself.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty. It also serves the omitzero option of JSON tags.
func (s String) IsZero() bool { return s.text == nil }

// Equal reports whether two secrets are the same, in a time that depends on their lengths only.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns "[redacted]", or "" for an empty secret: whether a secret is set is worth knowing and safe to tell.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format redacts the secret under every verb of fmt, also those that make no sense for a string.
func (s String) Format(state fmt.State, verb rune) {
	text := s.String()
	switch {
	case verb == 'v' && state.Flag('#'):
		text = fmt.Sprintf("secret.New(%q)", text)
	case verb == 'q':
		text = fmt.Sprintf("%q", text)
	}
	_, _ = io.WriteString(state, text) // a fmt.State has nobody to report an error to
}

// LogValue redacts the secret in slog.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText redacts the secret in JSON, YAML and other text formats.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a secret from JSON, YAML and other text formats. It refuses what MarshalText writes.
func (s *String) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errRedacted
	}
	*s = New(string(text))
	return nil
}
