package main

import (
	"testing"

	"perdure/config"
)

func TestRetryPolicies(t *testing.T) {
	t.Parallel()
	find, err := retryPolicies(config.MCP{Retry: "safe", Servers: []config.MCPServer{
		{Origin: "https://mcp.example.com", Retry: "always", Tools: []config.MCPTool{{Name: "createIssue", Retry: "never"}}},
		{Origin: "http://127.0.0.1:8080", Retry: "always"},
		{Origin: "http://127.0.0.1:*", Retry: "never"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		origin, tool     string
		declared, wanted bool
	}{
		{"https://other.example.com", "t", true, true},
		{"https://other.example.com", "t", false, false},
		{"https://mcp.example.com", "t", false, true},
		{"https://mcp.example.com:443", "t", false, true},
		{"https://MCP.example.com", "t", false, true},
		{"https://mcp.example.com", "createIssue", true, false},
		{"https://mcp.example.com", "createissue", false, true},
		{"https://mcp.example.com:8443", "t", false, false},
		{"http://mcp.example.com", "t", false, false},
		{"http://127.0.0.1:8080", "t", false, true},
		{"http://127.0.0.1:8081", "t", true, false},
		{"http://127.0.0.1", "t", true, false},
		{"://", "t", true, true},
	} {
		if got := find(tt.origin).Repeatable(tt.tool, tt.declared); got != tt.wanted {
			t.Errorf("%s of %s, declared %t: repeatable %t, want %t", tt.tool, tt.origin, tt.declared, got, tt.wanted)
		}
	}
	if _, err := retryPolicies(config.MCP{Servers: []config.MCPServer{{Origin: "mcp.example.com"}}}); err == nil {
		t.Error("an entry without an origin was taken")
	}
}
