package connector

import (
	"net/textproto"
	"slices"
	"strings"
)

const authorization = "Authorization"

// cloudflarePrefix begins the headers that Cloudflare Access reads or sets.
const cloudflarePrefix = "Cf-Access-"

func canonicalHeader(name string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
}

// canonicalHeaders does not remove what is there twice: that is for validation to tell.
func canonicalHeaders(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = canonicalHeader(name)
	}
	slices.Sort(out)
	return out
}
