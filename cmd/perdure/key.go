package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/identity"
	"perdure/internal/store"
)

func newKey() *cobra.Command {
	return storeGroup(&cobra.Command{
		Use:   "key",
		Short: "List, make and revoke the API keys of members",
		Long: `List, make and revoke the API keys of members, in the database of the configuration. Keys that the configuration itself has
are not among them. ("perdure keys" is about encryption.)`,
		Example: "  perdure key create laptop --user ada --organization acme --config perdure.yaml\n" +
			"  perdure key create ci --user ci --scopes responses --expires 2160h --data /var/lib/perdure",
	}, newKeyCreate(), newKeyList(), newKeyRevoke())
}

func newKeyCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an API key for a member and print it",
		Long: `Make an API key for a member and print it, alone on the first line of the output. It is shown this once: what is stored is
its hash.`,
		Example: "  perdure key create laptop --user ada --organization acme\n  perdure key create ci --user ci --scopes responses --expires 2160h",
		Args:    cobra.ExactArgs(1),
	}
	user := cmd.Flags().String("user", "", "the member (`USER`) whose key it is")
	// MarkFlagRequired fails only for a flag that does not exist.
	_ = cmd.MarkFlagRequired("user")
	scopeNames := cmd.Flags().String("scopes", identity.AllScopes.String(), "what the key is good for; without admin, an admin's key is a member's")
	lasts := cmd.Flags().Duration("expires", 0, "how long the key lasts, such as 2160h (default: until it is revoked)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		scopes, err := identity.ParseScopes(*scopeNames)
		if err != nil {
			return fmt.Errorf("--scopes: %w", err)
		}
		now := time.Now()
		var expires time.Time
		if cmd.Flags().Changed("expires") {
			expires = now.Add(*lasts)
		}
		return withStore(cmd, func(s *store.Store, by identity.Actor) error {
			key, text, err := identity.NewKey(by.Organization, *user, args[0], scopes, now, expires)
			if err != nil {
				return err
			}
			err = s.AddKey(cmd.Context(), by, key)
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("organization %q has no member %q: add one by perdure member add", by.Organization, *user)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nThis is the key %s of %s in %s, for: %s. It is not shown again.\n",
				text.Reveal(), key.ID, *user, by.Organization, scopes)
			return err
		})
	}
	return cmd
}

func newKeyList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the API keys, the newest first",
		Example: "  perdure key list --organization acme --user ada",
		Args:    cobra.NoArgs,
	}
	user := cmd.Flags().String("user", "", "only the keys of this member (`USER`)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, func(s *store.Store, by identity.Actor) error {
			now := time.Now()
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tUSER\tNAME\tKEY\tSCOPES\tSTATUS\tMADE\tLAST USED")
			for page := (store.Page{Limit: pageSize}); ; {
				keys, next, err := s.Keys(cmd.Context(), by.Organization, *user, page)
				if err != nil {
					return err
				}
				for _, k := range keys {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s…\t%s\t%s\t%s\t%s\n", k.ID, k.User, k.Name, k.Prefix, k.Scopes, keyStatus(k, now),
						since(k.Created, now, "unknown"), since(k.LastUsed, now, "never"))
				}
				if page.After = next; next == "" {
					return table.Flush()
				}
			}
		})
	}
	return cmd
}

func keyStatus(k identity.APIKey, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked"
	case !k.Usable(now):
		return "expired"
	case !k.Expires.IsZero():
		return "valid until " + k.Expires.Format(time.DateTime)
	default:
		return "valid"
	}
}

func newKeyRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "End an API key for good",
		Example: "  perdure key revoke key_… --organization acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(s *store.Store, by identity.Actor) error {
				err := s.RevokeKey(cmd.Context(), by, args[0])
				if errors.Is(err, store.ErrNotFound) {
					// Whoever gives the key itself by mistake does not find it in a log.
					return fmt.Errorf("organization %q has no valid key of that ID (key_…, as perdure key list shows it)", by.Organization)
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Key %s is revoked.\n", args[0])
				return err
			})
		},
	}
}
