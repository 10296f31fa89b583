package model

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"perdure/internal/responses"
)

const (
	maxName  = 64 // what providers allow
	maxLabel = 20 // what a name keeps of a server's label, so that the tool's own name has room
	hashSize = 8
)

var (
	functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	forbidden    = regexp.MustCompile(`[^a-zA-Z0-9_-]`)
	// hashed is how the names end that hash makes. A tool whose own name ends like that gets a hash as well, or it could pass
	// for another tool.
	hashed = regexp.MustCompile(`_[A-Z2-7]{8}$`)
)

// Names translates between tools and the names that a model knows them by.
//
// A function keeps its name. A tool of an MCP server is called label__tool; where that is too long, has characters that
// providers refuse or could mean another tool, it is shortened and ends in a hash of the whole. The name is a function of the
// tool alone, so it stays the same from turn to turn and from request to request, whichever tools are offered beside it; only
// a function of the same name makes a tool's name change.
//
// A Names does not change and is safe for concurrent use. The zero value offers nothing.
type Names struct {
	byRef  map[responses.ToolRef]string
	byName map[string]responses.ToolRef
}

// NewNames names the functions and MCP tools that are offered. The result does not depend on the order of either.
func NewNames(functions []string, tools []responses.ToolRef) *Names {
	n := &Names{byRef: map[responses.ToolRef]string{}, byName: map[string]responses.ToolRef{}}
	// Functions come first: their names are the client's and must not change.
	for _, name := range sorted(functions) {
		n.add(responses.ToolRef{Name: name})
	}
	tools = slices.SortedFunc(slices.Values(tools), func(a, b responses.ToolRef) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Name, b.Name))
	})
	for _, ref := range slices.Compact(tools) {
		n.add(ref)
	}
	return n
}

func sorted(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

func (n *Names) add(ref responses.ToolRef) {
	name := n.For(ref)
	n.byRef[ref] = name
	n.byName[name] = ref
}

// For returns the tool's name. A tool that is not offered now has one too, for its calls in older parts of a conversation.
func (n *Names) For(ref responses.ToolRef) string {
	if name, ok := n.byRef[ref]; ok {
		return name
	}
	for i := 0; ; i++ {
		name := candidate(ref, i)
		if _, taken := n.byName[name]; !taken {
			return name
		}
	}
}

// Resolve finds the offered tool that a model called by name. It reports false for a name that was not offered.
func (n *Names) Resolve(name string) (responses.ToolRef, bool) {
	ref, ok := n.byName[name]
	return ref, ok
}

// candidate returns the i-th choice of a name for the tool: the plain one, if it has one, then hashed ones.
func candidate(ref responses.ToolRef, i int) string {
	if name, ok := plainName(ref); ok {
		if i == 0 {
			return name
		}
		i--
	}
	return hashedName(ref, i)
}

// plainName returns the name without a hash, if no other tool can have the same: a label without "__" that does not end in "_"
// is what stands before the first "__".
func plainName(ref responses.ToolRef) (string, bool) {
	if ref.Server == "" {
		return ref.Name, functionName.MatchString(ref.Name)
	}
	name := ref.Server + "__" + ref.Name
	ok := ref.Name != "" && len(name) <= maxName && len(ref.Server) <= maxLabel && !forbidden.MatchString(name) &&
		startsWell(name) && !strings.Contains(ref.Server, "__") && !strings.HasSuffix(ref.Server, "_") && !hashed.MatchString(name)
	return name, ok
}

func hashedName(ref responses.ToolRef, i int) string {
	head := forbidden.ReplaceAllString(ref.Name, "_")
	if ref.Server != "" {
		label := forbidden.ReplaceAllString(ref.Server, "_")
		head = label[:min(len(label), maxLabel)] + "__" + head
	}
	if !startsWell(head) {
		head = "_" + head
	}
	key := ref.Server + "\x00" + ref.Name
	if i > 0 {
		key += "\x00" + strconv.Itoa(i)
	}
	sum := sha256.Sum256([]byte(key))
	return head[:min(len(head), maxName-hashSize-1)] + "_" + base32.StdEncoding.EncodeToString(sum[:])[:hashSize]
}

// startsWell reports whether a name starts as Gemini wants it: with a letter or an underscore.
func startsWell(name string) bool {
	if name == "" {
		return false
	}
	c := name[0]
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
