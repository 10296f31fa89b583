// Package mcpclient lists and calls the tools of remote MCP servers over
// Streamable HTTP, and over SSE, the transport before it. It is the only
// package that imports the MCP SDK, and it treats every server as a hostile
// stranger.
//
// # Layers
//
//	Client     operations, bounds, the cache of sessions
//	SDK        the protocol: handshake, versions, headers, cancellation
//	guard      an http.RoundTripper of each session: origin, credentials, bounds, checks
//	transport  one for all: TLS, the network policy on every dial, no proxy, no redirects
//
// The guard reads each answer before the SDK does. It keeps the bytes of the
// result, so that schemas and structured content pass through unchanged, and
// gives the SDK a stand-in. An answer that is too large, broken or foreign
// becomes a typed [Error] of the one call it belongs to.
//
// # Retries
//
// Nothing here retries, neither the SDK nor net/http, with two exceptions: a
// session that the server has forgotten is opened again once, and a request
// that the server refused for its access token is made once more with another
// token ([Server].Token). Each [Error] says with Sent whether the message may
// have been executed and with Temporary whether another attempt is worthwhile;
// the caller decides.
//
// An event stream that ends before the answer is not retried but resumed, if
// the server gave its events IDs: that asks for the rest and calls nothing.
//
// # Sessions
//
// Sessions are a cache, never state: one for each run, server and set of
// credentials, opened by the first operation, shared by parallel ones, closed
// in the background when idle. The protocol version 2025-11-25 is tried first,
// any other only with servers that refuse it. Requests of a server (sampling,
// elicitation, roots) are declined.
//
// With SSE, all answers of a session come on one stream, which lives as long as
// the session. The same bounds and checks hold for each event on it, and what
// comes between two answers is bounded, too.
package mcpclient
