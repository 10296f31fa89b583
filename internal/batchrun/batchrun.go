// Package batchrun sends a file of requests as a batch and brings the results back while they come, so that it can be ended at any moment,
// by whatever, and started again: then it goes on with the same batch, and sends no request twice.
package batchrun

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"perdure/internal/apiclient"
)

// Options say what to send, and where the results go.
type Options struct {
	Input  string // path of the requests, in the lines of OpenAI's batches
	Output string // path of the results of requests that were answered
	Errors string // path of those that failed; made with the first
	// Window is the completion window, such as "24h".
	Window      string
	Concurrency int // how many requests at the same time; 0 is the server's choice
	Metadata    map[string]string
	// Restart forgets what was begun, with its outputs, and sends everything anew.
	Restart bool
	// Detach returns once the batch is there.
	Detach bool
	// PollEvery is how often the server is asked; 0 is every second, and less often when nothing changes.
	PollEvery time.Duration

	// Uploading hears how much of the input is sent: bytes.
	Uploading func(sent, total int64)
	// Changed hears of the batch, each time that the server was asked.
	Changed func(apiclient.Batch)
	// Failure hears of each request that failed, as a line of the errors' file.
	Failure func(line []byte)
	// Note hears what a person should know.
	Note func(text string)
}

// errEndedBefore is that there is nothing to do.
var errEndedBefore = errors.New("the batch has ended before")

// ErrThreeFiles is that one file would be read and written, or written twice.
var ErrThreeFiles = errors.New("the requests, the results and the failures must be three files")

// run is one that is under way.
type run struct {
	Options
	client *apiclient.Client
	state  *state
	output growing
	errors growing
}

func (r *run) statePath() string { return r.Output + StateSuffix }

func (r *run) save() error { return r.state.write(r.statePath()) }

// Run sends the requests, or goes on with those that were sent, and returns the batch when it has ended and its results are here. If ctx ends
// before, the batch goes on without it.
func Run(ctx context.Context, client *apiclient.Client, o Options) (_ apiclient.Batch, err error) {
	r := &run{Options: o, client: client}
	input, err := measure(o.Input)
	if err != nil {
		return apiclient.Batch{}, err
	}
	locked, err := lockOutput(o.Output)
	if err != nil {
		return apiclient.Batch{}, err
	}
	r.output = growing{path: o.Output, file: locked}
	r.errors = growing{path: o.Errors, line: o.Failure, claim: r.claimErrors}
	defer func() { err = errors.Join(err, r.output.close(), r.errors.close()) }()
	err = r.threeFiles()
	if err == nil {
		err = r.open(input)
	}
	switch {
	case errors.Is(err, errEndedBefore):
		if b, known := r.state.final(); known {
			return b, nil // whatever became of it, or of the server
		}
		return client.Batch(ctx, r.state.BatchID)
	case err != nil:
		return apiclient.Batch{}, errors.Join(err, r.leaveNothing())
	}
	b, err := r.begin(ctx)
	if err != nil || o.Detach {
		return b, err
	}
	return r.follow(ctx, b)
}

// threeFiles makes sure that what is written is not what is read, by whichever names. The output is there: it is locked.
func (r *run) threeFiles() error {
	output, err := r.output.file.Stat()
	if err != nil {
		return err
	}
	input, err := os.Stat(r.Input)
	if err != nil {
		return err
	}
	if os.SameFile(input, output) {
		return ErrThreeFiles
	}
	failures, err := os.Stat(r.Errors)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case os.SameFile(failures, input), os.SameFile(failures, output):
		return ErrThreeFiles
	}
	return nil
}

// errorsName is the file of the failures as the state has it: it stays right when the directory of the output is moved.
func (r *run) errorsName() (string, error) {
	from, err := filepath.Abs(filepath.Dir(r.Output))
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(r.Errors)
	if err != nil {
		return "", err
	}
	return filepath.Rel(from, to)
}

// claimErrors notes that the file of the failures is this batch's, or that it is not after all.
func (r *run) claimErrors(ours bool) (err error) {
	r.state.Errors = ""
	if ours {
		if r.state.Errors, err = r.errorsName(); err != nil {
			return err
		}
	}
	return r.save()
}

