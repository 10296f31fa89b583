package main

import (
	"errors"
	"fmt"
	"strings"

	"perdure/internal/apiclient"
	"perdure/internal/responses"
	"perdure/internal/terminal"
)

// askApprovals asks which of the calls that a run waits with may be made. All of them are shown before, and all of each: what is not shown
// could be what somebody would say no to.
func (s *session) askApprovals(asked []apiclient.Item) ([]responses.Item, error) {
	asker, err := terminal.NewAsker(s.cmd.InOrStdin(), s.err)
	if err != nil {
		return nil, err
	}
	s.showCalls(asked)
	var answers []responses.Item
	all := false
	for n, item := range asked {
		approve := all
		if !all {
			question := "  Make this call? [y]es, [n]o: "
			if len(asked) > 1 {
				question = fmt.Sprintf("  %d of %d, %s: Make this call? [y]es, [n]o, [a]ll of these: ", n+1, len(asked), callName(item))
			}
			reply, err := asker.Ask(s.ctx(), question)
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

// showCalls writes calls that are to be approved, with all that would be sent. What goes on in a further line is indented, so that no
// argument looks like another call or like a question.
func (s *session) showCalls(asked []apiclient.Item) {
	const indent = "    "
	width := shownText
	if s.err.Terminal {
		width = s.err.Width() - 1
	}
	for n, item := range asked {
		text := callName(item) + " " + terminal.Reveal(item.Arguments)
		if len(asked) > 1 {
			text = fmt.Sprintf("%d of %d, %s", n+1, len(asked), text)
		}
		front := s.err.Paint(terminal.Yellow, "?") + " "
		for _, line := range terminal.Wrap(text, width-len(indent)) {
			s.note("%s%s", front, line)
			front = indent
		}
	}
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
	s.showCalls(r.Approvals())
	return &exit{exitIncomplete, fmt.Errorf("the run waits for the approval of %s, and %w: approve all with --yes",
		count(len(r.Approvals()), "call"), err)}
}
