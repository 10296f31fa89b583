package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newKeysReseal() *cobra.Command {
	return &cobra.Command{
		Use:   "reseal",
		Short: "Encrypt the database's secrets anew with the primary key",
		Long: `Encrypt the secrets in the database anew with the primary key, where an older key did: values of connectors, authorizations,
OAuth clients. After that the older key is not needed for them any more. It may run beside the other processes, and may be
interrupted and repeated. What else older keys encrypted, docs/encryption.md says.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openStoreAt(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			done, err := s.Reseal(cmd.Context())
			fmt.Fprintf(cmd.OutOrStdout(), "%d values looked at, %d encrypted anew\n", done.Looked, done.Sealed)
			if err != nil {
				return fmt.Errorf("%w (what was done stays done: repeat the command)", err)
			}
			for _, place := range done.Lost {
				fmt.Fprintln(cmd.ErrOrStderr(), "cannot be decrypted:", place)
			}
			if len(done.Lost) > 0 {
				return fmt.Errorf("%d values cannot be decrypted with this keyset: enable the key that they need (perdure keys enable), or enter them again",
					len(done.Lost))
			}
			return nil
		},
	}
}
