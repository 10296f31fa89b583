package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// validation collects problems.
type validation struct {
	problems []error
}

func (v *validation) report(path, format string, args ...any) {
	v.problems = append(v.problems, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (v *validation) positive(path string, d time.Duration) {
	if d <= 0 {
		v.report(path, "must be longer than 0")
	}
}

func (v *validation) atLeast(path string, n, least int64) {
	if n < least {
		v.report(path, "must be at least %d", least)
	}
}

func (v *validation) address(path, text string) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || !isPort(port) || strings.ContainsAny(host, "/@ ") {
		v.report(path, "must be host:port, for example 127.0.0.1:8080")
	}
}

// baseURL does not repeat the URL: it may contain a password.
func (v *validation) baseURL(path, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		v.report(path, "is not set: it must be a URL, for example https://api.openai.com/v1")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u):
		v.report(path, "must be a URL with http or https and a host, for example https://api.openai.com/v1")
	case u.User != nil:
		v.report(path, "must not contain a user name or password: use the keys for secrets")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		v.report(path, "must not contain a query or fragment (? or #)")
	}
}

func (v *validation) credential(path, text string) {
	if !credential.MatchString(text) {
		v.report(path, "must be printable ASCII without spaces and line breaks, to fit into an HTTP header")
	}
}

func (v *validation) identity(path, name string) {
	if !identityName.MatchString(name) {
		v.report(path, "must be 1 to 64 letters, digits and . _ @ + -, starting with a letter or digit")
	}
}

// isOrigin reports whether text is an origin as the network guard compares them.
func isOrigin(text string) bool {
	// A port of * is ours, not known to net/url.
	if withoutPort, ok := strings.CutSuffix(text, ":*"); ok {
		text = withoutPort
		if u, err := url.Parse(text); err != nil || u.Port() != "" {
			return false
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	// What is left of an origin once scheme and host are taken away is nothing.
	return isHost(u) && text == u.Scheme+"://"+u.Host && text == strings.ToLower(text)
}

// isHost reports whether the URL has a host that can be connected to, with or without a port.
func isHost(u *url.URL) bool {
	host := u.Hostname()
	if host == "" || strings.ContainsAny(host, "*, \t") {
		return false
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return false
		}
	}
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	return u.Port() != "0" && isPort(u.Port())
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}
