package starter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// What follows is what pages do with batches: what the API does.

// Batches lists the batches of the caller's organization, the newest first, behind the one named, and reports whether there are more.
func (s *Starter) Batches(ctx context.Context, who identity.Principal, after string, limit int) (batches []batch.Batch, more bool, err error) {
	batches, more, err = s.Store.Batches(ctx, who.Organization, after, limit)
	if errors.Is(err, store.ErrCursor) {
		return nil, false, responses.Invalid("after", "must be the ID of a batch")
	}
	for i := range batches {
		s.tryHeal(ctx, who, &batches[i])
	}
	return batches, more, err
}

// BatchPace is how fast a batch is at the moment.
type BatchPace struct {
	Running int // lines
	// Window is how many lines may run now. It is less than the batch's concurrency while others need the room, or providers refuse more.
	Window    int
	Throttled int           // how often providers have refused a turn because there were too many
	Rate      float64       // lines per second; 0: not known yet
	Left      time.Duration // 0: not known
}

// Batch returns a batch of the caller's organization as it is now. The pace is nil if it does not run, or does not say.
func (s *Starter) Batch(ctx context.Context, who identity.Principal, id string) (batch.Batch, *BatchPace, error) {
	b, err := s.ownBatch(ctx, who, id)
	if err != nil {
		return b, nil, err
	}
	s.tryHeal(ctx, who, &b)
	p := s.batchProgress(ctx, &b)
	if p == nil {
		return b, nil, nil
	}
	if p.Progress.Done() > b.Done() { // it may know more than the database
		b.Progress = p.Progress
	}
	return b, &BatchPace{Running: p.Running, Window: p.Window, Throttled: p.Throttled, Rate: p.Rate, Left: p.Left}, nil
}

// NewBatch is what a person says of a batch in a form. What is zero is as the API has it.
type NewBatch struct {
	// Nonce makes a form that is sent twice one batch.
	Nonce       string
	InputFile   string
	Window      string // such as 24h
	Concurrency int
	// Uploaded is the hash of the content if the file came with the form: a form that is sent twice brings two files. Empty: it was there.
	Uploaded string
}

// body is what tells the form from another with its nonce.
func (n NewBatch) body() []byte {
	input := n.InputFile
	if n.Uploaded != "" {
		input = n.Uploaded
	}
	return []byte(strings.Join([]string{"batch", input, n.Window, strconv.Itoa(n.Concurrency)}, "\n"))
}

// CreateBatch makes a batch of a file, and begins it. The same form sent again, by a double click or a reload, is the same batch. One that
// could not be begun yet is returned without being [batch.Batch.Started]: whoever looks at it begins it.
func (s *Starter) CreateBatch(w http.ResponseWriter, r *http.Request, who identity.Principal, n NewBatch) (batch.Batch, error) {
	key, err := formKey(n.Nonce, n.body())
	if err != nil {
		return batch.Batch{}, err
	}
	given := givenBatch{InputFileID: n.InputFile, Endpoint: batch.Endpoint, CompletionWindow: n.Window}
	if n.Concurrency != 0 {
		given.Concurrency = &n.Concurrency
	}
	if err := given.checkAll(s.Limits.Batch); err != nil {
		return batch.Batch{}, err
	}
	b := given.batch(who, key)
	b.Fingerprint = fingerprint(key, n.body())
	id := b.ID
	if err = s.checkTemporal(); err == nil {
		err = s.checkInputFile(r.Context(), who, n.InputFile)
	}
	if err == nil {
		b, err = s.beginBatch(w, r, who, b)
	}
	if err != nil {
		b, err = s.storedBatch(r.Context(), who, id, err)
	}
	if err == nil && n.Uploaded != "" && b.InputFile != n.InputFile {
		s.dropUpload(r, who, n.InputFile)
	}
	return b, err
}

// storedBatch returns a batch that a form has made, although it could not be begun for a reason: to tell the person that there is none would
// have them make another, and both would run. If there is none, its error is the reason.
func (s *Starter) storedBatch(ctx context.Context, who identity.Principal, id string, reason error) (batch.Batch, error) {
	b, err := s.Store.Batch(ctx, who.Organization, id)
	if err != nil {
		return batch.Batch{}, reason
	}
	if temporalAway(reason) {
		s.gates.temporal.Suspect()
	}
	if !b.Started {
		s.Logger.WarnContext(ctx, "a batch could not be begun yet", "batch", id, "error", reason)
	}
	return b, nil
}

