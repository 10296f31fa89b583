// Package responses holds what crosses the wire of the Agent API: the request, the response object, the unions of items and
// tools, and errors. It is a superset of Perplexity's Agent API, OpenAI's Responses API and Open Responses, so that the SDKs
// of all three work unchanged.
//
// [DecodeRequest] is strict: it accepts the union of the three APIs' fields, refuses any other field, and names the place of
// every fault in [Error.Param], written as in OpenAI's errors ("tools[0].server_label"). A field that one of the three APIs
// defines and this server does not support yet is refused with a message that says so; a field whose only effect would be a
// hint (prompt_cache_key, say) is accepted.
//
// Where Perplexity's way and OpenAI's exclude each other, a [Dialect] says which one a response, an item or an error is rendered in.
//
// The package imports the standard library only: every other package may speak its types.
package responses