// leaveNothing removes an output that is there only because it was locked.
func (r *run) leaveNothing() error {
	info, err := r.output.file.Stat()
	if _, stateErr := os.Lstat(r.statePath()); err != nil || info.Size() > 0 || stateErr == nil {
		return err
	}
	return os.Remove(r.Output)
}

// open finds out what was done before.
func (r *run) open(input state) error {
	if r.Restart {
		if err := r.forget(); err != nil {
			return err
		}
	}
	before, err := readState(r.statePath())
	if err != nil {
		return err
	}
	if before == nil || !before.mayHaveBatch() {
		// Nothing was run, so that nothing can be run twice.
		if err := r.untouched(); err != nil {
			return err
		}
		if before != nil && before.SHA256 == input.SHA256 && before.Server == r.client.URL() && before.Ended == "" {
			r.state = before
			return nil
		}
		return r.fresh(input)
	}
	r.state = before
	switch {
	case before.Server != r.client.URL():
		return fmt.Errorf("%s belongs to a batch on %s, and this is %s: go on there, or name another output", r.Output, before.Server, r.client.URL())
	case before.SHA256 != input.SHA256:
		return fmt.Errorf("%s is not what was sent as the batch %s: go on with the file as it was, name another output to send this one, or use "+
			"--restart to give the former up", r.Input, before.batch())
	}
	if err := r.resume(); err != nil {
		return err
	}
	if before.Ended != "" {
		r.note("The batch %s has ended before, and its results are in %s. To send the requests again, use --restart or another output.", before.BatchID, r.Output)
		return errEndedBefore
	}
	return nil
}

// untouched makes sure that neither file has anything of somebody else's.
func (r *run) untouched() error {
	if info, err := r.output.file.Stat(); err != nil || info.Size() > 0 {
		return errors.Join(err, fmt.Errorf("%s is there already, and not of a batch that could go on: name another output, or use --restart", r.Output))
	}
	return r.errors.absent()
}

// resume goes on with the files as far as they are known to be right. A file of failures that this batch has not made is left alone, and so
// is what people have made of the results since the batch has ended.
func (r *run) resume() error {
	s := r.state
	name, err := r.errorsName()
	if err != nil {
		return err
	}
	made := s.Errors != "" || s.ErrorBytes > 0 // states of before have no name
	switch {
	case s.Errors != "" && s.Errors != name:
		return fmt.Errorf("the failures of the batch %s are in %s: name that with --errors, or use --restart to begin anew",
			s.batch(), filepath.Join(filepath.Dir(r.Output), s.Errors))
	case !made && s.Ended == "":
		err = r.errors.absent()
	case made:
		err = r.errors.resume(s.ErrorBytes)
	}
	if err = errors.Join(err, r.output.resume(s.OutputBytes)); err != nil || s.Ended != "" {
		return err
	}
	return errors.Join(r.output.cut(), r.errors.cut())
}

// batch names the batch, as far as it can be.
func (s *state) batch() string {
	if s.BatchID != "" {
		return s.BatchID
	}
	return "that was begun on " + s.Server
}

func (r *run) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

// fresh begins with a new key, and has it on the disk before anything is sent.
func (r *run) fresh(input state) error {
	r.state = &input
	r.state.Version, r.state.Server, r.state.Key = stateVersion, r.client.URL(), "batch-"+rand.Text()
	return r.save()
}

