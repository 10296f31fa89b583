// Package connector is what a saved MCP server is: its settings, what may be entered, what is known of the server, and who may do what
// with it. It knows neither SQL nor HTTP: others store connectors, dial them and show them.
//
// # Scope
//
// An individual connector is private to the user who made it: nobody else sees or uses it, except that admins see that it is there, and
// may restrict or remove it. An organization connector is made and managed by admins, and is everybody's to use once it is shared. The
// scope is chosen when the connector is made and stays: what a person entered for themselves, a key among it, does not become
// everybody's by a switch. [May] and its kin are all the rules, in one file.
//
// # Secrets
//
// A [Connector] holds no secret, only the names of those that are stored ([Connector.Stored]). Secrets come in with [Apply] and go to the
// store, sealed; nothing gives them out but the dialing of the connector's own server. That is also why they do not survive a change of
// the place they are sent to: see [Apply].
package connector
