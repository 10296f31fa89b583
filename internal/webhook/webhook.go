// Package webhook tells registered endpoints that a response has ended, in the form of Standard Webhooks: a small JSON body, signed
// with a secret that the endpoint shares. An event names a response and says how it ended; what the response says is for those who
// may retrieve it. A [Sender] makes one attempt. When there is another is the caller's affair.
package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"perdure/internal/secret"
)

// Types of events.
const (
	Completed  = "response.completed"
	Failed     = "response.failed"
	Incomplete = "response.incomplete"
	Cancelled  = "response.cancelled"
)

// Types returns all types of events.
func Types() []string { return []string{Completed, Failed, Incomplete, Cancelled} }

// Endpoint is one receiver of events.
type Endpoint struct {
	// Name stands for the endpoint in workflow IDs, histories, logs and errors.
	Name string
	// URL may hold a secret in its path or query.
	URL string
	// Secrets sign each event, each with a signature of its own, so that one can replace another without a gap. There is at least one;
	// see [CheckSecret] for their form.
	Secrets []secret.String
	// Events are the types that the endpoint wants; none stands for all.
	Events []string
}

// Event says that a response has ended.
type Event struct {
	Type       string
	ResponseID string
	CreatedAt  time.Time // when it ended
}

// EventID derives the ID of an event from the response and the endpoint, so that it is the same at every attempt and a receiver can
// tell a repetition.
func EventID(responseID, endpoint string) string {
	sum := sha256.Sum256([]byte(responseID + "\x00" + endpoint))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// body is what is sent.
func (e Event) body(id string) ([]byte, error) {
	type data struct {
		ID string `json:"id"`
	}
	return json.Marshal(struct {
		ID        string `json:"id"`
		Object    string `json:"object"`
		CreatedAt int64  `json:"created_at"`
		Type      string `json:"type"`
		Data      data   `json:"data"`
	}{id, "event", e.CreatedAt.Unix(), e.Type, data{e.ResponseID}})
}
