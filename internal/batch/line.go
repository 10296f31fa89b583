package batch

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Result is a line of the output file or of the error file.
type Result struct {
	ID       string    `json:"id"`
	CustomID string    `json:"custom_id"`
	Response *Answer   `json:"response"`
	Error    *NoAnswer `json:"error"`
}

// Answer is what a request of its own would have been answered with.
type Answer struct {
	StatusCode int             `json:"status_code"`
	RequestID  string          `json:"request_id"`
	Body       json.RawMessage `json:"body"`
}

// NoAnswer is why there is none.
type NoAnswer struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The codes of lines that have no answer in the files. The first two are OpenAI's.
const (
	CodeExpired   = "batch_expired"
	CodeCancelled = "batch_cancelled"
	CodeTooLarge  = "result_too_large"
)

// Answered is a line that was answered, with a response or with an error.
func Answered(batchID string, line int, customID string, status int, body json.RawMessage) Result {
	id := requestID(batchID, line)
	return Result{ID: id, CustomID: customID, Response: &Answer{StatusCode: status, RequestID: "req_" + derived("request", id), Body: body}}
}

// Unanswered is a line that the batch has not come to, or has stopped.
func Unanswered(batchID string, line int, customID, code string) Result {
	message := "This request could not be executed before the completion window expired."
	if code == CodeCancelled {
		message = "This request was not executed because the batch was cancelled."
	}
	return Result{ID: requestID(batchID, line), CustomID: customID, Error: &NoAnswer{Code: code, Message: message}}
}

// TooLarge is a line whose response is there, and too large for a file.
func TooLarge(batchID string, line int, customID, responseID string, bytes int) Result {
	return Result{ID: requestID(batchID, line), CustomID: customID, Error: &NoAnswer{Code: CodeTooLarge, Message: fmt.Sprintf(
		"This request was executed. Its response has %d bytes, which is too much for a file: retrieve %s.", bytes, responseID)}}
}

// Succeeded reports whether the line belongs into the output file.
func (r Result) Succeeded() bool { return r.Response != nil && r.Response.StatusCode == http.StatusOK }

// LineOf returns the number of the line whose result has an ID; 0: there is none behind the line near. An ID is a hash, so it takes as many
// of these as there are lines in between.
func (b *Batch) LineOf(resultID string, near int) int {
	want, err := uuid.Parse(strings.TrimPrefix(resultID, requestPrefix))
	if err != nil {
		return 0
	}
	// It is requestID, as often as that may be called.
	text := append(make([]byte, len(uuid.Nil), 100), hashed("line", b.ID, "")...)
	head := len(text)
	for line := near + 1; line <= b.Total; line++ {
		text = strconv.AppendInt(text[:head], int64(line), 10)
		sum := sha256.Sum256(text)
		sum[6], sum[8] = sum[6]&0x0f|idVersion<<4, sum[8]&0x3f|0x80 // as RFC 9562 has it
		if uuid.UUID(sum[:len(want)]) == want {
			return line
		}
	}
	return 0
}
