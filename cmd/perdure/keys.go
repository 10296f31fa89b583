package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"perdure/config"
	"perdure/internal/secret"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List and change the keys that encrypt what is stored",
		Long: `List and change the keys of the keyset. One of them, the primary key, encrypts; all that are enabled decrypt. Whatever is
encrypted names its key, so that keys can be changed while runs are under way.

The keyset is the one of the configuration. If that is a file, it is changed in place, and the processes that use it follow
within seconds. If it comes from an environment variable, the changed keyset is written to a file, for you to put where the
variable comes from.`,
		Example: "  perdure keys list --data /var/lib/perdure\n  perdure keys rotate --config perdure.yaml",
	}
	group(cmd, newKeysList(), newKeysRotate(), newKeysReseal(), newKeysDisable(), newKeysEnable(), newKeysDrop())
	for _, sub := range cmd.Commands() {
		bind(sub.Flags(), "data", "data.dir", "`DIR` that holds the keyset, if the configuration names none")
		if sub.Name() != "list" && sub.Name() != "reseal" {
			sub.Flags().String("out", "", "`FILE` to write the changed keyset to, if it comes from a variable; it must not be there yet")
		}
	}
	return cmd
}

func newKeysList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			keys, times, err := readKeys(c)
			if err != nil {
				return err
			}
			return printKeys(cmd.OutOrStdout(), keys, times, time.Now())
		},
	}
}

// readKeys returns the keyset of the configuration, and what is known of its keys' times.
func readKeys(c config.Config) (*secret.Keyset, map[uint32]secret.KeyTimes, error) {
	if !c.Secrets.Keyset.IsZero() {
		keys, err := secret.ReadKeyset([]byte(c.Secrets.Keyset.Reveal()))
		return keys, nil, err
	}
	if err := requireKeysetFile(c); err != nil {
		return nil, nil, err
	}
	return secret.ReadKeysetFile(c.KeysetFile())
}

func requireKeysetFile(c config.Config) error {
	if c.Secrets.KeysetFile == "" && c.Data.Dir == "" {
		return errors.New("there is no keyset: set secrets.keyset_file, secrets.keyset_env or data.dir (PERDURE_DATA_DIR, --data)")
	}
	return nil
}

func printKeys(w io.Writer, keyset *secret.Keyset, times map[uint32]secret.KeyTimes, now time.Time) error {
	keys, err := keyset.Keys()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tSTATUS\tUSE\tMADE\tREPLACED")
	sealing := false // the primary key has been listed
	for _, key := range keys {
		status, use := "enabled", "decrypts"
		switch {
		case key.Primary:
			use, sealing = "primary: encrypts and decrypts", true
		case !key.Enabled:
			status, use = "disabled", "none"
		case sealing:
			use = "prepared: decrypts, to be promoted"
		}
		t := times[key.ID]
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", key.ID, status, use, since(t.Made, now, "unknown"), since(t.Replaced, now, "-"))
	}
	return table.Flush()
}

// since is a time with how long ago that is.
func since(t, now time.Time, otherwise string) string {
	if t.IsZero() {
		return otherwise
	}
	ago := now.Sub(t)
	if ago < 48*time.Hour {
		return fmt.Sprintf("%s (%v ago)", t.Format(time.DateTime), ago.Truncate(time.Minute))
	}
	return fmt.Sprintf("%s (%d days ago)", t.Format(time.DateTime), ago/(24*time.Hour))
}

func newKeysRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Add a key and make it the primary one",
		Long: `Add a key and make it the primary one, which encrypts from then on. What the earlier keys encrypted stays readable.

Where all processes use one and the same file, this is one step. Where each has a copy of the keyset, or gets it from a
variable, a process that did not have the new key yet could not read what the others write. Then do it in two: --prepare adds
the key without using it; give the changed keyset to all processes; then --promote, and give it to them again.`,
		Example: "  perdure keys rotate --data /var/lib/perdure\n" +
			"  perdure keys rotate --prepare --out keyset.new.json   # the keyset comes from a variable",
		Args: cobra.NoArgs,
	}
	prepare := cmd.Flags().Bool("prepare", false, "only add the key; it decrypts, and does not encrypt yet")
	promote := cmd.Flags().Bool("promote", false, "only make the key that was prepared the primary one")
	cmd.MarkFlagsMutuallyExclusive("prepare", "promote")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return changeKeys(cmd, func(k *secret.Keyset, fixed bool) (string, error) {
			if fixed && !*prepare && !*promote {
				return "", errors.New("the keyset comes from a variable, so processes get a changed one at different times: " +
					"rotate it in two steps, first with --prepare, and with --promote when all processes have it")
			}
			return rotate(k, !*promote, !*prepare)
		})
	}
	return cmd
}

