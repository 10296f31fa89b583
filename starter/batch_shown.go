package starter

import (
	"time"

	"perdure/internal/batch"
	"perdure/internal/responses"
	"perdure/workflows"
)

// shownBatch is OpenAI's object. Paused, RetryOf, Concurrency and Progress are ours.
type shownBatch struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	Endpoint         string            `json:"endpoint"`
	Errors           *shownProblems    `json:"errors"`
	InputFileID      string            `json:"input_file_id"`
	CompletionWindow string            `json:"completion_window"`
	Status           batch.Status      `json:"status"`
	OutputFileID     *string           `json:"output_file_id"`
	ErrorFileID      *string           `json:"error_file_id"`
	CreatedAt        int64             `json:"created_at"`
	InProgressAt     *int64            `json:"in_progress_at"`
	ExpiresAt        int64             `json:"expires_at"`
	FinalizingAt     *int64            `json:"finalizing_at"`
	CompletedAt      *int64            `json:"completed_at"`
	FailedAt         *int64            `json:"failed_at"`
	ExpiredAt        *int64            `json:"expired_at"`
	CancellingAt     *int64            `json:"cancelling_at"`
	CancelledAt      *int64            `json:"cancelled_at"`
	RequestCounts    shownCounts       `json:"request_counts"`
	Usage            shownUsage        `json:"usage"`
	Metadata         map[string]string `json:"metadata"`

	Paused      bool           `json:"paused"`
	RetryOf     *string        `json:"retry_of"`
	Concurrency int            `json:"concurrency"`
	Progress    *shownProgress `json:"progress,omitempty"`
}

type shownCounts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

type shownUsage struct {
	InputTokens        int                          `json:"input_tokens"`
	InputTokensDetails responses.InputTokensDetails `json:"input_tokens_details"`
	OutputTokens       int                          `json:"output_tokens"`
	OutputDetails      responses.OutputTokenDetails `json:"output_tokens_details"`
	TotalTokens        int                          `json:"total_tokens"`
}

type shownProblems struct {
	Object string         `json:"object"`
	Data   []shownProblem `json:"data"`
}

type shownProblem struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int    `json:"line"`
}

// shownProgress is what only the workflow of a batch knows, at this moment.
type shownProgress struct {
	Begun   int `json:"begun"`
	Running int `json:"running"`
	// Window is how many lines may run now, and Throttled how often providers have refused a turn because there were too many.
	Window    int `json:"window"`
	Throttled int `json:"throttled"`
	// LinesPerSecond and SecondsLeft are 0 while they are not known.
	LinesPerSecond float64 `json:"lines_per_second"`
	SecondsLeft    int     `json:"seconds_left"`
}

func showBatch(b *batch.Batch, p *workflows.BatchProgress) shownBatch {
	t := b.Times
	shown := shownBatch{
		ID: b.ID, Object: "batch", Endpoint: b.Endpoint, InputFileID: b.InputFile, CompletionWindow: windowText(b.Window), Status: b.Status,
		OutputFileID: &b.OutputFile, ErrorFileID: &b.ErrorFile,
		CreatedAt: t.Created.Unix(), InProgressAt: unixOrNull(t.InProgress), ExpiresAt: b.Expires().Unix(), FinalizingAt: unixOrNull(t.Finalizing),
		CompletedAt: unixOrNull(t.Completed), FailedAt: unixOrNull(t.Failed), ExpiredAt: unixOrNull(t.Expired),
		CancellingAt: unixOrNull(t.Cancelling), CancelledAt: unixOrNull(t.Cancelled),
		RequestCounts: shownCounts{b.Total, b.Completed, b.Failed},
		Usage: shownUsage{
			InputTokens: b.Usage.InputTokens, InputTokensDetails: b.Usage.InputTokensDetails, OutputTokens: b.Usage.OutputTokens,
			OutputDetails: b.Usage.OutputDetails, TotalTokens: b.Usage.TotalTokens,
		},
		Metadata: b.Metadata, Paused: b.Paused, Concurrency: b.Concurrency,
	}
	// Programs take a file for a sign that there is something in it.
	if b.Status.Ended() && b.Completed == 0 {
		shown.OutputFileID = nil
	}
	if b.Status.Ended() && b.Failed == 0 {
		shown.ErrorFileID = nil
	}
	if b.RetryOf != "" {
		shown.RetryOf = &b.RetryOf
	}
	if len(b.Errors) > 0 {
		shown.Errors = &shownProblems{Object: "list"}
		for _, e := range b.Errors {
			shown.Errors.Data = append(shown.Errors.Data, showProblem(e))
		}
	}
	if p != nil {
		shown.Progress = &shownProgress{
			Begun: p.Begun, Running: p.Running, Window: p.Window, Throttled: p.Throttled, LinesPerSecond: p.Rate,
			SecondsLeft: int(p.Left / time.Second),
		}
		// It may know more than the database.
		if p.Progress.Done() > b.Done() {
			shown.RequestCounts.Completed, shown.RequestCounts.Failed = p.Progress.Completed, p.Progress.Failed
		}
	}
	return shown
}

func showProblem(p batch.Problem) shownProblem {
	shown := shownProblem{Code: p.Code, Message: p.Message}
	if p.Param != "" {
		shown.Param = &p.Param
	}
	if p.Line > 0 {
		shown.Line = &p.Line
	}
	return shown
}
