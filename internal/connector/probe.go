package connector

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Probe is what the last successful look at the server found.
type Probe struct {
	At            time.Time `json:"at,omitzero"`
	Protocol      string    `json:"protocol,omitempty"` // the version of MCP that was agreed on
	ServerName    string    `json:"server_name,omitempty"`
	ServerVersion string    `json:"server_version,omitempty"`
	Tools         []Tool    `json:"tools,omitempty"` // by name

	// Reviewed are the tools that a person has seen, by name. The first look counts as seen: the connector was made for what is there.
	Reviewed map[string]string `json:"reviewed,omitempty"` // hash by name
	// Descriptions are those of the reviewed tools, cut as in [Tool], for people to see what has changed.
	Descriptions map[string]string `json:"reviewed_descriptions,omitempty"`
	ReviewedBy   string            `json:"reviewed_by,omitempty"`
	ReviewedAt   time.Time         `json:"reviewed_at,omitzero"`
}

// Tool is what is kept of a tool.
type Tool struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"` // cut, for people
	ReadOnly    bool   `json:"read_only,omitempty"`   // the server says so
	Hash        string `json:"hash"`                  // of all that a model reads of it
}

// maxShown bounds the description that is kept of a tool: runes. The hash is of all of it.
const maxShown = 500

// NewTool returns what is kept of a tool. Schema is the input schema as the server sent it: a server that changes its spelling shows as
// changed, which errs on the safe side.
func NewTool(name, description string, schema []byte, readOnly bool) Tool {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(name), []byte(description), schema} {
		// With their lengths, so that nothing can move from one to the next.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	shown := []rune(description)
	if len(shown) > maxShown {
		shown = append(shown[:maxShown], '…')
	}
	return Tool{Name: name, Description: string(shown), ReadOnly: readOnly, Hash: hex.EncodeToString(h.Sum(nil))}
}

// Found returns the probe after another look, which keeps what was reviewed.
func (p Probe) Found(now Probe) Probe {
	now.Tools = slices.Clone(now.Tools)
	slices.SortFunc(now.Tools, func(a, b Tool) int { return strings.Compare(a.Name, b.Name) })
	now.Reviewed, now.Descriptions, now.ReviewedBy, now.ReviewedAt = p.Reviewed, p.Descriptions, p.ReviewedBy, p.ReviewedAt
	if p.At.IsZero() {
		return now.Review("", now.At)
	}
	return now
}

// Review returns the probe with its tools as they are counted as seen.
func (p Probe) Review(by string, at time.Time) Probe {
	p.Reviewed = make(map[string]string, len(p.Tools))
	p.Descriptions = make(map[string]string, len(p.Tools))
	for _, tool := range p.Tools {
		p.Reviewed[tool.Name], p.Descriptions[tool.Name] = tool.Hash, tool.Description
	}
	p.ReviewedBy, p.ReviewedAt = by, at
	return p
}

// A Drift is a tool that is not what was reviewed.
type Drift struct {
	Tool string
	Kind DriftKind
	// Before and Now are its descriptions, cut as in [Tool]. They may be the same: more of a tool counts than what is kept of it.
	Before, Now string
}

// DriftKind says what has happened to a tool since it was reviewed.
type DriftKind string

// The kinds.
const (
	ToolAdded   DriftKind = "added"
	ToolChanged DriftKind = "changed"
	ToolRemoved DriftKind = "removed"
)

// Drift returns how the tools differ from what was reviewed, by name. A server that changes what its tools say after people came to
// trust it may mean harm.
func (p Probe) Drift() []Drift {
	var drift []Drift
	now := make(map[string]bool, len(p.Tools))
	for _, tool := range p.Tools {
		now[tool.Name] = true
		switch reviewed, ok := p.Reviewed[tool.Name]; {
		case !ok:
			drift = append(drift, Drift{Tool: tool.Name, Kind: ToolAdded, Now: tool.Description})
		case reviewed != tool.Hash:
			drift = append(drift, Drift{Tool: tool.Name, Kind: ToolChanged, Before: p.Descriptions[tool.Name], Now: tool.Description})
		}
	}
	for _, name := range sortedKeys(p.Reviewed) {
		if !now[name] {
			drift = append(drift, Drift{Tool: name, Kind: ToolRemoved, Before: p.Descriptions[name]})
		}
	}
	slices.SortFunc(drift, func(a, b Drift) int { return strings.Compare(a.Tool, b.Tool) })
	return drift
}
