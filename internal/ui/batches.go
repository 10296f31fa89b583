package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/store"
	"perdure/starter"
)

const batchesPath = "/batches"

// batchRoutes are the pages of batches, what their buttons do, and their files.
func (u *ui) batchRoutes(handle func(pattern string, h starter.PageHandler)) {
	const one = batchesPath + "/{id}"
	handle("GET "+batchesPath, u.listBatches)
	handle("POST "+batchesPath, u.createBatch)
	handle("GET "+batchesPath+"/new", u.newBatch)
	handle("GET "+one, u.showBatch)
	handle("GET "+one+"/failed", u.failedLines)
	handle("GET "+one+"/input", u.batchFile(func(b *batch.Batch) string { return b.InputFile }))
	handle("GET "+one+"/output", u.batchFile(func(b *batch.Batch) string { return b.OutputFile }))
	handle("GET "+one+"/errors", u.batchFile(func(b *batch.Batch) string { return b.ErrorFile }))
	handle("GET "+one+"/cancel", u.confirmCancel)
	handle("POST "+one+"/cancel", u.cancelBatch)
	handle("POST "+one+"/pause", u.pauseBatch(true))
	handle("POST "+one+"/resume", u.pauseBatch(false))
	handle("POST "+one+"/retry", u.retryBatch)
}

// Times between two looks at batches, in ms.
const (
	refreshBatches = 3000
	refreshBatch   = 1500
)

// batchesPage is how many batches a page of the list has.
const batchesPage = 25

// batchesContent is the list of batches.
type batchesContent struct {
	Rows []batchRow
	// Address is where the rows are refreshed from, Next that of the next page, empty on the last.
	Address, Next string
	Later         bool // the page is not the first
	Every         int
	Now           time.Time
}

// batchRow is a batch as pages show it.
type batchRow struct {
	batch.Batch
	// Title is the name of the input file.
	Title string
	State batchTag
	Percent,
	Done int
	// Left is about how long the rest takes, Took how long all took; 0: not known.
	Left, Took time.Duration
}

// batchTag is the state of a batch in words, with the color that helps them.
type batchTag struct{ Text, Class string }

func tagOfBatch(b *batch.Batch) batchTag {
	switch b.Status {
	case batch.Validating:
		return batchTag{"Starting", "live"}
	case batch.InProgress:
		if b.Paused {
			return batchTag{"Paused", "warn"}
		}
		return batchTag{"Running", "live"}
	case batch.Finalizing:
		return batchTag{"Finishing", "live"}
	case batch.Cancelling:
		return batchTag{"Cancelling", "live"}
	case batch.Completed:
		if b.Failed > 0 {
			return batchTag{"Completed, some failed", "warn"}
		}
		return batchTag{"Completed", "good"}
	case batch.Failed:
		return batchTag{"Failed", "bad"}
	case batch.Expired:
		return batchTag{"Expired", "bad"}
	case batch.Cancelled:
		return batchTag{"Cancelled", ""}
	default:
		return batchTag{string(b.Status), ""}
	}
}

// batchRow makes a row of a batch.
func (u *ui) batchRow(ctx context.Context, b batch.Batch, now time.Time) (batchRow, error) {
	row := batchRow{Batch: b, Title: b.ID, State: tagOfBatch(&b), Done: b.Done()}
	f, err := u.api.Files.Get(ctx, b.Organization, b.InputFile)
	switch {
	case err == nil:
		row.Title = f.Filename
	case !errors.Is(err, store.ErrNotFound): // it may have expired
		return row, err
	}
	if b.Total > 0 {
		row.Percent = 100 * b.Done() / b.Total
	}
	if ended := endOf(&b); !ended.IsZero() {
		row.Took = ended.Sub(b.Times.Created)
	}
	if begun := b.Times.InProgress; b.Status == batch.InProgress && !b.Paused && !begun.IsZero() && b.Done() > 0 {
		row.Left = time.Duration(float64(now.Sub(begun)) / float64(b.Done()) * float64(b.Total-b.Done()))
	}
	return row, nil
}

// endOf is when a batch has ended; zero: it has not.
func endOf(b *batch.Batch) time.Time {
	for _, t := range []time.Time{b.Times.Completed, b.Times.Failed, b.Times.Expired, b.Times.Cancelled} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// listBatches shows the batches of the organization.
func (u *ui) listBatches(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	after := r.URL.Query().Get("after")
	batches, more, err := u.api.Batches(r.Context(), who, after, batchesPage)
	if err != nil {
		return err
	}
	c := batchesContent{Address: r.URL.RequestURI(), Later: after != "", Every: refreshBatches, Now: time.Now()}
	for _, b := range batches {
		row, err := u.batchRow(r.Context(), b, c.Now)
		if err != nil {
			return err
		}
		c.Rows = append(c.Rows, row)
	}
	if more {
		c.Next = batchesPath + "?" + url.Values{"after": {batches[len(batches)-1].ID}}.Encode()
	}
	if isPart(r) {
		return pages.RenderPart(w, "batches", "rows", c)
	}
	f := u.frame(w, r, who, "Batches", batchesPath, c)
	f.Styles, f.Scripts = []string{"batches.css"}, []string{"live.js"}
	return u.show(w, "batches", f)
}

// batchFile sends a file of a batch, as far as there is one.
func (u *ui) batchFile(which func(*batch.Batch) string) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		b, _, err := u.api.Batch(r.Context(), who, r.PathValue("id"))
		if err != nil {
			return err
		}
		return u.api.SendFile(w, r, who, which(&b))
	}
}

// choosable are files that a batch can be made of, the latest first.
func (u *ui) choosable(ctx context.Context, who identity.Principal) ([]file.File, error) {
	const most = 30
	return u.api.InputFiles(ctx, who, most)
}
