package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"perdure/internal/batch"
)

// scheduleOptions are the flags of a schedule that is made or changed.
type scheduleOptions struct {
	name, note, timeZone, overlap  string
	cron                           []string
	every, offset, jitter, catchup time.Duration
	starts, ends                   string
	pauseOnFailure, paused         bool
	metadata                       map[string]string

	run         runOptions
	requestFile string
	batchFile   string
	window      string
}

// promptFlags are for a prompt. A request in a file has all of that itself.
var promptFlags = []string{"file", "model", "instructions", "conversation", "max-steps", "mcp", "connector", "tool"}

func (o *scheduleOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.cron, "cron", nil, "`EXPRESSION` of minute, hour, day, month and weekday, or @hourly, @daily, @weekly, @monthly; may be repeated")
	f.StringVar(&o.timeZone, "time-zone", "", "`ZONE` of --cron, such as Europe/Berlin (default UTC)")
	f.DurationVar(&o.every, "every", 0, "`TIME` between two runs, such as 1h")
	f.DurationVar(&o.offset, "offset", 0, "shift --every by `TIME`: with 1h, 10m is ten minutes past each hour")
	f.StringVar(&o.starts, "starts", "", "first `TIME` at which it may run, such as 2030-01-31 or 2030-01-31T12:00:00Z")
	f.StringVar(&o.ends, "ends", "", "last `TIME` at which it may run")
	f.DurationVar(&o.jitter, "jitter", 0, "begin each run up to `TIME` later")
	f.StringVar(&o.overlap, "overlap", "", "`WHAT` becomes of a run whose time comes while one is under way: "+strings.Join(overlaps, ", ")+" (default skip)")
	f.DurationVar(&o.catchup, "catchup", 0, "how late a run may begin whose time came during an outage (default 1h)")
	f.BoolVar(&o.pauseOnFailure, "pause-on-failure", false, "pause when a run fails")
	f.BoolVar(&o.paused, "paused", false, "begin paused, or pause")
	f.StringVar(&o.name, "name", "", "`NAME` by which people know it")
	f.StringVar(&o.note, "note", "", "`TEXT` to leave with it")
	f.StringToStringVar(&o.metadata, "metadata", nil, "`KEY=VALUE` to keep with the schedule; may be repeated")
	f.StringVar(&o.requestFile, "request", "", "JSON `FILE` with what POST /v1/responses takes, in the place of a prompt; - is standard input")
	f.StringVar(&o.batchFile, "batch-file", "", "`ID` of an uploaded file of requests, in the place of a prompt")
	f.StringVar(&o.window, "window", "24h", "completion `WINDOW` of a batch of --batch-file")
	f.StringArrayVarP(&o.run.files, "file", "f", nil, "`FILE` whose text is added to the prompt; - is standard input; may be repeated")
	f.StringVarP(&o.run.model, "model", "m", "", "`MODEL` to ask, provider/model (default: the server's)")
	f.StringVarP(&o.run.instructions, "instructions", "i", "", "`TEXT` that the model is to obey")
	f.StringVar(&o.run.conversation, "conversation", "", "`ID` of a conversation to go on with and to add to")
	f.IntVar(&o.run.maxSteps, "max-steps", 0, "largest `NUMBER` of model turns (default: the server's)")
	f.StringArrayVar(&o.run.mcp, "mcp", nil, "`LABEL=URL` of an MCP server that needs no credentials; may be repeated")
	f.StringArrayVar(&o.run.connectors, "connector", nil, "`NAME` or ID of a saved connector, or LABEL=NAME; may be repeated")
	f.StringArrayVar(&o.run.tools, "tool", nil, "`LABEL:NAME` of a tool that may be called; may be repeated")
	// The flag was called as the API's member is, before it was called as that of "perdure batch run" is.
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "completion-window" {
			name = "window"
		}
		return pflag.NormalizedName(name)
	})
	cmd.MarkFlagsMutuallyExclusive("request", "batch-file")
	cmd.MarkFlagsMutuallyExclusive("request", "window")
	for _, flag := range promptFlags {
		cmd.MarkFlagsMutuallyExclusive("request", flag)
		cmd.MarkFlagsMutuallyExclusive("batch-file", flag)
	}
	register(cmd, "model", completeModels)
	register(cmd, "connector", completeConnectors)
	registerWords(cmd, "overlap", overlaps...)
	registerWords(cmd, "cron", "@hourly", "@daily", "@weekly", "@monthly", "@yearly")
	for _, flag := range []string{
		"time-zone", "every", "offset", "starts", "ends", "jitter", "catchup", "name", "note", "metadata", "window", "instructions", "conversation",
		"max-steps", "mcp", "tool", "batch-file",
	} {
		register(cmd, flag, noFiles)
	}
}

