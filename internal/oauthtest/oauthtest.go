// Package oauthtest has an OAuth 2.0 authorization server and an MCP server that is protected by it, to test clients against over real
// HTTP. In the manner of net/http/httptest neither needs a test to run in.
//
// The authorization server is strict. What no correct client ever sends, such as a request without PKCE or with two ways of authentication,
// is refused and reported by Close as well. What servers do wrong can be switched on: see [Options], [Server.EditMetadata],
// [Server.EditCallback] and [Server.Override].
package oauthtest
