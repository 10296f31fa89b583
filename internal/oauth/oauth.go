// Package oauth gets, renews and revokes the OAuth 2.0 tokens with which connectors use MCP servers.
//
// # A split flow
//
// A person authorizes in a browser, at a time and on a replica that nobody knows in advance. So nothing here waits for them, and nothing
// is kept in memory. Each step takes values and returns values, which the caller stores:
//
//	Discover   the connector's URL          →  Discovery: where its authorization server is and what it can do
//	Identify   Discovery                    →  Registration: who we are there; stored by issuer and redirect URI
//	Begin      Discovery, Registration      →  a URL for the browser, and Pending; stored sealed, by the hash of its state
//	Complete   Pending, the callback's query →  Grant: the tokens; stored sealed
//	Refresh    Grant                        →  Grant; under a lock on its row
//	Revoke     Grant
//
// Pending values are single-use: the store deletes one in the statement that reads it, and checks that the browser which comes back is the
// one that was sent away.
//
// # Standards
//
// The MCP authorization specification of 2026-07-28 with its older forms: RFC 9728 (protected resource metadata), RFC 8414 and OpenID
// Connect Discovery (authorization server metadata), client-metadata documents, RFC 7591 (dynamic registration), RFC 7636 (PKCE), RFC 8707
// (resource indicators), RFC 9207 (issuer in the callback), RFC 7009 (revocation).
//
// # Hostile peers
//
// Metadata and tokens come from strangers. Every URL of theirs has to pass the network policy before it is used; answers are bounded; only
// metadata may be redirected, and only within its origin. No error repeats a URL, a query or a body: see [Error]. The connector's own
// headers go to its own origin alone.
package oauth
