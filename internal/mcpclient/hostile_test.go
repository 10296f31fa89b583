package mcpclient_test

import "testing"

// hostileRows are what hostile and broken servers have been seen to do to clients, by the names that docs/security.md has for it.
var hostileRows = []struct {
	row   string
	tests map[string]func(*testing.T)
}{
	{"application/json body 512 MB", map[string]func(*testing.T){
		"huge JSON body":                hugeJSONBody,
		"huge JSON body of list":        hugeJSONBodyOfList,
		"huge initialize":               hugeInitialize,
		"large result within the bound": largeResultWithinTheBound,
	}},
	{"gzip bomb", map[string]func(*testing.T){
		"gzip bomb": gzipBomb,
	}},
	{"non-2xx with a body of 512 MB", map[string]func(*testing.T){
		"huge body of error status": hugeBodyOfErrorStatus,
	}},
	{"one SSE event of 128 MB", map[string]func(*testing.T){
		"huge event":                 hugeEvent,
		"many events without answer": manyEventsWithoutAnswer,
		"huge header":                hugeHeader,
	}},
	{"endless nextCursor", map[string]func(*testing.T){
		"endless pages":                  endlessPages,
		"pages share one bound on bytes": pagesShareOneBoundOnBytes,
		"repeated cursor":                repeatedCursor,
		"more tools than allowed":        moreToolsThanAllowed,
	}},
	{"answers, then holds the SSE stream open", map[string]func(*testing.T){
		"stream held open after answer":  streamHeldOpenAfterAnswer,
		"stream held open after garbage": streamHeldOpenAfterGarbage,
		"initialize stream held open":    initializeStreamHeldOpen,
	}},
	{"GET accepted, no headers", map[string]func(*testing.T){
		"no get stream is opened": noGetStreamIsOpened,
	}},
	{"black hole", map[string]func(*testing.T){
		"black hole":       blackHole,
		"call timeout":     callTimeout,
		"body that stalls": bodyThatStalls,
	}},
	{"server/discover hangs", map[string]func(*testing.T){
		"discover hangs": discoverHangs,
	}},
	{"redirect to another origin", map[string]func(*testing.T){
		"cross origin redirect is not followed": crossOriginRedirectIsNotFollowed,
	}},
	{"endpoint event of the older transport names another origin", map[string]func(*testing.T){
		"endpoint event": endpointEvent,
	}},
	{"the context that opened a session ends", map[string]func(*testing.T){
		"session outlives the call that opened it": sessionOutlivesTheCallThatOpenedIt,
	}},
	{"401, 403, 404, 418, 429, 5xx", map[string]func(*testing.T){
		"statuses":               statuses,
		"unauthorized handshake": unauthorizedHandshake,
	}},
	{"unknown content type, bad base64, content a string", map[string]func(*testing.T){
		"content":          content,
		"unusable results": unusableResults,
	}},
	{"wrong response ID, batch, empty body, no JSON", map[string]func(*testing.T){
		"broken answers":                       brokenAnswers,
		"broken answer harms no parallel call": brokenAnswerHarmsNoParallelCall,
	}},
	{"a schema with 1e400, missing, null or true; an invalid x-mcp-header", map[string]func(*testing.T){
		"broken tools":   brokenTools,
		"unusable lists": unusableLists,
	}},
	{"structuredContent and schemas with large numbers", map[string]func(*testing.T){
		"schemas pass through byte for byte":              schemasPassThroughByteForByte,
		"structured content passes through byte for byte": structuredContentPassesThroughByteForByte,
	}},
	{"requests of the server to us", map[string]func(*testing.T){
		"requests of the server are declined": requestsOfTheServerAreDeclined,
		"flood of server requests":            floodOfServerRequests,
		"answers to server requests hang":     answersToServerRequestsHang,
	}},
	{"cancellation", map[string]func(*testing.T){
		"call canceled":  callCanceled,
		"hanging delete": hangingDelete,
	}},
	{"errors that quote the URL", map[string]func(*testing.T){
		"secrets stay out of errors and logs": secretsStayOutOfErrorsAndLogs,
	}},
}

// TestHostileServer has a test for each row. What they cost a whole process is measured by package e2e.
func TestHostileServer(t *testing.T) {
	for _, r := range hostileRows {
		t.Run(r.row, func(t *testing.T) {
			for name, test := range r.tests {
				t.Run(name, test)
			}
		})
	}
}