var overlaps = []string{"skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"}

// terms are what the flags that are set say of a schedule, but for what it starts, as the API has it.
func (o *scheduleOptions) terms(cmd *cobra.Command) (map[string]any, error) {
	body := map[string]any{}
	for _, v := range []struct {
		flag, member string
		value        any
	}{
		{"name", "name", o.name},
		{"note", "note", o.note},
		{"time-zone", "time_zone", o.timeZone},
		{"overlap", "overlap", o.overlap},
		{"pause-on-failure", "pause_on_failure", o.pauseOnFailure},
		{"paused", "paused", o.paused},
		{"metadata", "metadata", o.metadata},
		{"cron", "cron", slices.DeleteFunc(slices.Clone(o.cron), func(c string) bool { return c == "" })},
	} {
		if cmd.Flags().Changed(v.flag) {
			body[v.member] = v.value
		}
	}
	for _, d := range []struct {
		flag, member string
		value        time.Duration
	}{
		{"every", "interval", o.every}, {"offset", "offset", o.offset}, {"jitter", "jitter", o.jitter}, {"catchup", "catchup_window", o.catchup},
	} {
		if d.value < 0 || d.value%time.Second != 0 {
			return nil, usageError("--%s must be in whole seconds, such as 90s or 1h", d.flag)
		}
		if cmd.Flags().Changed(d.flag) {
			body[d.member] = int64(d.value / time.Second)
		}
	}
	for _, t := range []struct{ flag, member, value string }{{"starts", "starts_at", o.starts}, {"ends", "ends_at", o.ends}} {
		if !cmd.Flags().Changed(t.flag) {
			continue
		}
		if t.value == "" { // no time
			body[t.member] = 0
			continue
		}
		at, err := parseMoment(t.value)
		if err != nil {
			return nil, usageError("--%s %w", t.flag, err)
		}
		body[t.member] = at.Unix()
	}
	return body, nil
}

// target puts into the request what the schedule is to start.
func (o *scheduleOptions) target(s *session, args []string, body map[string]any) error {
	switch {
	case (o.batchFile != "" || o.requestFile != "") && len(args) > 0:
		return usageError("a prompt, --request and --batch-file exclude each other")
	case o.batchFile == "" && s.cmd.Flags().Changed("window"):
		return usageError("--window is for --batch-file")
	case o.batchFile != "":
		body["batch"] = map[string]any{"input_file_id": o.batchFile, "endpoint": batch.Endpoint, "completion_window": o.window}
		return nil
	case o.requestFile != "":
		text, err := s.readPrompt(o.requestFile)
		if err != nil {
			return err
		}
		if !json.Valid([]byte(text)) {
			return fmt.Errorf("%s is not valid JSON", o.requestFile)
		}
		body["request"] = json.RawMessage(text)
		return nil
	}
	request, err := o.run.request(s, args)
	if err != nil {
		return err
	}
	request.Stream = false
	body["request"] = request
	return nil
}

// parseMoment reads a date or a time.
func parseMoment(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	at, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return at, fmt.Errorf("must be a date such as 2030-01-31, or a time such as 2030-01-31T12:00:00Z")
	}
	return at, nil
}
