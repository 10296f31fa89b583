package demo

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxPrompt bounds how much of a message is looked at, in bytes.
	maxPrompt = 16 << 10
	// maxRepoName bounds "owner/repo": GitHub allows 39 and 100 characters.
	maxRepoName = 39 + 1 + 100

	punctuation = "\"'`“”‘’.,;:!?()[]{}<>*"
)

var (
	repoName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`)
	// notRepo is what has a repository's form and is none: fractions, and words that people join with a slash.
	notRepo = regexp.MustCompile(`(?i)^(\d+/\d+|n/a|w/o|i/o|tcp/ip|(and|either)/or|yes/no|on/off|true/false|s?he/s?he|his/her|` +
		`read/write|input/output|client/server)$`)
	number = regexp.MustCompile(`^-?\d{1,15}(\.\d{1,6})?$`)
	quoted = regexp.MustCompile(`"([^"]{1,500})"|“([^”]{1,500})”`)
)

// repo names a repository.
type repo struct{ owner, name string }

func (r repo) String() string { return r.owner + "/" + r.name }

// parseRepo reads "owner/repo" or a URL on GitHub.
func parseRepo(text string) (repo, bool) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "https://"), "http://")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "www."), "github.com/")
	text = strings.TrimSuffix(strings.TrimSuffix(text, "/"), ".git")
	if len(text) > maxRepoName || !repoName.MatchString(text) || notRepo.MatchString(text) {
		return repo{}, false
	}
	owner, name, _ := strings.Cut(text, "/")
	return repo{owner, name}, true
}

// prompt is what the script understands of a message.
type prompt struct {
	text     string
	words    map[string]bool // stemmed
	concepts map[string]bool
	repos    []repo
	urls     []string
	numbers  []float64
	quoted   []string
	both     bool // two things are asked for
}

func readPrompt(text string) prompt {
	text = clip(text, maxPrompt)
	p := prompt{text: text, words: map[string]bool{}, concepts: map[string]bool{}}
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		phrase := m[1] + m[2]
		if _, ok := parseRepo(phrase); !ok {
			p.quoted = append(p.quoted, phrase)
		}
	}
	for _, token := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
		p.readToken(strings.Trim(token, punctuation))
	}
	return p
}

func (p *prompt) readToken(token string) {
	token = strings.TrimSuffix(strings.TrimSuffix(token, "'s"), "’s")
	if r, ok := parseRepo(token); ok {
		if !slices.Contains(p.repos, r) {
			p.repos = append(p.repos, r)
		}
		return
	}
	if strings.HasPrefix(token, "https://") || strings.HasPrefix(token, "http://") {
		p.urls = append(p.urls, token)
		return
	}
	if digits := strings.TrimPrefix(token, "#"); number.MatchString(digits) {
		if n, err := strconv.ParseFloat(digits, 64); err == nil {
			p.numbers = append(p.numbers, n)
		}
		return
	}
	p.both = p.both || strings.EqualFold(token, "both")
	for _, word := range words(token) {
		p.words[word] = true
		p.concepts[concept(word)] = true
	}
}

// mentions reports whether every word of text is in the message.
func (p *prompt) mentions(text string) bool {
	list := words(text)
	for _, word := range list {
		if !p.words[word] {
			return false
		}
	}
	return len(list) > 0
}

// clip cuts text to at most n bytes, between characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
