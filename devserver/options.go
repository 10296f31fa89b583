package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.uber.org/zap"
)

type options struct {
	db             string
	listen         string
	ui             string // "" = no UI
	namespace      string
	retention      time.Duration
	attributes     map[string]enumspb.IndexedValueType
	logLevel       zap.AtomicLevel
	exitWithParent bool
	command        []string
}

const usage = `Usage: perdure-temporal [flags] [-- COMMAND ARGS...]

Runs a Temporal server with its Web UI. With COMMAND, runs it with TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and
PERDURE_TEST_TEMPORAL set, forwards SIGINT and SIGTERM to it, and exits with its code.

Flags:
`

// parseOptions reads the arguments that follow the program's name. Its errors are complete messages for the
// user; flag.ErrHelp means that help was asked for, and printed to help.
func parseOptions(args []string, help io.Writer) (options, error) {
	var o options
	var level string
	if i := slices.Index(args, "--"); i >= 0 {
		o.command = args[i+1:]
		args = args[:i]
		if len(o.command) == 0 {
			return options{}, errors.New("no command after --")
		}
	}

	fs := flag.NewFlagSet("perdure-temporal", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Errors are returned, not printed as well.
	fs.StringVar(&o.db, "db", "", "SQLite `file`, created when absent; empty keeps everything in memory")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:7233", "gRPC `address`; port 0 picks a free one, no host means loopback")
	fs.StringVar(&o.ui, "ui", "127.0.0.1:8233", "Web UI `address`; empty or off for none")
	fs.StringVar(&o.namespace, "namespace", "default", "namespace to create")
	fs.DurationVar(&o.retention, "retention", 30*24*time.Hour, "how long the namespace keeps closed workflows")
	fs.Func("search-attribute", "`NAME=TYPE` of a custom search attribute, such as Colour=Keyword, that a new namespace gets; "+
		"may be repeated", o.addAttribute)
	fs.StringVar(&level, "log-level", "error", "lowest `level` logged: debug, info, warn, error or fatal")
	fs.BoolVar(&o.exitWithParent, "exit-with-parent", false, "stop at the end of standard input, which the parent holds open")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(help, usage)
		fs.SetOutput(help)
		fs.PrintDefaults()
		return options{}, err
	} else if err != nil {
		return options{}, fmt.Errorf("%w (--help lists the flags)", err)
	}

	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q (a command goes after --)", fs.Arg(0))
	}
	if o.ui == "off" {
		o.ui = ""
	}
	if o.namespace == "" {
		return options{}, errors.New("--namespace must not be empty")
	}
	// The server refuses less than an hour for namespaces created through its API.
	if o.retention < time.Hour {
		return options{}, fmt.Errorf("--retention %v: must be at least 1h", o.retention)
	}
	var err error
	if o.logLevel, err = zap.ParseAtomicLevel(level); err != nil {
		return options{}, fmt.Errorf("--log-level: %w", err)
	}
	return o, nil
}

func (o *options) addAttribute(text string) error {
	name, kind, _ := strings.Cut(text, "=")
	t, err := enumspb.IndexedValueTypeFromString(kind)
	if name == "" || err != nil {
		return errors.New("must be NAME=TYPE, with a type such as Keyword, KeywordList, Int or Datetime")
	}
	if o.attributes == nil {
		o.attributes = map[string]enumspb.IndexedValueType{}
	}
	o.attributes[name] = t
	return nil
}
