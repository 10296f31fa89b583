package demo

import (
	"regexp"
	"strings"
	"unicode"
)

var camelCase = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// words splits text into stemmed lower-case words, without those that mean nothing by themselves.
func words(text string) []string {
	fields := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	out := fields[:0]
	for _, word := range fields {
		if !isFiller(word) {
			out = append(out, stem(word))
		}
	}
	return out
}

// identifierWords is words for a name in code, which may be written in camel case.
func identifierWords(name string) []string { return words(camelCase.ReplaceAllString(name, "$1 $2")) }

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range words(text) {
		set[word] = true
	}
	return set
}

// stem makes singular of plural.
func stem(word string) string {
	switch {
	case len(word) < 4 || strings.HasSuffix(word, "ss"):
		return word
	case strings.HasSuffix(word, "ies"):
		return strings.TrimSuffix(word, "ies") + "y"
	case strings.HasSuffix(word, "ches"), strings.HasSuffix(word, "shes"), strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "xes"):
		return strings.TrimSuffix(word, "es")
	default:
		return strings.TrimSuffix(word, "s")
	}
}

func isFiller(word string) bool {
	switch word {
	case "a", "an", "the", "this", "that", "these", "those", "there", "it", "its", "all", "any", "some", "both",
		"i", "me", "my", "we", "us", "our", "you", "your", "please", "use", "using",
		"of", "for", "in", "to", "and", "or", "with", "by", "from", "on", "at", "as", "about", "into", "via", "then",
		"is", "are", "be", "do", "does", "did", "can", "could", "would", "should", "will":
		return true
	default:
		return false
	}
}

// concept maps a stemmed word to what stands for all words of its meaning.
func concept(word string) string {
	switch word {
	case "find", "search", "list", "show", "look", "lookup", "enumerate":
		return "find"
	case "ask", "question", "explain", "answer", "tell", "describe", "what", "why", "how", "who", "when", "where", "which":
		return "ask"
	case "read", "get", "fetch", "view", "retrieve", "display":
		return "read"
	case "create", "new", "make", "write", "post", "submit", "report":
		return "create"
	case "sum", "add", "plus", "total":
		return "sum"
	case "doc", "documentation", "wiki":
		return "documentation"
	case "repo", "repository":
		return "repository"
	default:
		return word
	}
}
