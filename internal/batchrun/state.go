package batchrun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"perdure/internal/apiclient"
)

// StateSuffix is what the name of the state file has after that of the output.
const StateSuffix = ".perdure-batch.json"

const stateVersion = 1

// state is what has to be known to go on after an end of any kind. It is on the disk before what it says is done: the key before the first
// request, the request before the batch is made, the bytes of the outputs after they are there.
type state struct {
	Version int    `json:"version"`
	Server  string `json:"server"`
	Input   string `json:"input"`
	SHA256  string `json:"sha256"` // of the input
	Bytes   int64  `json:"bytes"`  // of the input
	Lines   int    `json:"lines"`  // of the input
	// Key is the Idempotency-Key of the batch: with it, asking twice makes one.
	Key    string `json:"key"`
	FileID string `json:"file_id,omitempty"`
	// Request is the body with which the batch is asked for, byte for byte, as the key wants it. Once it is here, there may be a batch.
	Request string `json:"request,omitempty"`
	BatchID string `json:"batch_id,omitempty"`
	// OutputBytes and ErrorBytes are how much of the files is written, and on the disk.
	OutputBytes int64 `json:"output_bytes"`
	ErrorBytes  int64 `json:"error_bytes"`
	// Errors is the file of the failures, as seen from the directory of the output; empty until that file is made. A file that is not
	// named here is somebody else's.
	Errors string `json:"errors,omitempty"`
	// Ended is the status with which the batch has ended and been downloaded; empty before.
	Ended string `json:"ended,omitempty"`
	// Final is the batch as the server showed it then: how it has ended can be told without the server. States of before do not have it.
	Final json.RawMessage `json:"final,omitempty"`
}

// mayHaveBatch reports whether there may be a batch of which something was run, so that to send the requests again could send them twice.
func (s *state) mayHaveBatch() bool {
	if s.Request == "" {
		return false
	}
	b, known := s.final()
	return !known || !b.NothingRan()
}

// final is the batch with which it has ended, if that is known.
func (s *state) final() (b apiclient.Batch, known bool) {
	return b, len(s.Final) > 0 && json.Unmarshal(s.Final, &b) == nil && b.Ended()
}

// readState returns the state of an output, nil if there is none.
func readState(path string) (*state, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil || s.Version != stateVersion || s.Key == "" {
		return nil, fmt.Errorf("%s cannot be read: it is not the state of a batch, or of another version of this program. "+
			"Look for the batch with: perdure batch list. To begin anew, remove it and the output, or use --restart", path)
	}
	return &s, nil
}

// write puts the state on the disk, whole or not at all.
func (s *state) write(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(append(data, '\n'))
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		os.Remove(temporary.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir puts the names of a directory on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
