package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit codes. docs/cli.md and the help of "perdure run" have them, too.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitFailed      = 3
	exitIncomplete  = 4
	exitCancelled   = 5
	exitInterrupted = 130 // what a shell shows for a program that Ctrl-C has ended
)

// exit is an error with an exit code of its own. Without a cause nothing more is to be said.
type exit struct {
	code  int
	cause error
}

func (e *exit) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

// usageError is the error of a command line that makes no sense.
func usageError(format string, args ...any) error {
	return &exit{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode tells what went wrong, and returns the code for it. started: the command line made sense.
func exitCode(ctx context.Context, err error, started bool, stderr io.Writer) int {
	var with *exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &with):
		if text := with.Error(); text != "" {
			fmt.Fprintf(stderr, "perdure: %s\n", text)
		}
		return with.code
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitOK // a server that was told to stop has stopped
	}
	fmt.Fprintf(stderr, "perdure: %v\n", err)
	if !started {
		return exitUsage
	}
	return exitError
}

// noteStart sets started when the command that is asked for begins to run. What fails before is the command line.
func noteStart(cmd *cobra.Command, started *bool) {
	if do := cmd.RunE; do != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return do(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		noteStart(sub, started)
	}
}
