package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

const batchesPath = "/v1/batches"

// Statuses of a batch.
const (
	BatchCompleted = "completed"
	BatchFailed    = "failed"
	BatchExpired   = "expired"
	BatchCancelled = "cancelled"
)

// Batch is what this program reads of a batch object.
type Batch struct {
	ID           string  `json:"id"`
	Status       string  `json:"status"`
	Endpoint     string  `json:"endpoint"`
	InputFileID  string  `json:"input_file_id"`
	OutputFileID *string `json:"output_file_id"`
	ErrorFileID  *string `json:"error_file_id"`
	CreatedAt    int64   `json:"created_at"` // Unix seconds
	InProgressAt *int64  `json:"in_progress_at"`
	ExpiresAt    int64   `json:"expires_at"`
	CompletedAt  *int64  `json:"completed_at"`
	Counts       struct {
		Total     int `json:"total"`
		Completed int `json:"completed"`
		Failed    int `json:"failed"`
	} `json:"request_counts"`
	Errors *struct {
		Data []struct {
			Message string  `json:"message"`
			Param   *string `json:"param"`
			Line    *int    `json:"line"`
		} `json:"data"`
	} `json:"errors"`
	Usage *struct {
		InputTokens  int `json:"input_tokens"`
		OutputTokens int `json:"output_tokens"`
	} `json:"usage"`
	Paused   bool    `json:"paused"`
	RetryOf  *string `json:"retry_of"`
	Progress *struct {
		Running        int     `json:"running"`
		Window         int     `json:"window"`
		Throttled      int     `json:"throttled"`
		LinesPerSecond float64 `json:"lines_per_second"`
		SecondsLeft    int     `json:"seconds_left"`
	} `json:"progress"`
	// Raw is the whole object as the server wrote it.
	Raw json.RawMessage `json:"-"`
}

// Ended reports whether nothing more will come.
func (b Batch) Ended() bool {
	switch b.Status {
	case BatchCompleted, BatchFailed, BatchExpired, BatchCancelled:
		return true
	default:
		return false
	}
}

// NothingRan reports whether the batch has failed before a request of it was run, as it does when its input is wrong. One that an operator
// ends, or that could not go on, has failed as well, in the middle.
func (b Batch) NothingRan() bool {
	return b.Status == BatchFailed && b.InProgressAt == nil && b.Done() == 0
}

// Done is how many lines have their result.
func (b Batch) Done() int { return b.Counts.Completed + b.Counts.Failed }

// UnmarshalJSON keeps the object as it is beside what is read of it.
func (b *Batch) UnmarshalJSON(data []byte) error {
	type plain Batch
	if err := json.Unmarshal(data, (*plain)(b)); err != nil {
		return err
	}
	b.Raw = append(b.Raw[:0:0], data...)
	return nil
}

// BatchPath is where a batch is, and what can be done with it.
func BatchPath(id, action string) string {
	path := batchesPath + "/" + url.PathEscape(id)
	if action != "" {
		path += "/" + action
	}
	return path
}

// CreateBatch makes a batch. With the same key and body it is the same one, however often it is asked for.
func (c *Client) CreateBatch(ctx context.Context, body json.RawMessage, key string) (Batch, error) {
	var b Batch
	err := c.Call(ctx, Request{Method: http.MethodPost, Path: batchesPath, Body: body, Key: key}, &b)
	return b, err
}

// Batch returns a batch as it is now.
func (c *Client) Batch(ctx context.Context, id string) (Batch, error) {
	var b Batch
	err := c.Call(ctx, Request{Method: http.MethodGet, Path: BatchPath(id, "")}, &b)
	return b, err
}

// ChangeBatch cancels, pauses or resumes a batch.
func (c *Client) ChangeBatch(ctx context.Context, id, action string) (Batch, error) {
	var b Batch
	err := c.Call(ctx, Request{Method: http.MethodPost, Path: BatchPath(id, action), Repeatable: true}, &b)
	return b, err
}

// RetryBatch makes a batch of the lines of one that have failed. The key makes it one, however often it is asked for.
func (c *Client) RetryBatch(ctx context.Context, id string, body any, key string) (Batch, error) {
	var b Batch
	err := c.Call(ctx, Request{Method: http.MethodPost, Path: BatchPath(id, "retry"), Body: body, Key: key}, &b)
	return b, err
}
