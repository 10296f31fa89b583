// Package mcptest has MCP servers to test clients against, over real HTTP:
// [Server], which behaves well, and [Hostile], whose every answer can be
// chosen. In the manner of net/http/httptest neither needs a test to run in,
// and both report what a client did wrong from Close.
package mcptest
