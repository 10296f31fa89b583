package main

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
)

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
	cmd.MarkFlagsOneRequired("cron", "every")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		body, err := o.terms(cmd)
		if err == nil {
			err = o.target(s, args, body)
		}
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
