package ui

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"perdure/internal/batch"
	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/starter"
)

// batchContent is the page of a batch.
type batchContent struct {
	batchRow
	Pace *starter.BatchPace
	// Failures are the first lines that have failed.
	Failures []failureRow
	// MayCancel, MayPause, MayResume and MayRetry are the buttons that do something.
	MayCancel, MayPause, MayResume, MayRetry bool
	// HasInput, HasOutput and HasErrors are the files that there is something in.
	HasInput, HasOutput, HasErrors bool
	// OutputGone is set once the output is not there any more.
	OutputGone bool
	// Nonce makes a retry that is sent twice one batch.
	Nonce     string
	ExpiresAt time.Time
	Remaining time.Duration // until then
	Every     int           // 0: nothing will change any more
	Now       time.Time
}

// failureRow is a line that has failed. Its message is cut, so that a page has a size.
type failureRow struct {
	starter.FailedLine
	Cut bool // the message is longer
}

const (
	// failuresShown is how many failed lines the page of a batch has, failuresPage how many a page of them has.
	failuresShown = 10
	failuresPage  = 50
	// maxFailureText is how many bytes of a message, or of a custom ID, a page shows.
	maxFailureText = 400
)

func failureRows(lines []starter.FailedLine) []failureRow {
	rows := make([]failureRow, len(lines))
	for i, l := range lines {
		rows[i] = failureRow{FailedLine: l}
		var whole bool
		rows[i].Message, whole = page.Clip(l.Message, maxFailureText)
		rows[i].Cut = !whole
		rows[i].CustomID, _ = page.Clip(l.CustomID, maxFailureText)
	}
	return rows
}

// showBatch shows one batch.
func (u *ui) showBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := u.batchContent(r, who)
	if err != nil {
		return err
	}
	if isPart(r) {
		return pages.RenderPart(w, "batch", "batch", c)
	}
	f := u.frame(w, r, who, c.Title, batchesPath, c)
	f.Styles, f.Scripts = []string{"batches.css"}, []string{"live.js"}
	return u.show(w, "batch", f)
}

func (u *ui) batchContent(r *http.Request, who identity.Principal) (c batchContent, err error) {
	b, pace, err := u.api.Batch(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return c, err
	}
	c.Now = time.Now()
	if c.batchRow, err = u.batchRow(r.Context(), b, c.Now); err != nil {
		return c, err
	}
	c.HasInput = c.Title != b.ID
	if pace != nil {
		c.Pace, c.Left = pace, pace.Left
	}
	if b.Failed > 0 {
		lines, err := u.api.FailedLines(r.Context(), &b, 1, failuresShown, 0)
		if err != nil {
			return c, err
		}
		c.Failures = failureRows(lines)
	}
	ended := b.Status.Ended()
	if c.HasErrors = len(c.Failures) > 0; b.Completed > 0 {
		_, err := u.api.Files.Get(r.Context(), b.Organization, b.OutputFile)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return c, err
		}
		c.HasOutput, c.OutputGone = err == nil, err != nil
	}
	c.MayCancel = !ended && b.Status != batch.Finalizing && b.Status != batch.Cancelling
	c.MayPause, c.MayResume = c.MayCancel && !b.Paused, c.MayCancel && b.Paused
	if c.MayRetry = ended && b.Failed > 0 && c.HasErrors; c.MayRetry {
		c.Nonce = rand.Text()
	}
	c.ExpiresAt = b.Expires()
	c.Remaining = max(0, c.ExpiresAt.Sub(c.Now))
	if !ended {
		c.Every = refreshBatch
	}
	return c, nil
}

// failedContent is a page of the lines of a batch that have failed.
type failedContent struct {
	batchRow
	Failures []failureRow
	From, To int
	// Next is the address of the next page, empty on the last one.
	Next string
}

// failedLines shows all lines of a batch that have failed, page by page.
func (u *ui) failedLines(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	from, err := wholeNumber(r, "from", 1)
	if err != nil {
		return err
	}
	near, err := wholeNumber(r, "near", 0)
	if err != nil {
		return err
	}
	b, _, err := u.api.Batch(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	c := failedContent{From: from}
	if c.batchRow, err = u.batchRow(r.Context(), b, time.Now()); err != nil {
		return err
	}
	lines, err := u.api.FailedLines(r.Context(), &b, from, failuresPage, near)
	if err != nil {
		return err
	}
	c.Failures = failureRows(lines)
	if c.To = from + len(lines) - 1; len(lines) > 0 && c.To < b.Failed {
		q := url.Values{"from": {strconv.Itoa(c.To + 1)}}
		if last := lines[len(lines)-1].Number; last > 0 {
			q.Set("near", strconv.Itoa(last))
		}
		c.Next = r.URL.Path + "?" + q.Encode()
	}
	f := u.frame(w, r, who, "Failed lines", batchesPath, c)
	f.Styles = []string{"batches.css"}
	return u.show(w, "batch_failed", f)
}

// wholeNumber reads a parameter that is a number, at least as large as its default.
func wholeNumber(r *http.Request, name string, least int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return least, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > 1<<31 {
		return 0, responses.Invalid(name, "must be a number, %d or more", least)
	}
	return n, nil
}

// pathOfBatch is the path of a batch's page.
func pathOfBatch(id string) string { return batchesPath + "/" + url.PathEscape(id) }

// confirmCancel asks before a batch is ended.
func (u *ui) confirmCancel(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := u.batchContent(r, who)
	if err != nil {
		return err
	}
	if !c.MayCancel {
		return seeOther(w, r, pathOfBatch(c.ID), "There is nothing to cancel any more.")
	}
	f := u.frame(w, r, who, "Cancel batch", batchesPath, c)
	f.Styles = []string{"batches.css"}
	return u.show(w, "batch_cancel", f)
}

func (u *ui) cancelBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	if err := u.api.CancelBatch(r, who, id); err != nil {
		return err
	}
	return seeOther(w, r, pathOfBatch(id), "The batch is being cancelled. What is done is kept; lines that run are stopped.")
}

func (u *ui) pauseBatch(paused bool) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		id := r.PathValue("id")
		if err := u.api.PauseBatch(r, who, id, paused); err != nil {
			return err
		}
		message := "The batch goes on."
		if paused {
			message = "The batch is paused: lines that run go on to their end, and no others begin."
		}
		return seeOther(w, r, pathOfBatch(id), message)
	}
}

func (u *ui) retryBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	b, err := u.api.RetryBatch(w, r, who, r.PathValue("id"), form.Get("nonce"))
	if err != nil {
		return err
	}
	return seeOther(w, r, pathOfBatch(b.ID), begunBatch(&b, fmt.Sprintf("This batch has the lines of %s that failed.", b.RetryOf)))
}
