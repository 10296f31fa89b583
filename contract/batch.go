package contract

import (
	"perdure/internal/batch"
	"perdure/internal/responses"
)

// BatchName is the name of the workflow that is a batch. It takes a [BatchInput] and returns a [BatchResult]. A batch that is cancelled, as a
// workflow or over the API, keeps what it has.
const BatchName = "Batch"

// BatchInput is the argument of the workflow [BatchName]. As JSON:
//
//	{"request": {"organization": "acme", "user": "nightly", "body":
//	  {"input_file_id": "file-…", "endpoint": "/v1/responses", "completion_window": "24h"}}}
//
// The workflow's ID becomes the batch's: it must be one, as [NewBatchID] and [DeriveBatchID] make it. Start it with [IDReusePolicy].
type BatchInput struct {
	Request BatchRequest `json:"request"`
}

// BatchRequest asks for a batch.
type BatchRequest struct {
	// Organization, User, Role, Key and MembersOnly are those of [Request].
	Organization string `json:"organization"`
	User         string `json:"user"`
	Role         string `json:"role,omitempty"`
	Key          string `json:"key,omitempty"`
	MembersOnly  bool   `json:"members_only,omitempty"`
	// Body is what POST /v1/batches takes, as a JSON object.
	Body JSON `json:"body"`
}

// BatchResult is what a batch came to. What its lines came to is in its files; see GET /v1/batches/{id}.
type BatchResult struct {
	// Status is completed, failed, expired or cancelled.
	Status   BatchStatus   `json:"status"`
	Progress BatchProgress `json:"progress"`
}

// How far a batch is.
type (
	BatchStatus   = batch.Status
	BatchProgress = batch.Progress
)

// NewBatchID returns an ID for a new batch. It is random, so that workflow code cannot use it: see [DeriveBatchID].
func NewBatchID() string { return batchOf(NewResponseID()) }

// DeriveBatchID returns the ID of the batch that is known by a name: always the same, as that of [DeriveResponseID].
func DeriveBatchID(name string) string { return batchOf(DeriveResponseID(name)) }

func batchOf(responseID string) string {
	return batch.Prefix + responseID[len(responses.ResponsePrefix):]
}
