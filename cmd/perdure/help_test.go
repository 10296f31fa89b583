package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestHelpOfClients: every command that calls the API has an example, JSON for programs, a completion of its arguments, and says of each
// flag with a value what it is.
func TestHelpOfClients(t *testing.T) {
	t.Parallel()
	clients := 0
	eachCommand(newRoot(), func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("api-key-file") == nil {
			return
		}
		clients++
		name := cmd.CommandPath()
		if !strings.Contains(cmd.Example, "perdure ") {
			t.Errorf("%s has no example", name)
		}
		if cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", name)
		}
		// A file is what shells offer by themselves.
		if cmd.ValidArgsFunction == nil && !strings.Contains(cmd.Use, "FILE") {
			t.Errorf("%s completes no arguments", name)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if value, usage := pflag.UnquoteUsage(f); value == "string" || value == "strings" || value == "stringToString" || usage == "" {
				t.Errorf("%s --%s does not say what its value is", name, f.Name)
			}
		})
		code, out, errs := perdure(t.Context(), append(strings.Fields(name)[1:], "--help")...)
		if code != 0 || errs != "" || !strings.Contains(out, "Examples:") {
			t.Errorf("%s --help: exit %d, %q\n%s", name, code, errs, out)
		}
	})
	if clients < 30 {
		t.Errorf("%d commands call the API", clients)
	}
}

// TestSecretsAreNoArguments: no flag takes a secret itself.
func TestSecretsAreNoArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"run", "x", "--mcp", "s=https://h/", "--authorization", "s=hunter2"},
		{"run", "x", "--mcp", "s=https://h/", "--header", "s:X-Key=hunter2"},
		{"run", "x", "--mcp", "hunter2"},
		{"connector", "update", "conn_1", "--token", "hunter2"},
		{"connector", "update", "conn_1", "--client-secret", "hunter2"},
		{"connector", "update", "conn_1", "--cloudflare-id", "hunter2"},
		{"connector", "update", "conn_1", "--header", "X-Key=hunter2"},
		{"connector", "update", "conn_1", "--header", "hunter2"},
	} {
		code, out, errs := perdure(t.Context(), append(args, "--server", "http://127.0.0.1:1")...)
		if code != exitUsage || strings.Contains(out+errs, "hunter2") || !strings.Contains(errs, args[len(args)-2]) {
			t.Errorf("perdure %v: exit %d, %q", args[:len(args)-1], code, out+errs)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	if got := count(1, "line") + " " + count(2, "line"); got != "1 line 2 lines" {
		t.Error(got)
	}
	for name, want := range map[string]string{
		"Acme CRM": "acme-crm", "conn_12": "conn_12", "  Ünïcode! ": "n-code", "日本": "connector", strings.Repeat("a", 99): strings.Repeat("a", 32),
	} {
		if got := labelOf(name); got != want || !serverLabel.MatchString(got) {
			t.Errorf("%q has the label %q, want %q", name, got, want)
		}
	}
}