// dropUpload removes the file of a form that was sent again. One that stays expires as others do.
func (s *Starter) dropUpload(r *http.Request, who identity.Principal, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), cancelTimeout)
	defer cancel()
	if err := s.Files.Delete(ctx, actor(r, who), id); err != nil {
		s.Logger.WarnContext(ctx, "the file of a form that was sent twice is left", "file", id, "error", err)
	}
}

// CancelBatch ends a batch early, and keeps what is done.
func (s *Starter) CancelBatch(r *http.Request, who identity.Principal, id string) error {
	_, err := s.controlBatch(r, who, id, workflows.BatchCancel)
	return err
}

// PauseBatch has a batch begin no more lines, or, if it is not to be paused, begin them again.
func (s *Starter) PauseBatch(r *http.Request, who identity.Principal, id string, paused bool) error {
	control := workflows.BatchResume
	if paused {
		control = workflows.BatchPause
	}
	_, err := s.controlBatch(r, who, id, control)
	return err
}

// RetryBatch makes a batch of the lines of one that has ended that have failed, as [Starter.CreateBatch] does: once for a nonce.
func (s *Starter) RetryBatch(w http.ResponseWriter, r *http.Request, who identity.Principal, id, nonce string) (batch.Batch, error) {
	of, err := s.ownBatch(r.Context(), who, id)
	if err != nil {
		return of, err
	}
	key, err := formKey(nonce, []byte("retry\n"+of.ID))
	if err != nil {
		return batch.Batch{}, err
	}
	var b batch.Batch
	if err = s.checkTemporal(); err == nil {
		b, err = s.retryFailed(w, r, who, &of, key, nil)
	}
	if err != nil {
		return s.storedBatch(r.Context(), who, batch.NewID(who.Organization, who.User, key), err)
	}
	return b, nil
}

// FailedLine is a line of a batch that was not answered, or not as it was to be.
type FailedLine struct {
	// Number is that of the line in the input, without blank ones; 0: it is not known.
	Number   int
	CustomID string
	// Status is the HTTP status of the answer; 0: there was none.
	Status  int
	Message string
}

// FailedLines returns some lines of a batch that have failed, in their order, from one on: the first is 1. It is fewer than n at the end, and
// where their answers are long. near is the number of a line of the input before the first of them; 0: it is not known.
func (s *Starter) FailedLines(ctx context.Context, b *batch.Batch, from, n, near int) ([]FailedLine, error) {
	lines, err := s.Files.Lines(ctx, b.Organization, b.ErrorFile, from, n)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // it has expired, or somebody has deleted it
	}
	if err != nil {
		return nil, err
	}
	failed := make([]FailedLine, len(lines))
	for i, l := range lines {
		var result batch.Result
		if err := json.Unmarshal(l.Text, &result); err != nil {
			return nil, err
		}
		failed[i] = failedLine(result)
		if number := s.lineNumbers.find(b, result.ID, near); number > 0 {
			failed[i].Number, near = number, number
		}
	}
	return failed, nil
}

// lineNumbers remembers the numbers of lines that are looked at again and again, since it takes many hashes to find one.
type lineNumbers struct {
	mu    sync.Mutex
	known map[string]int // by the ID of the line's result
}

const maxLineNumbers = 10_000

func (n *lineNumbers) find(b *batch.Batch, resultID string, near int) int {
	n.mu.Lock()
	number, ok := n.known[resultID]
	n.mu.Unlock()
	if ok {
		return number
	}
	number = b.LineOf(resultID, near)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxLineNumbers {
		n.known = map[string]int{}
	}
	n.known[resultID] = number
	return number
}

func failedLine(r batch.Result) FailedLine {
	f := FailedLine{CustomID: r.CustomID}
	switch {
	case r.Error != nil:
		f.Message = r.Error.Message
	case r.Response != nil:
		f.Status = r.Response.StatusCode
		// Either an error, or a response that has failed. Both say why in the same place.
		var body struct {
			Status string
			Error  *struct{ Message string }
		}
		if json.Unmarshal(r.Response.Body, &body) == nil && body.Error != nil {
			f.Message = body.Error.Message
		} else if body.Status != "" {
			f.Message = "the response is " + body.Status
		}
	}
	return f
}

// InputFiles lists the latest files that a batch can be made of.
func (s *Starter) InputFiles(ctx context.Context, who identity.Principal, limit int) ([]file.File, error) {
	files, _, err := s.Files.List(ctx, who.Organization, store.FileFilter{Purpose: file.PurposeBatch, Limit: limit})
	return files, err
}
