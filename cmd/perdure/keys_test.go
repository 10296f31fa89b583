package main

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

var keyRow = regexp.MustCompile(`(?m)^(\d+) +(\S+) +(.*?)  +`)

// keysOf runs "perdure keys list", and returns the IDs, the oldest first, and what it says of them.
func keysOf(t *testing.T, args ...string) (ids, says []string) {
	t.Helper()
	code, out, errs := perdure(t.Context(), append([]string{"keys", "list"}, args...)...)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, stderr %q", code, errs)
	}
	for _, row := range keyRow.FindAllStringSubmatch(out, -1) {
		ids, says = append(ids, row[1]), append(says, row[2]+", "+row[3])
	}
	return ids, says
}

// change runs "perdure keys" with what shall succeed, and returns what it says.
func change(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := perdure(t.Context(), append([]string{"keys"}, args...)...)
	if code != 0 || errs != "" {
		t.Fatalf("perdure keys %v: exit %d, stderr %q", args, code, errs)
	}
	return out
}

// refuse runs "perdure keys" with what shall fail, and checks what it says.
func refuse(t *testing.T, want string, args ...string) {
	t.Helper()
	code, out, errs := perdure(t.Context(), append([]string{"keys"}, args...)...)
	if code == exitOK || out != "" || !strings.Contains(errs, want) {
		t.Errorf("perdure keys %v: exit %d, stdout %q, stderr %q, want %q", args, code, out, errs, want)
	}
}

func requireSays(t *testing.T, want []string, args ...string) []string {
	t.Helper()
	ids, says := keysOf(t, args...)
	if diff := cmp.Diff(want, says); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	return ids
}

const (
	primaryKey  = "enabled, primary: encrypts and decrypts"
	oldKey      = "enabled, decrypts"
	preparedKey = "enabled, prepared: decrypts, to be promoted"
	disabledKey = "disabled, none"
)

func TestKeysOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refuse(t, "no such file", "list", "--data", dir)
	refuse(t, "no such file", "rotate", "--data", dir)
	if _, err := os.Stat(filepath.Join(dir, "keyset.json")); !os.IsNotExist(err) {
		t.Errorf("to look at a keyset has made one: %v", err)
	}
	if _, err := secret.OpenKeysetFile(filepath.Join(dir, "keyset.json"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	first := requireSays(t, []string{primaryKey}, "--data", dir)[0]
	refuse(t, "no key is prepared", "rotate", "--promote", "--data", dir)
	refuse(t, "is the primary one", "disable", first, "--data", dir)

	if out := change(t, "rotate", "--data", dir); !strings.Contains(out, "Key "+first+" still decrypts") {
		t.Errorf("rotate says %s", out)
	}
	second := requireSays(t, []string{oldKey, primaryKey}, "--data", dir)[1]
	if out := change(t, "rotate", "--prepare", "--data", dir); !strings.Contains(out, "rotate --promote") {
		t.Errorf("rotate --prepare says %s", out)
	}
	requireSays(t, []string{oldKey, primaryKey, preparedKey}, "--data", dir)
	refuse(t, "is prepared already", "rotate", "--data", dir)
	change(t, "rotate", "--promote", "--data", dir)
	requireSays(t, []string{oldKey, oldKey, primaryKey}, "--data", dir)

	refuse(t, "disable it first", "drop", first, "--yes", "--data", dir)
	for _, args := range [][]string{{"disable", first}, {"enable", first}, {"disable", first}} {
		out := change(t, append(args, "--data", dir)...)
		for _, want := range []string{"nobody can read what it encrypted", "schedules", "batches", "perdure keys enable " + first} {
			if args[0] == "disable" && !strings.Contains(out, want) {
				t.Errorf("disable does not say %q: %s", want, out)
			}
		}
	}
	requireSays(t, []string{disabledKey, oldKey, primaryKey}, "--data", dir)
	refuse(t, "would be lost for ever", "drop", first, "--data", dir)
	change(t, "drop", first, "--yes", "--data", dir)
	if ids := requireSays(t, []string{oldKey, primaryKey}, "--data", dir); ids[0] != second {
		t.Errorf("the keys are %v", ids)
	}
	refuse(t, "has no key", "disable", first, "--data", dir)
	refuse(t, "named by its number", "disable", "4294967296", "--data", dir)
	refuse(t, "--out is for a keyset that comes from a variable", "rotate", "--out", filepath.Join(dir, "x"), "--data", dir)
	refuse(t, "none of the others can be", "rotate", "--prepare", "--promote", "--data", dir)
}

func TestKeysOfAVariable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyset, err := secret.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	// configured is a configuration that holds a keyset.
	configured := func(keyset []byte) string {
		text, err := json.Marshal(string(keyset))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "perdure.yaml")
		if err := os.WriteFile(file, append([]byte("secrets:\n  keyset: "), text...), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config, out := configured(keyset), filepath.Join(dir, "new.json")
	requireSays(t, []string{primaryKey}, "--config", config)
	refuse(t, "rotate it in two steps", "rotate", "--out", out, "--config", config)
	refuse(t, "name a file for the changed one with --out", "rotate", "--prepare", "--config", config)
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a file was written: %v", err)
	}
	if said := change(t, "rotate", "--prepare", "--out", out, "--config", config); !strings.Contains(said, out) || !strings.Contains(said, "delete the file") {
		t.Errorf("rotate --prepare says %s", said)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the new keyset: %v, %v", info, err)
	}
	refuse(t, "file exists", "rotate", "--prepare", "--out", out, "--config", config)
	requireSays(t, []string{primaryKey}, "--config", config)
	prepared, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	config = configured(prepared)
	requireSays(t, []string{primaryKey, preparedKey}, "--config", config)
	change(t, "rotate", "--promote", "--out", out+".2", "--config", config)
	promoted, err := os.ReadFile(out + ".2")
	if err != nil {
		t.Fatal(err)
	}
	requireSays(t, []string{oldKey, primaryKey}, "--config", configured(promoted))
}

func TestSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for want, at := range map[string]time.Time{
		"unknown":                           {},
		"2026-03-04 05:06:07 (0s ago)":      now,
		"2026-03-03 05:06:07 (24h0m0s ago)": now.Add(-24 * time.Hour),
		"2026-02-22 05:06:07 (10 days ago)": now.Add(-10 * 24 * time.Hour),
	} {
		if got := since(at, now, "unknown"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
