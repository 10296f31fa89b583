package oauth

import (
	"slices"
	"strings"
)

// A Challenge is what a refusal (HTTP 401 or 403) says about the token that is missing. Its zero value says nothing.
type Challenge struct {
	ResourceMetadata string   // where the resource's metadata is; untrusted
	Scopes           []string // that the request needs
	Error            string   // such as "invalid_token" or "insufficient_scope"
}

// InsufficientScope reports whether the token was good, but not for this.
func (c Challenge) InsufficientScope() bool { return c.Error == "insufficient_scope" }

// maxChallenge bounds what is looked at.
const maxChallenge = 16 << 10

// ParseChallenge reads the WWW-Authenticate headers of an answer (RFC 9110, 11.6.1; RFC 6750, 3; RFC 9728, 5.1) and takes the Bearer
// challenge. It reads what it can of malformed ones: a refusal is a refusal.
func ParseChallenge(headers []string) Challenge {
	var c Challenge
	for _, h := range headers {
		if len(h) > maxChallenge {
			continue
		}
		for _, p := range bearerParams(h) {
			switch p.name {
			case "resource_metadata":
				set(&c.ResourceMetadata, p.value)
			case "error":
				set(&c.Error, p.value)
			case "scope":
				for scope := range strings.FieldsSeq(p.value) {
					if validScope(scope) && !slices.Contains(c.Scopes, scope) && len(c.Scopes) < maxScopes {
						c.Scopes = append(c.Scopes, scope)
					}
				}
			}
		}
	}
	return c
}

func set(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

type param struct{ name, value string }

// bearerParams returns the parameters of the Bearer challenges in a header, which may hold challenges of several schemes.
func bearerParams(h string) []param {
	var params []param
	bearer := false
	for h = strings.TrimLeft(h, " \t,"); h != ""; h = strings.TrimLeft(h, " \t,") {
		word := token(h)
		if word == "" {
			return params // not what it should be; what follows cannot be told
		}
		h = h[len(word):]
		rest := strings.TrimLeft(h, " \t")
		value, isParam := strings.CutPrefix(rest, "=")
		if !isParam {
			bearer = strings.EqualFold(word, "Bearer") // a scheme
			continue
		}
		if strings.Trim(value, "= \t") == "" || strings.HasPrefix(strings.TrimLeft(value, "="), ",") {
			h = strings.TrimLeft(value, "=") // the padding of another scheme's token68
			continue
		}
		text, after := paramValue(strings.TrimLeft(value, " \t"))
		if bearer {
			params = append(params, param{name: strings.ToLower(word), value: text})
		}
		h = after
	}
	return params
}

// token returns the token at the beginning of s. Characters of a token68 are taken as well, so that one is passed over as a whole.
func token(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<=>?@[\]{}`, r)
	})
	if end < 0 {
		return s
	}
	return s[:end]
}

// paramValue returns the token or the unquoted string at the beginning of s, and what follows.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		// Some servers forget the quotes, so this goes as far as it can.
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			return s, ""
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
