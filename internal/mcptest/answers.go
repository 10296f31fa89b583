package mcptest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

const chunk = 64 << 10

// Result answers with a JSON document that holds this result.
func Result(result string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
	}
}

// Error answers with a JSON-RPC error, status 200.
func Error(code int, message string) Answer { return ErrorStatus(http.StatusOK, code, message) }

// ErrorStatus answers with a JSON-RPC error and this status.
func ErrorStatus(status, code int, message string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, m.ID, code, message)
	}
}

// Body answers with this status, content type and body. "$ID" in the body
// stands for the request's ID.
func Body(status int, contentType, body string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, withID(body, m))
	}
}

// Status answers with a status, no body and these headers, given in pairs.
func Status(code int, headers ...string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Message) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

// WithHeader adds a header to an answer.
func WithHeader(name, value string, a Answer) Answer {
	return func(w http.ResponseWriter, r *http.Request, m Message) {
		w.Header().Set(name, value)
		a(w, r, m)
	}
}

// Events answers with an event stream that carries these messages and ends.
// "$ID" in a message stands for the request's ID.
func Events(messages ...string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) { writeEvents(w, m, messages) }
}

// EventsHeldOpen is Events, except that the stream stays open until the client
// or the server goes away.
func EventsHeldOpen(messages ...string) Answer {
	return func(w http.ResponseWriter, r *http.Request, m Message) {
		writeEvents(w, m, messages)
		<-r.Context().Done()
	}
}

// ResultEvent is the message that holds this result, for Events.
func ResultEvent(result string) string { return `{"jsonrpc":"2.0","id":$ID,"result":` + result + `}` }

// Silent accepts the request and never answers.
func Silent() Answer {
	return func(_ http.ResponseWriter, r *http.Request, _ Message) { <-r.Context().Done() }
}

// Held answers when the channel is closed, unless the client or the server has gone by then.
func Held(until <-chan struct{}, a Answer) Answer {
	return func(w http.ResponseWriter, r *http.Request, m Message) {
		select {
		case <-until:
			a(w, r, m)
		case <-r.Context().Done():
		}
	}
}

// Cut sends the beginning of a body of this type and breaks the connection. An
// empty type breaks it before any answer.
func Cut(contentType, begin string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, withID(begin, m))
			flush(w)
		}
		panic(http.ErrAbortHandler)
	}
}

// HugeJSON answers with a result that is a string of n bytes. *sent grows with
// what was written.
func HugeJSON(n int64, sent *atomic.Int64) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":"`, m.ID)
		if fill(w, n, sent) {
			_, _ = io.WriteString(w, `"}`)
		}
	}
}

// HugeStatus answers with this status and a text of n bytes.
func HugeStatus(status int, n int64, sent *atomic.Int64) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Message) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		fill(w, n, sent)
	}
}

// HugeEvent answers with one event of n bytes.
func HugeEvent(n int64, sent *atomic.Int64) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, withID(`data: {"jsonrpc":"2.0","id":$ID,"result":"`, m))
		if fill(w, n, sent) {
			_, _ = io.WriteString(w, "\"}\n\n")
		}
	}
}

// GzipBomb is HugeJSON, compressed about a thousandfold.
func GzipBomb(n int64, sent *atomic.Int64) Answer {
	return func(w http.ResponseWriter, _ *http.Request, m Message) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = io.WriteString(z, withID(`{"jsonrpc":"2.0","id":$ID,"result":"`, m))
		if fill(z, n, sent) {
			_, _ = io.WriteString(z, `"}`)
		}
	}
}

// EndlessPages answers tools/list with one page after the other, each with
// these tools and a new cursor.
func EndlessPages(tools string) Answer {
	var page atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, m Message) {
		Result(fmt.Sprintf(`{"tools":[%s],"nextCursor":"page %d"}`, tools, page.Add(1)))(w, r, m)
	}
}

// InTurn gives each answer once, in order, and the last one from then on.
func InTurn(answers ...Answer) Answer {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, m Message) {
		i := min(int(n.Add(1))-1, len(answers)-1)
		answers[i](w, r, m)
	}
}

func writeEvents(w http.ResponseWriter, m Message, messages []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	for _, message := range messages {
		fmt.Fprintf(w, "event: message\ndata: %s\n\n", withID(message, m))
	}
	flush(w)
}

// fill writes n bytes of "x" and reports whether the peer took them all.
func fill(w io.Writer, n int64, sent *atomic.Int64) bool {
	block := make([]byte, chunk)
	for i := range block {
		block[i] = 'x'
	}
	for n > 0 {
		k, err := w.Write(block[:min(n, chunk)])
		sent.Add(int64(k))
		n -= int64(k)
		if err != nil {
			return false
		}
	}
	return true
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func withID(s string, m Message) string { return strings.ReplaceAll(s, "$ID", string(m.ID)) }
