package main

import (
	"errors"
	"fmt"
	"strings"

	"perdure/internal/apiclient"
	"perdure/internal/responses"
	"perdure/internal/terminal"
)

// askApprovals asks which of the calls that a run waits with may be made.
func (s *session) askApprovals(asked []apiclient.Item) ([]responses.Item, error) {
	asker, err := terminal.NewAsker(s.cmd.InOrStdin(), s.err)
	if err != nil {
		return nil, err
	}
	var answers []responses.Item
	all := false
	for _, item := range asked {
		approve := all
		if !all {
			s.note("%s %s", s.err.Paint(terminal.Yellow, "?"), callLine(item))
			reply, err := asker.Ask(s.ctx(), "  Make this call? [y]es, [n]o, [a]ll of these: ")
			if err != nil {
				return nil, err
			}
			switch strings.ToLower(reply) {
			case "y", "yes":
				approve = true
			case "a", "all":
				approve, all = true, true
			}
		}
		answers = append(answers, &responses.MCPApprovalResponse{ApprovalRequestID: item.ID, Approve: approve})
	}
	return answers, nil
}

// unapproved is the error of a run that waits for approvals which nobody gives.
func (s *session) unapproved(r apiclient.Response, err error) error {
	if !errors.Is(err, terminal.ErrNobody) {
		return err
	}
	if s.json {
		if err := s.printJSON(r.Raw); err != nil {
			return err
		}
	}
	for _, item := range r.Approvals() {
		s.note("? %s", callLine(item))
	}
	return &exit{exitIncomplete, fmt.Errorf("the run waits for the approval of %s, and %w: approve all with --yes",
		count(len(r.Approvals()), "call"), err)}
}
