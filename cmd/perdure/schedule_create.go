package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/batch"
)

// scheduleOptions are the flags of a new schedule.
type scheduleOptions struct {
	name, note, timeZone, overlap string
	cron                          []string
	every, jitter, catchup        time.Duration
	starts, ends                  string
	pauseOnFailure, paused        bool
	metadata                      map[string]string

	run         runOptions
	requestFile string
	batchFile   string
	window      string
}

// scheduleBody is a request for a schedule.
type scheduleBody struct {
	Name           string            `json:"name,omitempty"`
	Cron           []string          `json:"cron,omitempty"`
	TimeZone       string            `json:"time_zone,omitempty"`
	Interval       int64             `json:"interval,omitempty"`
	StartsAt       int64             `json:"starts_at,omitempty"`
	EndsAt         int64             `json:"ends_at,omitempty"`
	Jitter         int64             `json:"jitter,omitempty"`
	Overlap        string            `json:"overlap,omitempty"`
	CatchupWindow  int64             `json:"catchup_window,omitempty"`
	PauseOnFailure bool              `json:"pause_on_failure,omitempty"`
	Paused         bool              `json:"paused,omitempty"`
	Note           string            `json:"note,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Request        any               `json:"request,omitempty"`
	Batch          any               `json:"batch,omitempty"`
}

func newScheduleCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create [PROMPT]",
		Short: "Make a schedule",
		Long: `Make a schedule of a prompt, of a request in a file, or of a file of requests that was uploaded for batches. Whatever a run costs is
yours: it uses your connectors, and ends being started when you are no member any more.

The request stays with Temporal, so it may hold no secrets: save a connector, and name it with --connector.`,
		Example: "  perdure schedule create \"Summarize yesterday's tickets\" --cron \"0 7 * * 1-5\" --time-zone Europe/Berlin --connector tickets\n" +
			"  perdure schedule create --request request.json --every 1h --overlap buffer_one\n" +
			"  perdure schedule create --batch-file file-… --cron @daily --name nightly",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: noFiles,
	}
	var o scheduleOptions
	o.bind(cmd)
	cmd.RunE = withAPI(func(s *session, args []string) error {
		body, err := o.body(s, args)
		if err != nil {
			return err
		}
		answer, err := s.Do(s.ctx(), apiclient.Request{Method: http.MethodPost, Path: schedulesPath, Body: body, Key: uuid.NewString()})
		if err != nil {
			return err
		}
		return s.showSchedule(answer)
	})
	return cmd
}

func (o *scheduleOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.cron, "cron", nil, "`EXPRESSION` of minute, hour, day, month and weekday, or @hourly, @daily, @weekly, @monthly; may be repeated")
	f.StringVar(&o.timeZone, "time-zone", "", "`ZONE` of --cron, such as Europe/Berlin (default UTC)")
	f.DurationVar(&o.every, "every", 0, "`TIME` between two runs, such as 1h")
	f.StringVar(&o.starts, "starts", "", "first `TIME` at which it may run, such as 2030-01-31 or 2030-01-31T12:00:00Z")
	f.StringVar(&o.ends, "ends", "", "last `TIME` at which it may run")
	f.DurationVar(&o.jitter, "jitter", 0, "begin each run up to `TIME` later")
	f.StringVar(&o.overlap, "overlap", "", "`WHAT` becomes of a run whose time comes while one is under way: "+strings.Join(overlaps, ", ")+" (default skip)")
	f.DurationVar(&o.catchup, "catchup", 0, "how late a run may begin whose time came during an outage (default 1h)")
	f.BoolVar(&o.pauseOnFailure, "pause-on-failure", false, "pause when a run fails")
	f.BoolVar(&o.paused, "paused", false, "begin paused")
	f.StringVar(&o.name, "name", "", "`NAME` by which people know it")
	f.StringVar(&o.note, "note", "", "`TEXT` to leave with it")
	f.StringToStringVar(&o.metadata, "metadata", nil, "`KEY=VALUE` to keep with the schedule; may be repeated")
	f.StringVar(&o.requestFile, "request", "", "JSON `FILE` with what POST /v1/responses takes, in the place of a prompt; - is standard input")
	f.StringVar(&o.batchFile, "batch-file", "", "`ID` of an uploaded file of requests, in the place of a prompt")
	f.StringVar(&o.window, "completion-window", "24h", "`TIME` in which a batch is to be done")
	f.StringArrayVarP(&o.run.files, "file", "f", nil, "`FILE` whose text is added to the prompt; - is standard input; may be repeated")
	f.StringVarP(&o.run.model, "model", "m", "", "`MODEL` to ask, provider/model (default: the server's)")
	f.StringVarP(&o.run.instructions, "instructions", "i", "", "`TEXT` that the model is to obey")
	f.StringVar(&o.run.conversation, "conversation", "", "`ID` of a conversation to go on with and to add to")
	f.IntVar(&o.run.maxSteps, "max-steps", 0, "largest `NUMBER` of model turns (default: the server's)")
	f.StringArrayVar(&o.run.mcp, "mcp", nil, "`LABEL=URL` of an MCP server that needs no credentials; may be repeated")
	f.StringArrayVar(&o.run.connectors, "connector", nil, "`NAME` or ID of a saved connector, or LABEL=NAME; may be repeated")
	f.StringArrayVar(&o.run.tools, "tool", nil, "`LABEL:NAME` of a tool that may be called; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("request", "batch-file")
	cmd.MarkFlagsOneRequired("cron", "every")
	register(cmd, "model", completeModels)
	register(cmd, "connector", completeConnectors)
	registerWords(cmd, "overlap", overlaps...)
	registerWords(cmd, "cron", "@hourly", "@daily", "@weekly", "@monthly", "@yearly")
	for _, flag := range []string{
		"time-zone", "every", "starts", "ends", "jitter", "catchup", "name", "note", "metadata", "completion-window", "instructions", "conversation",
		"max-steps", "mcp", "tool", "batch-file",
	} {
		register(cmd, flag, noFiles)
	}
}

var overlaps = []string{"skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"}

// body builds the request that the flags describe.
func (o *scheduleOptions) body(s *session, args []string) (*scheduleBody, error) {
	body := &scheduleBody{
		Name: o.name, Cron: o.cron, TimeZone: o.timeZone, Overlap: o.overlap, PauseOnFailure: o.pauseOnFailure, Paused: o.paused, Note: o.note,
		Metadata: o.metadata,
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
		into  *int64
	}{{"every", o.every, &body.Interval}, {"jitter", o.jitter, &body.Jitter}, {"catchup", o.catchup, &body.CatchupWindow}} {
		if d.value < 0 || d.value%time.Second != 0 {
			return nil, usageError("--%s must be in whole seconds, such as 90s or 1h", d.flag)
		}
		*d.into = int64(d.value / time.Second)
	}
	for _, t := range []struct {
		flag, value string
		into        *int64
	}{{"starts", o.starts, &body.StartsAt}, {"ends", o.ends, &body.EndsAt}} {
		if t.value == "" {
			continue
		}
		at, err := parseMoment(t.value)
		if err != nil {
			return nil, usageError("--%s %w", t.flag, err)
		}
		*t.into = at.Unix()
	}
	err := o.target(s, args, body)
	return body, err
}

// target puts into the request what the schedule is to start.
func (o *scheduleOptions) target(s *session, args []string, body *scheduleBody) error {
	switch {
	case (o.batchFile != "" || o.requestFile != "") && (len(args) > 0 || len(o.run.files) > 0):
		return usageError("a prompt, --request and --batch-file exclude each other")
	case o.batchFile != "":
		body.Batch = map[string]string{"input_file_id": o.batchFile, "endpoint": batch.Endpoint, "completion_window": o.window}
		return nil
	case o.requestFile != "":
		text, err := s.readPrompt(o.requestFile)
		if err != nil {
			return err
		}
		if !json.Valid([]byte(text)) {
			return fmt.Errorf("%s is not valid JSON", o.requestFile)
		}
		body.Request = json.RawMessage(text)
		return nil
	}
	request, err := o.run.request(s, args)
	if err != nil {
		return err
	}
	request.Stream = false
	body.Request = request
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
