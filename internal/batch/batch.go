// Package batch is the domain of batches: many requests in one file, each answered once. It has what is known of a batch, what it may
// become, how its concurrency is shared among the batches of an organization, and the lines of its output. It knows no SQL, no HTTP and
// no Temporal.
package batch

import (
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"perdure/internal/responses"
)

// Prefix begins the ID of a batch, which is also the ID of its workflow.
const Prefix = "batch_"

// Endpoint is the one that lines may be for.
const Endpoint = "/v1/responses"

// Status is what a batch is at, as OpenAI calls it.
type Status string

// A batch goes from the first to in_progress to finalizing to completed, or ends as one of the others.
const (
	Validating Status = "validating"
	InProgress Status = "in_progress"
	Finalizing Status = "finalizing"
	Completed  Status = "completed"
	Failed     Status = "failed" // its file cannot be processed, so that no line was run, or it could not go on
	Expired    Status = "expired"
	Cancelling Status = "cancelling"
	Cancelled  Status = "cancelled"
)

// Ended reports whether nothing more will happen.
func (s Status) Ended() bool { return s == Completed || s == Failed || s == Expired || s == Cancelled }

// Batch is what the database has of a batch. Times that have not come are zero.
type Batch struct {
	ID           string
	Organization string
	User         string
	Key          string // the name of the API key with which its lines run
	Endpoint     string
	InputFile    string
	// OutputFile and ErrorFile are there from the start and grow with the batch.
	OutputFile string
	ErrorFile  string
	Window     time.Duration // in which it is to be done, counted from Created
	// OutputAge is how long the files are kept after that.
	OutputAge time.Duration
	// MembersOnly has the lines refused that begin when User is no member of the organization any more. It is decided when the batch is made:
	// its start may come later, after User has been removed.
	MembersOnly bool
	// Concurrency is how many lines may run at the same time, if the organization has room for as many.
	Concurrency int
	Metadata    map[string]string
	// RetryOf is the batch whose failed lines these are.
	RetryOf string
	// Fingerprint tells a repeated request from another one under the same Idempotency-Key; empty without a key.
	Fingerprint string

	Status Status
	Paused bool
	// Started is set once Temporal has the batch's workflow.
	Started bool
	Times   Times
	Progress
	Errors []Problem
}

// Times are when a batch came to be what it is or was.
type Times struct {
	Created, InProgress, Finalizing, Completed, Failed, Expired, Cancelling, Cancelled time.Time
}

// Expires is when what was not done by then is not done any more.
func (b *Batch) Expires() time.Time { return b.Times.Created.Add(b.Window) }

// Progress is how far a batch has come. What it counts is in the files.
type Progress struct {
	Total int `json:"total"`
	// Completed lines are in the output file, Failed ones in the error file.
	Completed int             `json:"completed"`
	Failed    int             `json:"failed"`
	Usage     responses.Usage `json:"usage"`
}

// Done is how many lines are in one of the files.
func (p Progress) Done() int { return p.Completed + p.Failed }

// Problem is a reason for which a file is no batch.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	Line    int    `json:"line,omitempty"` // counted from 1; 0 is the whole file
}

// NewID returns the ID of a new batch. For a caller with an Idempotency-Key it is always the same, so that the database, which has one row
// for an ID, is what keeps a repeated request from making a second batch.
func NewID(organization, user, key string) string {
	if key == "" {
		return Prefix + strings.ToLower(rand.Text())
	}
	return Prefix + derived("batch", organization, user, key)
}

// IsID reports whether an ID can be one of a batch. It need not exist.
func IsID(id string) bool {
	rest, ok := strings.CutPrefix(id, Prefix)
	return ok && rest != "" && len(rest) <= 64 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ResponseID is the ID of the response that a line is answered with, and so of its run. It is always the same one: Temporal starts one
// run for an ID, so that no line runs twice.
func ResponseID(batchID string, line int) string {
	return responses.ResponsePrefix + derived("response", batchID, strconv.Itoa(line))
}

// requestID is what OpenAI calls a line in the output.
func requestID(batchID string, line int) string {
	return requestPrefix + derived("line", batchID, strconv.Itoa(line))
}

const (
	requestPrefix = "batch_req_"
	idVersion     = 8 // of a UUID that is made of a hash of our own choosing
)

func derived(parts ...string) string {
	return uuid.NewHash(sha256.New(), uuid.Nil, hashed(parts...), idVersion).String()
}

// hashed is what IDs are made of.
func hashed(parts ...string) []byte { return []byte(strings.Join(parts, "\x00")) }
