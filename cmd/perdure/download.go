package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// bindOutput declares where a download goes.
func bindOutput(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("output", "o", "-", "`FILE` to write, which must not be there; - is standard output")
}

// download writes a file of the server to standard output, or to a file that is there when it is whole.
func (s *session) download(output, id string) (err error) {
	if output == "-" {
		return s.Download(s.ctx(), s.out, id)
	}
	if err := nothingAt(output); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(output), filepath.Base(output)+".part*")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	err = s.Download(s.ctx(), part, id)
	if err == nil {
		err = part.Sync()
	}
	if err := errors.Join(err, part.Close()); err != nil {
		return err
	}
	return settle(part.Name(), output)
}

// settle gives a file its name, which no other may have got meanwhile.
func settle(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, os.ErrExist) {
		return err
	}
	// There are file systems without links.
	if err := nothingAt(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func nothingAt(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s is there already: name another file", path))
	}
	return nil
}
