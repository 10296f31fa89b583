package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
)

func newScheduleUpdate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update ID [PROMPT]",
		Short: "Change a schedule",
		Long: `Change a schedule: what no flag names stays. For whoever made it; admins may change all but what it starts, which is a run of the one who
made it.

A prompt, --request or --batch-file replace what it starts, with all that belongs to that: --model and --connector count again. --cron replaces all
expressions. --cron "" takes them away, --every 0 the interval, --starts "" and --ends "" the times.`,
		Example: "  perdure schedule update sched_… --cron \"0 8 * * 1-5\" --every 0\n" +
			"  perdure schedule update sched_… \"Summarize the last two days\" --connector tickets",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: once(completeSchedules),
	}
	var o scheduleOptions
	o.bind(cmd)
	cmd.RunE = withAPI(func(s *session, args []string) error {
		body, err := o.terms(cmd)
		if err != nil {
			return err
		}
		if len(args) > 1 || o.requestFile != "" || o.batchFile != "" || len(o.run.files) > 0 {
			if err := o.target(s, args[1:], body); err != nil {
				return err
			}
		} else if flag := changedOf(cmd, append([]string{"window"}, promptFlags...)); flag != "" {
			return usageError("--%s alone changes nothing: give the whole of what is to be started, with a prompt, --request or --batch-file", flag)
		}
		if len(body) == 0 {
			return usageError("there is nothing to change: name it by flags, or give a prompt")
		}
		answer, err := s.Do(s.ctx(), apiclient.Request{Method: http.MethodPatch, Path: schedulePath(args[0]), Body: body, Repeatable: true})
		if err != nil {
			return err
		}
		return s.showSchedule(answer)
	})
	return cmd
}

// changedOf returns the first of some flags that the command line has; empty without one.
func changedOf(cmd *cobra.Command, flags []string) string {
	for _, flag := range flags {
		if cmd.Flags().Changed(flag) {
			return flag
		}
	}
	return ""
}
