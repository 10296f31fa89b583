package workflows

import "perdure/internal/batch"

// Names of the steps of a batch. Like [AcceptName], they are the API's, and not among the activities. They never change.
const (
	BatchBeginName   = "batch_begin"
	BatchShareName   = "batch_share"
	BatchAwaitName   = "batch_await"
	BatchCollectName = "batch_collect"
	BatchEndName     = "batch_end"
)

// BatchBeginInput asks whether a batch can be run.
type BatchBeginInput struct {
	Organization string `json:"organization"`
	BatchID      string `json:"batch_id"`
	Places       int    `json:"places"` // of the organization
}

// BatchBeginResult is what the database says of it.
type BatchBeginResult struct {
	// Status is in_progress, or failed if the file is none that can be run, or cancelling, or whatever it has ended as.
	Status batch.Status `json:"status"`
	Paused bool         `json:"paused,omitempty"`
	// File has the lines, so many as there are.
	File  string `json:"file"`
	Lines int    `json:"lines"`
	Share int    `json:"share"` // of the organization's places
}

// BatchShareInput asks for a batch's share of its organization's places.
type BatchShareInput struct {
	Organization string `json:"organization"`
	BatchID      string `json:"batch_id"`
	Places       int    `json:"places"`
}

// BatchShareResult is the share, which holds until it is asked for again, and what clients want of the batch, for the case that they could
// not say so to the workflow.
type BatchShareResult struct {
	Share     int  `json:"share"`
	Paused    bool `json:"paused,omitempty"`
	Cancelled bool `json:"cancelled,omitempty"`
}

// BatchAwaitInput asks for the ends of lines.
type BatchAwaitInput struct {
	BatchID string `json:"batch_id"`
	Lines   []int  `json:"lines"`
}

// BatchAwaitResult has those of the lines that have ended: one at least.
type BatchAwaitResult struct {
	Ended []EndedLine `json:"ended"`
}

// EndedLine is a line that has ended.
type EndedLine struct {
	Line      int  `json:"line"`
	Throttled int  `json:"throttled,omitempty"`
	Failed    bool `json:"failed,omitempty"`
}

// BatchCollectInput asks for lines to be written to the files of a batch. Where its files end is for the database to say: what is in them is
// not written again.
type BatchCollectInput struct {
	Organization string `json:"organization"`
	BatchID      string `json:"batch_id"`
	File         string `json:"file"` // with the requests
	// From and Until are the first line and the last. Those from Begun on have no run.
	From  int `json:"from"`
	Until int `json:"until"`
	Begun int `json:"begun"`
	// Ending says why lines were cancelled or not begun, if the batch ends early.
	Ending batch.Status `json:"ending,omitempty"`
}

// BatchCollectResult is how far the batch is, with these lines at the least.
type BatchCollectResult struct {
	Progress batch.Progress `json:"progress"`
}

// BatchEndInput ends a batch.
type BatchEndInput struct {
	Organization string       `json:"organization"`
	BatchID      string       `json:"batch_id"`
	Status       batch.Status `json:"status"`
	// Reason is why the batch could not go on, if a client may know.
	Reason string `json:"reason,omitempty"`
}

// ErrTypeBatchFiles is the type of the error of a step that no attempt can make: the files of the batch are damaged, or closed.
const ErrTypeBatchFiles = "batch_files"
