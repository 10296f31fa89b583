package identity

import (
	"fmt"
	"strings"
)

// Scopes is a set of what an API key is good for.
type Scopes uint8

// The scopes. Their names are stored, not their bits.
const (
	// ScopeResponses: runs and all that belongs to them.
	ScopeResponses Scopes = 1 << iota
	// ScopeConnectors: to look at connectors and to change them. Runs use connectors without it.
	ScopeConnectors
	// ScopeAdmin: what the role of an admin allows. A key without it makes its admin a member.
	ScopeAdmin

	// AllScopes are all of them.
	AllScopes = ScopeResponses | ScopeConnectors | ScopeAdmin
)

var scopeNames = []struct {
	scope Scopes
	name  string
}{
	{ScopeResponses, "responses"},
	{ScopeConnectors, "connectors"},
	{ScopeAdmin, "admin"},
}

// Has reports whether all of the given scopes are in the set.
func (s Scopes) Has(all Scopes) bool { return s&all == all }

// Names lists the scopes.
func (s Scopes) Names() []string {
	var names []string
	for _, known := range scopeNames {
		if s.Has(known.scope) {
			names = append(names, known.name)
		}
	}
	return names
}

// String is what ParseScopes reads.
func (s Scopes) String() string { return strings.Join(s.Names(), ",") }

// ParseScopes reads names separated by commas.
func ParseScopes(text string) (Scopes, error) {
	var s Scopes
	for name := range strings.SplitSeq(text, ",") {
		scope, ok := scopeNamed(strings.TrimSpace(name))
		if !ok {
			return 0, fmt.Errorf("must be some of %s, separated by commas", AllScopes)
		}
		s |= scope
	}
	return s, nil
}

func scopeNamed(name string) (Scopes, bool) {
	for _, known := range scopeNames {
		if known.name == name {
			return known.scope, true
		}
	}
	return 0, false
}
