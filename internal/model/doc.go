// Package model makes one turn of a language model: it sends a conversation and tools to an OpenAI-compatible provider through
// Chat Completions and reads the streamed answer.
//
// A [Catalog] says which provider serves a model, [Names] what a tool is called in front of a model, [Sanitize] which form of a
// tool's schema providers accept, and a [Client] makes the turn. A turn is made once: whoever calls decides what to repeat, and
// an [*Error] says whether that makes sense and when.
//
// # Why go-openai's types and not its client
//
// Requests are made of the types of github.com/sashabaranov/go-openai, which follow the API as it grows. They are sent and read
// here, because its client (v1.43.0) loses what a durable run must know or bound: the headers of a failure, so Retry-After; the
// difference between [DONE] and a connection that ended; the size of lines and error bodies. It takes keep-alive comments for
// garbage and gives up after 300, cannot send a temperature of 0 or an empty content, refuses by a model's name temperatures
// that the model accepts, and has no place for the thought signatures without which Gemini 3 does not continue after a tool
// call.
package model
