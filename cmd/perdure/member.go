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

func newMember() *cobra.Command {
	return storeGroup(&cobra.Command{
		Use:   "member",
		Short: "List and change the members of an organization",
		Long: `List and change the members of an organization, in the database of the configuration. Whoever can run this is trusted with
all organizations: it asks for no key. What is done is in the organization's audit log, as the operator's.`,
		Example: "  perdure member add ada --organization acme --role admin --create-organization --config perdure.yaml\n" +
			"  perdure member list --organization acme --data /var/lib/perdure",
	}, newMemberAdd(), newMemberList(), newMemberRole(), newMemberRemove())
}

// storeGroup gives a command those below it, which work on an organization in the database.
func storeGroup(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	group(cmd, below...)
	for _, sub := range below {
		bind(sub.Flags(), "data", "data.dir", "`DIR` that holds the database and the keyset, if the configuration names none")
		sub.Flags().String("organization", identity.DefaultOrganization, "`NAME` of the organization")
	}
	return cmd
}

// withStore runs a command on the organization that its flag names, which must be there.
func withStore(cmd *cobra.Command, do func(s *store.Store, by identity.Actor) error) error {
	s, by, err := storeOf(cmd)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Organization(cmd.Context(), by.Organization)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no organization %q", by.Organization)
	}
	if err != nil {
		return err
	}
	return do(s, by)
}

func storeOf(cmd *cobra.Command) (*store.Store, identity.Actor, error) {
	organization, err := cmd.Flags().GetString("organization")
	if err != nil {
		return nil, identity.Actor{}, err
	}
	s, err := openStoreAt(cmd)
	return s, identity.Operator(organization), err
}

func newMemberAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add USER",
		Short: "Add a member",
		Long: `Add a member. USER is the name by which runs and connectors are theirs; it never changes. A member's key is made by
"perdure key create".`,
		Example: "  perdure member add ada --organization acme --role admin --create-organization\n" +
			"  perdure member add bob --organization acme --email bob@acme.example",
		Args: cobra.ExactArgs(1),
	}
	roleName := cmd.Flags().String("role", string(identity.Member), "`ROLE`: member, or admin, who manages members, keys and connectors")
	email := cmd.Flags().String("email", "", "e-mail `ADDRESS`, by which a sign-in finds the member")
	create := cmd.Flags().Bool("create-organization", false, "make the organization if it is not there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		role, err := identity.ParseRole(*roleName)
		if err != nil {
			return fmt.Errorf("--role: %w", err)
		}
		address, err := identity.ParseEmail(*email)
		if err != nil {
			return fmt.Errorf("--email: %w", err)
		}
		s, by, err := storeOf(cmd)
		if err != nil {
			return err
		}
		defer s.Close()
		if *create {
			if _, err := s.EnsureOrganization(cmd.Context(), by); err != nil {
				return err
			}
		}
		u, err := s.AddMember(cmd.Context(), by, args[0], address, role)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("there is no organization %q: --create-organization makes it", by.Organization)
		case errors.Is(err, store.ErrConflict):
			return fmt.Errorf("organization %q has a member of that name or e-mail address already", by.Organization)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s of %s.\n", u.ID, article(u.Role), u.Organization)
		return err
	}
	return cmd
}

func article(role identity.Role) string {
	if role == identity.Admin {
		return "an admin"
	}
	return "a member"
}

func newMemberList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the members, the newest first",
		Example: "  perdure member list --organization acme",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(s *store.Store, by identity.Actor) error {
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "USER\tROLE\tEMAIL\tADDED")
				for page := (store.Page{Limit: pageSize}); ; {
					members, next, err := s.Members(cmd.Context(), by.Organization, page)
					if err != nil {
						return err
					}
					for _, u := range members {
						fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.ID, u.Role, orDash(u.Email), u.Created.Format(time.DateTime))
					}
					if page.After = next; next == "" {
						return table.Flush()
					}
				}
			})
		},
	}
}

// pageSize is how many rows a command reads at a time; it prints all.
const pageSize = 200

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func newMemberRole() *cobra.Command {
	return &cobra.Command{
		Use:     "role USER ROLE",
		Short:   "Make a member an admin, or an admin a member",
		Example: "  perdure member role bob admin --organization acme",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := identity.ParseRole(args[1])
			if err != nil {
				return fmt.Errorf("the role %w", err)
			}
			return withStore(cmd, func(s *store.Store, by identity.Actor) error {
				if err := explainMember(s.SetRole(cmd.Context(), by, args[0], role), by.Organization, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is %s of %s.\n", args[0], article(role), by.Organization)
				return err
			})
		},
	}
}

func newMemberRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "remove USER",
		Short:   "Remove a member, with their keys, authorizations and individual connectors",
		Example: "  perdure member remove bob --organization acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(s *store.Store, by identity.Actor) error {
				if err := explainMember(s.RemoveMember(cmd.Context(), by, args[0]), by.Organization, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is no member of %s any more.\n", args[0], by.Organization)
				return err
			})
		},
	}
}

func explainMember(err error, organization, user string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("organization %q has no member %q", organization, user)
	case errors.Is(err, store.ErrLastAdmin):
		return fmt.Errorf("%q is the only admin of organization %q: make another member an admin first", user, organization)
	default:
		return err
	}
}
