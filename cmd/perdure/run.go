package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [PROMPT]",
		Short: "Ask a model, with tools of MCP servers, and watch it work",
		Long: `Ask a model, with tools of MCP servers, and watch it work. The answer goes to standard output, as it comes if that is a terminal;
calls of tools and what else happens go to standard error. Without PROMPT, and without --file, standard input is the prompt.

The run is a workflow on the server: it goes on when a connection is lost or a server is restarted, and so does what you see.
Ctrl-C cancels it, and a second Ctrl-C leaves at once. With --background, Ctrl-C leaves the run alone.

Where the server asks for approval of calls (its dialect is openai), you are asked; --yes approves all.

The exit code is 0 if the run has completed, 1 after an error, 2 if the command line makes no sense, 3 if the run failed, 4 if it is
incomplete or waits for an approval, 5 if it was cancelled, and 130 if you interrupted it.`,
		Example: `  perdure run "What does the repository perdure/perdure do?" --mcp wiki=https://mcp.deepwiki.com/mcp
  perdure run "List my open issues" --connector github --tool github:list_issues
  perdure run "Summarize this" --file report.txt > summary.txt
  git diff | perdure run "Review this change" --file - --model openai/gpt-5.5
  perdure run "And in French?" --previous resp_…
  perdure run "Read my mail" --mcp mail=https://mcp.example.com/mcp --authorization mail=env:MAIL_TOKEN
  id=$(perdure run "A long job" --detach) && perdure responses watch "$id"`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: noFiles,
	}
	var o runOptions
	o.bind(cmd)
	bindAPI(cmd)
	cmd.RunE = withAPI(func(s *session, args []string) error { return runPrompt(s, o, args) })
	return cmd
}

func runPrompt(s *session, o runOptions, args []string) error {
	// A reader that goes away, such as head, would end the process at the next write, before it can say how to go on with the run.
	brokenPipes := make(chan os.Signal, 1)
	signal.Notify(brokenPipes, syscall.SIGPIPE)
	defer signal.Stop(brokenPipes)
	body, err := o.request(s, args)
	if err != nil {
		return err
	}
	if o.detach {
		r, err := s.Start(s.ctx(), body, newRequestKey())
		if err != nil {
			return runError(err)
		}
		if s.json {
			return s.printJSON(r.Raw)
		}
		_, err = fmt.Fprintln(s.out, r.ID)
		return err
	}
	for {
		v := newRunView(s, o.quiet)
		v.silent = v.silent || o.events
		stream := s.Create(body, newRequestKey())
		r, err := s.follow(stream, v, o.events)
		if err != nil {
			return s.leave(stream, o, runError(err))
		}
		if err := v.end(r); err != nil {
			return err
		}
		v.summary(r)
		asked := r.Approvals()
		if len(asked) == 0 || ending(r) != nil {
			if s.json && !o.events {
				if err := s.printJSON(r.Raw); err != nil {
					return err
				}
			}
			return ending(r)
		}
		answers, err := s.askApprovals(asked)
		if err != nil {
			return s.unapproved(r, err)
		}
		body.goOn(r.ID, answers)
	}
}

// newRequestKey returns an Idempotency-Key, with which a request can be sent again without a second run.
func newRequestKey() string { return "cli-" + rand.Text() }

// runError marks the refusals that mean that the run began and failed: its MCP servers could not be listed, or its model not be asked.
func runError(err error) error {
	if apiclient.IsStatus(err, http.StatusFailedDependency) || apiclient.IsStatus(err, http.StatusBadGateway) {
		return &exit{exitFailed, err}
	}
	return err
}

// leave ends a run that its command stops watching, if it was interrupted, and says how to go on with one that stays.
func (s *session) leave(stream *apiclient.Stream, o runOptions, cause error) error {
	interrupted := s.ctx().Err() != nil
	// What remains to be said takes a moment, in which the command is not to be interrupted by what has interrupted it already.
	ctx, done := context.WithTimeout(context.WithoutCancel(s.ctx()), cancelWithin)
	defer done()
	if !interrupted {
		if id := stream.ID(); id != "" && !errors.As(cause, new(*exit)) {
			s.note("The run goes on. Watch it with: perdure responses watch %s --after %d", id, stream.After())
		}
		return cause
	}
	if !stream.MayRun() {
		s.note("No run was begun.")
		return cause
	}
	if o.background {
		if id := stream.ID(); id != "" {
			s.note("The run goes on. Watch it with: perdure responses watch %s", id)
		}
		return cause
	}
	s.note("Cancelling the run. Ctrl-C again leaves it.")
	// A run of which no event has come yet has an ID that only the server knows: the same request finds it out.
	for stream.ID() == "" {
		if _, err := stream.Next(ctx); err != nil {
			s.note("It could not be found out which run it is: %v. Look for it with: perdure responses list --status in_progress", err)
			return cause
		}
	}
	stream.Close()
	r, err := s.CancelResponse(ctx, stream.ID())
	if err != nil {
		s.note("The run %s could not be cancelled: %v. Try again with: perdure responses cancel %s", stream.ID(), err, stream.ID())
		return cause
	}
	s.note("%s is %s.", r.ID, r.Status)
	return cause
}