// forget removes what was begun.
func (r *run) forget() error {
	before, err := readState(r.statePath())
	if err == nil && before != nil && before.BatchID != "" && before.Ended == "" {
		r.note("The batch %s that was begun before goes on without its results being brought here. End it with: perdure batch cancel %s",
			before.BatchID, before.BatchID)
	}
	remove := []string{r.statePath()}
	name, err := r.errorsName()
	if err != nil {
		return err
	}
	if before != nil && before.Errors == name {
		remove = append(remove, r.Errors)
	} else if err := r.errors.absent(); err != nil {
		return err // a file of which nobody knows whose it is
	}
	for _, path := range remove {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return r.output.file.Truncate(0)
}

// measure reads a file to tell it from others.
func measure(path string) (state, error) {
	f, err := os.Open(path)
	if err != nil {
		return state{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return state{}, err
	}
	if !info.Mode().IsRegular() {
		return state{}, fmt.Errorf("%s is not a file: what comes from elsewhere could not be sent again after an interruption; save it first", path)
	}
	hash, buffer := sha256.New(), make([]byte, 256<<10)
	s := state{Input: path}
	last := byte('\n')
	for {
		n, err := f.Read(buffer)
		hash.Write(buffer[:n])
		s.Bytes += int64(n)
		s.Lines += bytes.Count(buffer[:n], []byte("\n"))
		if n > 0 {
			last = buffer[n-1]
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
	}
	if last != '\n' {
		s.Lines++
	}
	if s.Bytes == 0 {
		return s, fmt.Errorf("%s is empty", path)
	}
	s.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return s, nil
}

// begin uploads the input and makes the batch, as far as that was not done before.
func (r *run) begin(ctx context.Context) (apiclient.Batch, error) {
	if r.state.BatchID != "" {
		r.note("Going on with the batch %s.", r.state.BatchID)
		if now, err := r.request(); err == nil && now != r.state.Request {
			r.note("It was made with another --window, --concurrency or --metadata, and keeps them.")
		}
		b, err := r.client.Batch(ctx, r.state.BatchID)
		if apiclient.IsStatus(err, 404) {
			err = fmt.Errorf("the batch %s is not there any more: use --restart to send the requests again", r.state.BatchID)
		}
		return b, err
	}
	first := r.state.Request == ""
	if first {
		if err := r.upload(ctx); err != nil {
			return apiclient.Batch{}, err
		}
	}
	b, err := r.client.CreateBatch(ctx, json.RawMessage(r.state.Request), r.state.Key)
	var refused *apiclient.Error
	if errors.As(err, &refused) && refused.Status >= 400 && refused.Status < 500 && refused.Status != 409 && refused.Status != 429 && first {
		// There is no batch, and the next start may ask for another.
		r.state.FileID, r.state.Request = "", ""
		return b, errors.Join(err, r.save())
	}
	if err != nil {
		return b, err
	}
	r.state.BatchID = b.ID
	return b, r.save()
}

// upload sends the input, and notes with which request the batch will be made of it.
func (r *run) upload(ctx context.Context) error {
	hash := sha256.New()
	f, err := r.client.UploadFile(ctx, apiclient.Upload{
		Filename: filepath.Base(r.Input), Purpose: "batch", Size: r.state.Bytes,
		Open: func() (io.ReadCloser, error) {
			f, err := os.Open(r.Input)
			hash.Reset()
			return hashed{f, hash}, err
		},
		Progress: func(sent int64) {
			if r.Uploading != nil {
				r.Uploading(sent, r.state.Bytes)
			}
		},
	})
	if err != nil {
		return err
	}
	if hex.EncodeToString(hash.Sum(nil)) != r.state.SHA256 {
		return fmt.Errorf("%s was changed while it was sent: nothing was begun; start again when it is complete", r.Input)
	}
	r.state.FileID = f.ID
	if r.state.Request, err = r.request(); err != nil {
		return err
	}
	return r.save()
}

// request is the body that asks for a batch of the uploaded file with the options of this start.
func (r *run) request() (string, error) {
	request := map[string]any{"input_file_id": r.state.FileID, "endpoint": "/v1/responses", "completion_window": r.Window}
	if r.Concurrency > 0 {
		request["concurrency"] = r.Concurrency
	}
	if len(r.Metadata) > 0 {
		request["metadata"] = r.Metadata
	}
	body, err := json.Marshal(request)
	return string(body), err
}

// hashed reads a file and hashes what it reads.
type hashed struct {
	*os.File
	hash io.Writer
}

// Read implements [io.Reader].
func (h hashed) Read(p []byte) (int, error) {
	n, err := h.File.Read(p)
	_, _ = h.hash.Write(p[:n]) // a hash takes everything
	return n, err
}
