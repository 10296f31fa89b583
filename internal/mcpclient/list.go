package mcpclient

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// maxDropped bounds the report of dropped tools.
	maxDropped = 100
	// maxInfoBytes bounds a server's name and version.
	maxInfoBytes = 128
)

// A Listing is what a server offers.
type Listing struct {
	Tools           []Tool
	Dropped         []Dropped // tools that cannot be offered, at most 101 entries
	ServerName      string    // as the server calls itself; untrusted
	ServerVersion   string    // untrusted
	ProtocolVersion string    // negotiated
}

// Dropped names a tool that is left out of a [Listing] and says why.
type Dropped struct {
	Name   string // untrusted; may be empty
	Reason string
}

// ListTools lists the tools of a server. Tools that are broken do not fail the
// list; they are reported in [Listing.Dropped]. The error is an [*Error].
//
// Calls with the same runKey, server and credentials share a session.
func (c *Client) ListTools(ctx context.Context, runKey string, s Server) (Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.ListTimeout)
	defer cancel()
	var listing Listing
	err := c.operate(ctx, runKey, s, true, func(sess *session) error {
		var err error
		listing, err = c.list(ctx, sess)
		return err
	})
	if err != nil {
		return Listing{}, asError(err, s.Label)
	}
	return listing, nil
}

// list reads page after page within the bounds on pages, tools and bytes.
func (c *Client) list(ctx context.Context, sess *session) (Listing, error) {
	l := lister{
		maxTools: c.opts.MaxTools,
		parser: toolParser{
			maxSchema:      c.opts.MaxSchemaBytes,
			maxDescription: c.opts.MaxDescriptionBytes,
			secrets:        newRedactor(sess.server),
			mirrors:        sess.version() >= statelessVersion,
		},
		names:   make(map[string]bool),
		mirrors: make(map[string][]mirror),
	}
	if info := sess.mcp.InitializeResult(); info != nil {
		l.ProtocolVersion = info.ProtocolVersion
		if info.ServerInfo != nil {
			l.ServerName = l.parser.secrets.clean(info.ServerInfo.Name, maxInfoBytes)
			l.ServerVersion = l.parser.secrets.clean(info.ServerInfo.Version, maxInfoBytes)
		}
	}
	left := c.opts.MaxListBytes
	seen := make(map[string]bool)
	cursor := ""
	for range c.opts.MaxPages {
		raw, err := c.page(ctx, sess, cursor, left)
		if err != nil {
			return Listing{}, err
		}
		left -= int64(len(raw))
		next, err := l.add(raw)
		if err != nil {
			return Listing{}, err
		}
		if next == "" || l.full {
			sess.mirrors.Store(&l.mirrors)
			return l.Listing, nil
		}
		if seen[next] {
			return Listing{}, listFailure("its list of tools repeats a page")
		}
		seen[next] = true
		cursor = next
	}
	return Listing{}, listFailure(fmt.Sprintf("its list of tools has more than %d pages", c.opts.MaxPages))
}

// page fetches one page as the server wrote it.
func (c *Client) page(ctx context.Context, sess *session, cursor string, maxBytes int64) (json.RawMessage, error) {
	ex := &exchange{methods: []string{methodList}, standIn: `{"tools":[]}`, maxBytes: maxBytes}
	exCtx, finish, err := c.begin(ctx, ex)
	if err != nil {
		return nil, err
	}
	defer finish()
	_, err = sess.mcp.ListTools(exCtx, &mcp.ListToolsParams{Cursor: cursor})
	raw, e := ex.outcome(ctx, err)
	if e != nil {
		return nil, e
	}
	return raw, nil
}

// lister collects a listing from pages.
type lister struct {
	Listing
	parser   toolParser
	maxTools int
	names    map[string]bool
	mirrors  map[string][]mirror
	full     bool
}

// add takes the tools of one page and returns the cursor of the next, or "".
func (l *lister) add(raw json.RawMessage) (next string, err error) {
	page, ok := members(raw)
	if !ok {
		return "", listFailure("its answer to tools/list is not an object")
	}
	tools, ok := elements(page["tools"])
	if !ok {
		return "", listFailure("its answer to tools/list has no list of tools")
	}
	if c := present(page["nextCursor"]); c != nil && json.Unmarshal(c, &next) != nil {
		return "", listFailure("its answer to tools/list has a cursor that is not a string")
	}
	for _, raw := range tools {
		if len(l.Tools) == l.maxTools {
			l.full = true
			break
		}
		l.addTool(raw)
	}
	if l.full || next != "" && len(l.Tools) == l.maxTools {
		l.full = true
		l.Dropped = append(l.Dropped, Dropped{Reason: fmt.Sprintf("the server has more than %d tools; the rest is left out", l.maxTools)})
	}
	return next, nil
}

func (l *lister) addTool(raw json.RawMessage) {
	tool, reason := l.parser.parse(raw)
	if reason == "" && l.names[tool.Name] {
		reason = "another tool has the same name"
	}
	if reason == "" {
		l.names[tool.Name] = true
		l.mirrors[tool.Name] = tool.mirrors
		l.Tools = append(l.Tools, tool)
		return
	}
	switch {
	case len(l.Dropped) < maxDropped:
		l.Dropped = append(l.Dropped, Dropped{Name: l.parser.secrets.clean(tool.Name, maxToolName), Reason: reason})
	case len(l.Dropped) == maxDropped:
		l.Dropped = append(l.Dropped, Dropped{Reason: "more tools are broken than are reported"})
	}
}

func listFailure(message string) *Error {
	e := failure(StageList, "%s", message)
	e.Sent = Answered
	return e
}
