// Package connection makes use of saved connectors: it is what members, admins and runs do with them. A connection is a connector together
// with the authorization that a caller has for it.
//
// A [Service] joins the rules of connectors (internal/connector), what is stored of them (internal/store), the protocol of their servers
// (internal/mcpclient) and that of their authorization servers (internal/oauth). It knows no HTTP of our own: the API, the pages and the
// steps of runs call it.
//
// # Who calls
//
// Each method takes the [Caller] and asks the rules first. Of a connector that a caller does not see it tells nothing: the error is
// [connector.ErrHidden], the same as for one that is not there.
//
// # Authorization
//
// A person authorizes in a browser: [Service.Begin] gives the address to send it to, [Service.Complete] takes what it brings back. What
// is known in between is stored, sealed, under the hash of the state, for the browser that was sent away; any replica can go on.
// Tokens are renewed when they are about to end, or when a server refuses them, by whoever needs one, under the lock of the grant's row:
// two processes never spend one refresh token.
package connection