// rotate makes one or both of the steps, and returns what to tell.
func rotate(k *secret.Keyset, prepare, promote bool) (string, error) {
	if prepare {
		id, err := k.Prepare()
		if err != nil {
			return "", err
		}
		if !promote {
			return fmt.Sprintf("Key %d is prepared: it decrypts, and does not encrypt yet. When every process has this keyset, go on with\n"+
				"perdure keys rotate --promote.", id), nil
		}
	}
	primary, replaced, err := k.Promote()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Key %d is the primary one and encrypts from now on. Key %d still decrypts what it encrypted; keep it as long as that is\n"+
		"stored (docs/encryption.md says how long). perdure keys reseal encrypts the database's secrets, and schedules, anew.", primary, replaced), nil
}

func newKeysDisable() *cobra.Command {
	return &cobra.Command{
		Use:   "disable KEY",
		Short: "Stop using an old key; it can be enabled again",
		Args:  cobra.ExactArgs(1),
		RunE: changeKey(func(k *secret.Keyset, id uint32) (string, error) {
			return fmt.Sprintf("Key %d is disabled. %s\n\nIf anything misses it: perdure keys enable %d.", id, unreadable, id), k.Disable(id)
		}),
	}
}

func newKeysEnable() *cobra.Command {
	return &cobra.Command{
		Use:   "enable KEY",
		Short: "Use a disabled key again",
		Args:  cobra.ExactArgs(1),
		RunE: changeKey(func(k *secret.Keyset, id uint32) (string, error) {
			return fmt.Sprintf("Key %d is enabled: it decrypts what it encrypted.", id), k.Enable(id)
		}),
	}
}

func newKeysDrop() *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use:   "drop KEY",
		Short: "Remove a disabled key for ever",
		Args:  cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&sure, "yes", false, "remove it; without this flag the command only says what that means")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return changeKey(func(k *secret.Keyset, id uint32) (string, error) {
			if err := k.Drop(id); err != nil {
				return "", err
			}
			if !sure {
				return "", fmt.Errorf("key %d would be lost for ever. %s\n\nIf that is what you want, repeat the command with --yes", id, unreadable)
			}
			return fmt.Sprintf("Key %d is dropped. What it encrypted cannot be read any more by anyone who has no copy of it.", id), nil
		})(cmd, args)
	}
	return cmd
}

// unreadable is what a key's end means.
const unreadable = `From now on nobody can read what it encrypted:
- the addresses and credentials of MCP servers of runs that began while it was the primary key: their further calls fail
- with encryption.payloads, all else of such runs: their inputs, outputs and failures in Temporal, their streams, their large values
- with encryption.payloads, conversations that got items at that time, and batches that were under way then
- with encryption.payloads, schedules that were made or changed at that time, unless "perdure keys reseal" has run since: they start
  nothing any more
- files that were uploaded or written at that time, those that schedules start batches of among them
- compaction items that clients got at that time and send again
- secrets of connectors in the database, unless "perdure keys reseal" has run since`

// changeKey is changeKeys for one key, which the argument names.
func changeKey(change func(k *secret.Keyset, id uint32) (string, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return errors.New("a key is named by its number, as perdure keys list shows it")
		}
		return changeKeys(cmd, func(k *secret.Keyset, _ bool) (string, error) { return change(k, uint32(id)) })
	}
}

// changeKeys changes the keyset where it is, or in a copy if it does not come from a file, and prints what change returns.
func changeKeys(cmd *cobra.Command, change func(k *secret.Keyset, fixed bool) (string, error)) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	out, err := cmd.Flags().GetString("out")
	if err != nil {
		return err
	}
	var told string
	if fixed := !c.Secrets.Keyset.IsZero(); fixed {
		told, err = changeCopy(c.Secrets, out, change)
	} else {
		told, err = changeFile(c, out, change)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), told)
	return err
}

func changeFile(c config.Config, out string, change func(*secret.Keyset, bool) (string, error)) (told string, err error) {
	if err := requireKeysetFile(c); err != nil {
		return "", err
	}
	if out != "" {
		return "", fmt.Errorf("--out is for a keyset that comes from a variable; this one is the file %s and is changed there", c.KeysetFile())
	}
	err = secret.ChangeKeysetFile(c.KeysetFile(), func(k *secret.Keyset) (err error) {
		told, err = change(k, false)
		return err
	})
	return told, err
}

func changeCopy(s config.Secrets, out string, change func(*secret.Keyset, bool) (string, error)) (string, error) {
	where := "secrets.keyset"
	if s.KeysetEnv != "" {
		where = "the variable " + s.KeysetEnv
	}
	keys, err := secret.ReadKeyset([]byte(s.Keyset.Reveal()))
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	told, err := change(keys, true)
	if err != nil {
		return "", err
	}
	if out == "" {
		return "", fmt.Errorf("the keyset comes from %s, which this command cannot change: name a file for the changed one with --out", where)
	}
	if err := keys.WriteNewFile(out); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s\n\nThe changed keyset is in %s. It is secret. Put it where %s gets its value, start the processes\n"+
		"again one after another, and delete the file.", told, out, where), nil
}
