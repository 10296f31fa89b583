package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MCP is how MCP servers are dealt with, beyond what may be reached.
type MCP struct {
	Retry   string      `mapstructure:"retry"` // "safe", "always" or "never"
	Servers []MCPServer `mapstructure:"servers"`
}

// MCPServer is what holds for the servers of one origin.
type MCPServer struct {
	Origin string `mapstructure:"origin"` // scheme://host[:port]; the port may be *
	Retry  string `mapstructure:"retry"`  // Load sets it to that of MCP when it is empty
	// Tools is a list and not a map, since the keys of a map lose their upper case.
	Tools []MCPTool `mapstructure:"tools"`
}

// MCPTool is what holds for one tool.
type MCPTool struct {
	Name  string `mapstructure:"name"`
	Retry string `mapstructure:"retry"`
}

const (
	// maxMCPTools bounds the tools of an entry: they are in the history of every run that has such a server.
	maxMCPTools = 128
	// maxToolName is in characters; a server may offer no tool with a longer name.
	maxToolName = 128
)

var retryRules = []string{"safe", "always", "never"}

func (m *MCP) resolve() {
	for i := range m.Servers {
		if m.Servers[i].Retry == "" {
			m.Servers[i].Retry = m.Retry
		}
	}
}

func (m MCP) validate(v *validation) {
	v.retry("mcp.retry", m.Retry)
	origins := map[string]string{}
	for i, s := range m.Servers {
		path := fmt.Sprintf("mcp.servers[%d]", i)
		if !isOrigin(s.Origin) {
			v.report(path+".origin", "must be scheme://host or scheme://host:port in lower case and nothing more, with http or https; "+
				"the port may be *")
		} else if first, ok := origins[s.Origin]; ok {
			v.report(path+".origin", "is that of %s already: the first entry counts, so put them together", first)
		} else {
			origins[s.Origin] = path
		}
		v.retry(path+".retry", s.Retry)
		s.validateTools(v, path+".tools")
	}
}

func (s MCPServer) validateTools(v *validation, path string) {
	if len(s.Tools) > maxMCPTools {
		v.report(path, "has more than %d entries: choose a retry for the server with which fewer tools differ", maxMCPTools)
	}
	for i, tool := range s.Tools {
		place := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case tool.Name == "" || utf8.RuneCountInString(tool.Name) > maxToolName || strings.TrimSpace(tool.Name) != tool.Name:
			v.report(place+".name", "must be the name of a tool as its server lists it, with 1 to %d characters", maxToolName)
		case slices.IndexFunc(s.Tools, func(t MCPTool) bool { return t.Name == tool.Name }) < i:
			v.report(place+".name", "%s is listed twice: remove one", tool.Name)
		}
		v.retry(place+".retry", tool.Retry)
	}
}

func (v *validation) retry(path, rule string) {
	if !slices.Contains(retryRules, rule) {
		v.report(path, "must be safe, always or never")
	}
}
