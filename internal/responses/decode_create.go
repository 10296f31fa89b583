package responses

import "math"

// eventCreate is the type of the one event that a client may send over a WebSocket.
const eventCreate = "response.create"

// DecodeCreateEvent reads a message of a WebSocket, in a dialect: a request for a response with a type. The result is to be streamed. Its
// error is always an [*Error] with HTTP status 400.
func DecodeCreateEvent(message []byte, d Dialect) (*Request, error) {
	return decodeBody(message, d, decodeCreateEvent)
}

func decodeCreateEvent(o *object) *Request {
	o.wordRequired("type", eventCreate)
	// What is told apart by a stream's ID may run at the same time at OpenAI; here the turns of a socket follow each other.
	o.unsupported("stream_id")
	if generate := o.bool("generate"); generate != nil && !*generate {
		o.fail(notSupported("generate", `"generate": false`))
	}
	req := decodeRequest(o)
	if req.Background {
		o.fail(Invalid("background", "is not possible over a WebSocket; leave it out, or send the request with POST"))
	}
	req.Stream = true
	return req
}

// DecodeCompaction reads the body of a request to compact a conversation: of a run that is not stored, with one turn and no tools, so
// that it is the same in both dialects. Its error is always an [*Error] with HTTP status 400.
func DecodeCompaction(body []byte) (*Request, error) {
	return decodeBody(body, DialectAgent, decodeCompaction)
}

func decodeCompaction(o *object) *Request {
	steps := 1
	req := &Request{
		Models:         []string{o.filled("model", maxModelName)},
		Instructions:   o.string("instructions", math.MaxInt),
		MaxSteps:       &steps,
		Truncation:     TruncationAuto,
		PromptCacheKey: o.string("prompt_cache_key", maxLabel),
		ServiceTier:    decodeServiceTier(o),
	}
	decodePrevious(o, req)
	decodeInput(o, req)
	o.ignore("prompt_cache_options", "prompt_cache_retention")
	o.unsupported("image")
	return req
}
