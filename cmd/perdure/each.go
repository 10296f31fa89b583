package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

// onEach makes a command do the same to several things. Of each it prints the answer of the API, or for people what do says.
func onEach(cmd *cobra.Command, complete completer, do func(s *session, id string) (answer json.RawMessage, said string, err error)) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = cobra.MinimumNArgs(1), complete
	cmd.RunE = withAPI(func(s *session, args []string) error {
		return s.each(args, func(id string) error {
			answer, said, err := do(s, id)
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(answer)
			}
			_, err = fmt.Fprintln(s.out, said)
			return err
		})
	})
	return cmd
}

// deleteEach makes a command delete what is below a path.
func deleteEach(cmd *cobra.Command, complete completer, path string) *cobra.Command {
	return onEach(cmd, complete, func(s *session, id string) (json.RawMessage, string, error) { return s.remove(path, id) })
}

func (s *session) remove(path, id string) (answer json.RawMessage, said string, err error) {
	answer, err = s.Do(s.ctx(), apiclient.Request{Method: http.MethodDelete, Path: path + "/" + url.PathEscape(id)})
	return answer, id + " is deleted.", err
}

// each does the same to several things. One that cannot be done does not keep it from the others.
func (s *session) each(ids []string, do func(id string) error) error {
	var problems []error
	for _, id := range ids {
		if err := do(id); err != nil {
			if s.ctx().Err() != nil {
				return err
			}
			if len(ids) > 1 {
				err = fmt.Errorf("%s: %w", terminal.Line(id, 0), err)
			}
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}
