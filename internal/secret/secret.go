// Package secret keeps secret values out of places where they do not belong.
//
// A [String] is a value in the memory of this process: a provider's key, an access token. It redacts itself wherever Go
// turns values into text (fmt, slog, JSON, YAML), and only [String.Reveal] gives it out. A search for Reveal therefore
// finds every place where a secret can leave.
//
// A [Sealer] makes a secret safe to store: in a workflow's history, in the database. It encrypts with a Tink keyset and
// binds the result to the place it was made for (a [Binding]), so that a sealed value copied to another response or
// another server cannot be opened there. A [Keyset] is the same keys to look at and to change; a Sealer of a keyset file takes over what
// was changed there.
package secret
