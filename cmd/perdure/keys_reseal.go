package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"perdure/config"
	"perdure/starter"
)

func newKeysReseal() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Encrypt the database's secrets and schedules anew with the primary key",
		Long: `Encrypt the secrets in the database anew with the primary key, where an older key did: values of connectors, authorizations,
OAuth clients. With encryption.payloads, do the same with the schedules, which Temporal keeps. After that the older key is not needed for
them any more. It may run beside the other processes, and may be interrupted and repeated. What else older keys encrypted,
docs/encryption.md says.`,
		Args: cobra.NoArgs,
	}
	schedules := cmd.Flags().Bool("schedules", false, "do so with schedules or, as --schedules=false, do not (default: what encryption.payloads says)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		lost, err := resealDatabase(cmd)
		if err != nil {
			return fmt.Errorf("%w (what was done stays done: repeat the command)", err)
		}
		byDefault := !cmd.Flags().Changed("schedules")
		if byDefault {
			*schedules = c.Encryption.Payloads
		}
		var failed error
		if *schedules {
			var more []string
			more, failed = resealSchedules(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
			lost = append(lost, more...)
		} else if byDefault {
			fmt.Fprintln(cmd.ErrOrStderr(), "schedules were not looked at (--schedules does, if they were encrypted at some time)")
		}
		for _, place := range lost {
			fmt.Fprintln(cmd.ErrOrStderr(), "cannot be decrypted:", place)
		}
		if failed != nil {
			return fmt.Errorf("the schedules in Temporal: %w (what was done stays done: repeat the command)", failed)
		}
		if len(lost) > 0 {
			return fmt.Errorf("%d values cannot be decrypted with this keyset: enable the key that they need (perdure keys enable), or enter them again",
				len(lost))
		}
		return nil
	}
	return cmd
}

// resealDatabase returns the places of what cannot be decrypted.
func resealDatabase(cmd *cobra.Command) ([]string, error) {
	s, err := openStoreAt(cmd)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	done, err := s.Reseal(cmd.Context())
	fmt.Fprintf(cmd.OutOrStdout(), "%d values looked at, %d encrypted anew\n", done.Looked, done.Sealed)
	return done.Lost, err
}

// resealSchedules returns the IDs of schedules that cannot be decrypted.
func resealSchedules(ctx context.Context, c config.Config, out, log io.Writer) ([]string, error) {
	logger := newLogger(c.Log, log)
	sealer, err := openSealer(c, logger)
	if err != nil {
		return nil, err
	}
	// The payloads of schedules are read and written apart from the client, which would take them for those of workflows.
	temporal, err := dialTemporal(c.Temporal, nil, logger)
	if err != nil {
		return nil, err
	}
	defer temporal.Close()
	done, err := starter.ResealSchedules(ctx, temporal, namespaceOf(c.Temporal), sealer)
	fmt.Fprintf(out, "%d schedules looked at, %d encrypted anew\n", done.Looked, done.Sealed)
	return done.Lost, err
}
