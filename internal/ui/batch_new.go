package ui

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/starter"
)

// batchForm is the form of a new batch.
type batchForm struct {
	// Nonce makes a form that is sent twice one batch.
	Nonce string
	// Window is how long the batch may take, Concurrency how many lines run at the same time: empty, or a number as it was typed.
	Window, Concurrency string
	// InputFile is the ID of a file that is there already.
	InputFile string
	// uploaded is the hash of the content of a file that came with the form.
	uploaded string
	Files    []file.File
	// Lines are what is wrong with lines of the upload, More further ones.
	Lines   []file.Problem
	More    int
	Problem *responses.Error
	MaxSize string
}

// windowChoice is a time that a batch may take.
type windowChoice struct{ Value, Text string }

// Windows are the choices of the form.
func (batchForm) Windows() []windowChoice {
	return []windowChoice{{"1h", "1 hour"}, {"6h", "6 hours"}, {"24h", "24 hours"}, {"72h", "3 days"}, {"168h", "7 days"}, {"720h", "30 days"}}
}

// ProblemAt is what is wrong with a field.
func (f batchForm) ProblemAt(field string) string {
	if f.Problem == nil || f.Problem.Param != field {
		return ""
	}
	return f.Problem.Message
}

// Elsewhere is what is wrong with no field of the form.
func (f batchForm) Elsewhere() string {
	for _, field := range []string{"file", "input_file_id", "completion_window", "concurrency"} {
		if f.ProblemAt(field) != "" {
			return ""
		}
	}
	if f.Problem == nil {
		return ""
	}
	return f.Problem.Message
}

const defaultWindow = "24h"

func (u *ui) newBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	return u.showBatchForm(w, r, who, http.StatusOK, batchForm{Window: defaultWindow, InputFile: r.URL.Query().Get("file")})
}

func (u *ui) showBatchForm(w http.ResponseWriter, r *http.Request, who identity.Principal, status int, f batchForm) error {
	var err error
	if f.Files, err = u.choosable(r.Context(), who); err != nil {
		return err
	}
	f.Nonce = rand.Text() // what was sent with the last one may have begun something
	f.MaxSize = inMiB(u.api.Files.Limits.Bytes)
	frame := u.frame(w, r, who, "New batch", batchesPath, f)
	frame.Styles = []string{"batches.css"}
	return u.showStatus(w, status, "batch_new", frame)
}

func inMiB(bytes int64) string { return strconv.FormatInt(bytes>>20, 10) + " MiB" }

// createBatch makes a batch of an upload, or of a file that is there. An upload whose batch cannot be made stays, and is chosen in the form
// that the person gets back.
func (u *ui) createBatch(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	f := batchForm{Window: defaultWindow}
	err := u.receiveBatch(w, r, who, &f)
	if err == nil {
		var given starter.NewBatch
		if given, err = f.given(); err == nil {
			b, e := u.api.CreateBatch(w, r, who, given)
			if e == nil {
				return seeOther(w, r, pathOfBatch(b.ID), begunBatch(&b, "The batch has begun."))
			}
			err = e
		}
	}
	var lines *file.Invalid
	var field *file.Field
	switch {
	case errors.As(err, &lines):
		f.Problem, f.Lines, f.More = responses.Invalid("file", "some lines are not right"), lines.Problems, lines.More
	case errors.As(err, &field):
		f.Problem = responses.Invalid(field.Name, "%s", field.Message)
	case !correctable(err, &f.Problem):
		return err
	}
	return u.showBatchForm(w, r, who, f.Problem.Status, f)
}

// begunBatch is what a person is told of a batch that a form has made.
func begunBatch(b *batch.Batch, message string) string {
	if !b.Started {
		return "The batch is stored, but could not be begun yet. This page begins it as soon as that is possible, and so does the list of batches."
	}
	return message
}

// correctable reports whether a person can do something about an error in the form, or by sending it again.
func correctable(err error, shown **responses.Error) bool {
	if !errors.As(err, shown) {
		return false
	}
	switch (*shown).Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	default:
		return false
	}
}

// receiveBatch reads either of the two forms.
func (u *ui) receiveBatch(w http.ResponseWriter, r *http.Request, who identity.Principal, f *batchForm) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "multipart/form-data" {
		form, err := smallForm(w, r)
		if err != nil {
			return err
		}
		f.Window, f.Concurrency, f.InputFile = form.Get("completion_window"), form.Get("concurrency"), form.Get("input_file_id")
		f.Nonce = form.Get("nonce")
		return nil
	}
	purpose := file.PurposeBatch
	content := sha256.New()
	received, err := u.api.ReceiveFile(w, r, who, map[string]*string{
		"purpose": &purpose, "completion_window": &f.Window, "concurrency": &f.Concurrency, "nonce": &f.Nonce,
	}, content)
	f.InputFile, f.uploaded = received.ID, hex.EncodeToString(content.Sum(nil))+" "+received.Filename
	return err
}

// given is what the form says.
func (f *batchForm) given() (starter.NewBatch, error) {
	given := starter.NewBatch{Nonce: f.Nonce, InputFile: f.InputFile, Uploaded: f.uploaded, Window: f.Window}
	text := strings.TrimSpace(f.Concurrency)
	if text == "" {
		return given, nil
	}
	var err error
	if given.Concurrency, err = strconv.Atoi(text); err != nil || given.Concurrency < 1 {
		return given, responses.Invalid("concurrency", "must be a number, 1 or more")
	}
	return given, nil
}
