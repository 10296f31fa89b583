package terminal_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"perdure/internal/terminal"
)

// TestClean: nothing of a stranger's text steers a terminal.
func TestClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain\n\ttext":               "plain\n\ttext",
		"\x1b]0;title\x07\x1b[2Jx":    "]0;title[2Jx",
		"a\rb\bc\x7fd\u009b31me":      "abcd31me",
		"user\u202etxt.exe\u2066!":    "usertxt.exe!",
		"grüße 日本 \U0001f600 e\u0301": "grüße 日本 \U0001f600 e\u0301",
		"\xff\xfe":                    "\ufffd\ufffd",
	} {
		if got := terminal.Clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"a\n  b\tc", 0, "a b c"},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abcde…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"\x1b\x1b", 5, ""},
	} {
		got := terminal.Line(tt.text, tt.width)
		if got != tt.want || tt.width > 0 && terminal.Columns(got) > tt.width {
			t.Errorf("%q in %d columns is %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

// TestReveal: of what somebody decides about nothing is missing, and nothing steers a terminal.
func TestReveal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":"grüße 日本"}`:                 `{"a":"grüße 日本"}`,
		"a\nb\tc\r\x1b[31m":                `a` + "\n" + `b\u0009c\u000d\u001b[31m`,
		"user\u202etxt\u200b\u00a0.\u00ad": `user\u202etxt\u200b\u00a0.\u00ad`,
		"\U000e0041":                       `\udb40\udc41`,
		"\xff":                             "\ufffd",
	} {
		if got := terminal.Reveal(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 4, []string{""}},
		{"abcd", 4, []string{"abcd"}},
		{"abcdefghi", 4, []string{"abcd", "efgh", "i"}},
		{"ab\n\ncdefg", 4, []string{"ab", "", "cdef", "g"}},
		{"日本語", 5, []string{"日本", "語"}},
		{"日本", 1, []string{"日", "本"}},
	} {
		if got := terminal.Wrap(tt.text, tt.width); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %d columns is %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

// FuzzCleaner: in whichever pieces a text comes, it is shown as if it came whole, and only what is not text is missing at its end.
func FuzzCleaner(f *testing.F) {
	f.Add("grüße 日本 \x1b[1m", 3)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size <= 0 || !utf8.ValidString(text) {
			t.Skip()
		}
		var c terminal.Cleaner
		var got strings.Builder
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			got.WriteString(c.Add(rest[:n]))
			rest = rest[n:]
		}
		if want := terminal.Clean(text); got.String() != want {
			t.Errorf("%q in pieces of %d became %q, want %q", text, size, got.String(), want)
		}
		if strings.ContainsAny(got.String(), "\x1b\r\b") {
			t.Errorf("%q steers a terminal", got.String())
		}
	})
}

func TestLive(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	live := terminal.NewLive(terminal.Out{Writer: &b, Redraw: true})
	live.Clear()
	live.Show("one", "two")
	live.Show("three")
	live.Clear()
	live.Clear()
	if got, want := b.String(), "one\ntwo\n\x1b[2A\r\x1b[Jthree\n\x1b[1A\r\x1b[J"; got != want {
		t.Errorf("it writes %q, want %q", got, want)
	}
	b.Reset()
	plain := terminal.NewLive(terminal.Out{Writer: &b, Terminal: true})
	plain.Show("one")
	plain.Clear()
	if b.Len() > 0 {
		t.Errorf("where nothing can be redrawn it writes %q", &b)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	out := terminal.Of(&bytes.Buffer{}, os.Getenv)
	if out.Terminal || out.Color || out.Redraw || out.Width() != 80 || out.Paint(terminal.Red, "x") != "x" {
		t.Errorf("a buffer is %+v", out)
	}
	if got := (terminal.Out{Color: true}).Paint(terminal.Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red is %q", got)
	}
	if terminal.IsTerminal(strings.NewReader("")) {
		t.Error("a string is a terminal")
	}
	if _, err := terminal.NewAsker(strings.NewReader("y\n"), out); !errors.Is(err, terminal.ErrNobody) {
		t.Errorf("somebody to ask: %v", err)
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		done, total float64
		want        string
	}{{0, 4, "░░░░"}, {1, 4, "█░░░"}, {4, 4, "████"}, {9, 4, "████"}, {0, 0, "░░░░"}, {-1, 4, "░░░░"}} {
		if got := terminal.Bar(tt.done, tt.total, 4); got != tt.want {
			t.Errorf("%v of %v is %s, want %s", tt.done, tt.total, got, tt.want)
		}
	}
}
