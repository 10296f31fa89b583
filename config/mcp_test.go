package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadMCP(t *testing.T) {
	t.Parallel()
	file := newFile(t, `
mcp:
  retry: never
  servers:
    - origin: https://mcp.example.com
      retry: always
      tools: [{name: createIssue, retry: never}, {name: close issue, retry: safe}]
    - {origin: "http://127.0.0.1:*"}
`)
	got, err := Load(Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := MCP{Retry: "never", Servers: []MCPServer{
		// The names of tools keep their upper case.
		{Origin: "https://mcp.example.com", Retry: "always", Tools: []MCPTool{{"createIssue", "never"}, {"close issue", "safe"}}},
		{Origin: "http://127.0.0.1:*", Retry: "never"},
	}}
	if diff := cmp.Diff(want, got.MCP, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadMCPFromVariables(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{Environ: []string{
		"PERDURE_MCP_SERVERS_0_ORIGIN=https://mcp.example.com", "PERDURE_MCP_SERVERS_0_TOOLS_0_NAME=t",
		"PERDURE_MCP_SERVERS_0_TOOLS_0_RETRY=always",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := MCP{Retry: "safe", Servers: []MCPServer{
		{Origin: "https://mcp.example.com", Retry: "safe", Tools: []MCPTool{{"t", "always"}}},
	}}
	if diff := cmp.Diff(want, got.MCP, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	requireProblems(t, Options{Environ: []string{
		"PERDURE_MCP_SERVERS_0_ORIGIN=https://mcp.example.com", "PERDURE_MCP_SERVERS_0_TOOLS_1_NAME=t",
	}}, "PERDURE_MCP_SERVERS_0_TOOLS_0_…: is missing")
}

func TestValidateMCP(t *testing.T) {
	t.Parallel()
	many := make([]MCPTool, maxMCPTools+1)
	for i := range many {
		many[i] = MCPTool{fmt.Sprint(i), "safe"}
	}
	server := func(change func(*MCPServer)) func(*MCP) {
		return func(m *MCP) { change(&m.Servers[0]) }
	}
	tools := func(tools ...MCPTool) func(*MCP) { return server(func(s *MCPServer) { s.Tools = tools }) }
	for name, test := range map[string]struct {
		change func(*MCP)
		want   string // "": valid
	}{
		"nothing":          {func(*MCP) {}, ""},
		"no rule":          {func(m *MCP) { m.Retry = "" }, "mcp.retry: must be safe, always or never"},
		"unknown rule":     {func(m *MCP) { m.Retry = "sometimes" }, "mcp.retry: must be safe, always or never"},
		"rule of a server": {server(func(s *MCPServer) { s.Retry = "Always" }), "mcp.servers[0].retry: must be safe, always or never"},
		"rule of a tool":   {tools(MCPTool{"t", ""}), "mcp.servers[0].tools[0].retry: must be safe, always or never"},
		"no origin":        {server(func(s *MCPServer) { s.Origin = "" }), "mcp.servers[0].origin: must be scheme://host"},
		"path":             {server(func(s *MCPServer) { s.Origin = "https://mcp.example.com/mcp" }), "mcp.servers[0].origin: must be scheme://host"},
		"any port":         {server(func(s *MCPServer) { s.Origin = "http://[::1]:*" }), ""},
		"twice":            {func(m *MCP) { m.Servers = append(m.Servers, m.Servers[0]) }, "mcp.servers[1].origin: is that of mcp.servers[0] already"},
		"tool":             {tools(MCPTool{"t", "never"}), ""},
		"longest name":     {tools(MCPTool{strings.Repeat("ü", maxToolName), "never"}), ""},
		"tool, no name":    {tools(MCPTool{"", "never"}), "mcp.servers[0].tools[0].name: must be the name of a tool"},
		"tool, long name":  {tools(MCPTool{strings.Repeat("t", maxToolName+1), "never"}), "mcp.servers[0].tools[0].name: must be the name of a tool"},
		"tool, space":      {tools(MCPTool{" t", "never"}), "mcp.servers[0].tools[0].name: must be the name of a tool"},
		"tool twice":       {tools(MCPTool{"t", "never"}, MCPTool{"t", "safe"}), "mcp.servers[0].tools[1].name: t is listed twice"},
		"many tools":       {tools(many...), "mcp.servers[0].tools: has more than 128 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			c.MCP.Servers = []MCPServer{{Origin: "https://mcp.example.com", Retry: "safe"}}
			test.change(&c.MCP)
			err := c.Validate()
			if (err == nil) != (test.want == "") || err != nil && (!strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error %v, want %q and no other", err, test.want)
			}
		})
	}
}
