package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"perdure/config"
)

// perdure runs a command line and returns its exit code and what it printed.
func perdure(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	code, out, errs := perdure(t.Context(), "--help")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, stderr %q", code, errs)
	}
	_, commands, _ := strings.Cut(out, "Use a server:\n")
	commands, _, _ = strings.Cut(commands, "\n\nFlags:")
	const want = `  batch       Send thousands of requests, and see to them
  connector   Save remote MCP servers, and see to those that are saved
  file        Upload files of requests, and see to files
  models      List the models that runs can name
  responses   List, show, watch, cancel and delete responses
  run         Ask a model, with tools of MCP servers, and watch it work
  schedule    Make responses and batches start by themselves, again and again

Operate one:
  deployment  See to the versions of workers: who gets new runs, and who is still needed
  dev         Run everything on this machine, with nothing else installed
  healthcheck Exit with 0 if a GET of the URL answers 200
  key         List, make and revoke the API keys of members
  keys        List and change the keys that encrypt what is stored
  member      List and change the members of an organization
  migrate     Bring the database up to date, and register the search attributes of runs
  starter     Serve the HTTP API against a Temporal server
  worker      Carry out runs from a Temporal server

Additional Commands:
  completion  Generate the autocompletion script for the specified shell
  help        Help about any command`
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	for _, command := range newRoot().Commands() {
		if command.Example == "" && command.Name() != "migrate" {
			t.Errorf("%s has no example", command.Name())
		}
		code, out, _ := perdure(t.Context(), command.Name(), "--help")
		if code != 0 || !strings.Contains(out, "--config FILE") {
			t.Errorf("perdure %s --help: exit %d with\n%s", command.Name(), code, out)
		}
	}
}

// TestHelpOfMembersAndKeys: each of what works on the database has an example. Those of clients are in TestHelpOfClients.
func TestHelpOfMembersAndKeys(t *testing.T) {
	t.Parallel()
	for _, group := range []*cobra.Command{newMember(), newKey()} {
		eachCommand(group, func(cmd *cobra.Command) {
			if !strings.Contains(cmd.Example, "  perdure "+group.Name()+" ") {
				t.Errorf("%s has no example", cmd.CommandPath())
			}
		})
	}
}

func TestCommandLineErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	typo := filepath.Join(dir, "typo.yaml")
	if err := os.WriteFile(typo, []byte("htpp:\n  address: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"unknown command", []string{"strater"}, 2, []string{`unknown command "strater"`}},
		{"unknown flag", []string{"dev", "--prot", "1"}, 2, []string{"unknown flag: --prot"}},
		{"argument", []string{"starter", "now"}, 2, []string{`unknown command "now"`}},
		{"no such file", []string{"worker", "--config", filepath.Join(dir, "none.yaml")}, 1, []string{"none.yaml"}},
		{"typo in the file", []string{"worker", "--config", typo}, 1, []string{"typo.yaml", "htpp", "http"}},
		{"bad address", []string{"starter", "--http", "8080"}, 1, []string{"http.address: must be host:port"}},
		{"nobody could use it", []string{"starter"}, 1, []string{"auth.api_keys", "name at least one key"}},
		{"worker without an event log", []string{"worker", "--data", dir}, 1, []string{"events.url: is not set", "PERDURE_EVENTS_URL"}},
		{"health of nobody", []string{"healthcheck", "http://127.0.0.1:1/"}, 1, []string{"connection refused"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := perdure(t.Context(), tt.args...)
			if code != tt.code || out != "" || !strings.HasPrefix(errs, "perdure: ") {
				t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("stderr %q does not say %q", errs, want)
				}
			}
		})
	}
}

func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if code, _, errs := perdure(ctx, "healthcheck", "http://127.0.0.1:1/"); code != 0 || errs != "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	// An interruption does not hide what was wrong before it.
	if code, _, errs := perdure(ctx, "strater"); code != 2 || errs == "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{http.StatusOK: 0, http.StatusServiceUnavailable: 1, http.StatusNoContent: 1} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		code, _, errs := perdure(t.Context(), "healthcheck", server.URL)
		if code != want || (errs == "") != (want == 0) {
			t.Errorf("HTTP %d: exit %d, stderr %q", status, code, errs)
		}
		server.Close()
	}
}

// loaded is the configuration that a command line gives.
func loaded(t *testing.T, cmd *cobra.Command, args ...string) config.Config {
	t.Helper()
	root := newRoot()
	root.AddCommand(cmd)
	var c config.Config
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		c, err = loadConfig(cmd)
		return err
	}
	for _, other := range root.Commands() {
		if other != cmd && other.Name() == cmd.Name() {
			root.RemoveCommand(other)
		}
	}
	root.SetArgs(append([]string{cmd.Name()}, args...))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFlagsAreConfiguration(t *testing.T) {
	for _, tt := range []struct {
		command func() *cobra.Command
		flag    string
		read    func(config.Config) string
	}{
		{newDev, "http", func(c config.Config) string { return c.HTTP.Address }},
		{newDev, "data", func(c config.Config) string { return c.Data.Dir }},
		{newStarter, "http", func(c config.Config) string { return c.HTTP.Address }},
		{newStarter, "data", func(c config.Config) string { return c.Data.Dir }},
		{newWorker, "data", func(c config.Config) string { return c.Data.Dir }},
	} {
		const fromFlag, fromEnvironment, fromFile = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"
		name := tt.command().Name() + " --" + tt.flag
		section := map[string]string{"http": "http:\n  address: ", "data": "data:\n  dir: "}[tt.flag]
		variable := map[string]string{"http": "PERDURE_HTTP_ADDRESS", "data": "PERDURE_DATA_DIR"}[tt.flag]
		file := filepath.Join(t.TempDir(), "perdure.yaml")
		if err := os.WriteFile(file, []byte(section+fromFile+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tt.read(loaded(t, tt.command(), "--config", file)); got != fromFile {
			t.Errorf("%s: %q from the file", name, got)
		}
		t.Setenv(variable, fromEnvironment)
		if got := tt.read(loaded(t, tt.command(), "--config", file)); got != fromEnvironment {
			t.Errorf("%s: %q from the environment over the file", name, got)
		}
		if got := tt.read(loaded(t, tt.command(), "--config", file, "--"+tt.flag, fromFlag)); got != fromFlag {
			t.Errorf("%s: %q from the flag over the others", name, got)
		}
		os.Unsetenv(variable)
	}
}

// Every flag that stands for a key does so for one that exists; a misspelt key would fail only when the flag is used.
func TestEveryBoundFlagHasAKey(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("pd_key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"http.address": "127.0.0.1:0", "data.dir": "d", "client.url": "http://127.0.0.1:1", "client.api_key_file": key,
	}
	bound := map[string]int{}
	eachCommand(newRoot(), func(command *cobra.Command) {
		command.Flags().VisitAll(func(f *pflag.Flag) {
			for _, key := range f.Annotations[keyAnnotation] {
				bound[key]++
				if _, err := config.Load(config.Options{Flags: map[string]string{key: values[key]}}); err != nil {
					t.Errorf("%s --%s: %v", command.CommandPath(), f.Name, err)
				}
			}
		})
	})
	for key := range values {
		if bound[key] < 2 {
			t.Errorf("%d flags stand for %s", bound[key], key)
		}
	}
}

// eachCommand visits a command and all below it.
func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, do)
	}
}

func TestTakenAddress(t *testing.T) {
	t.Parallel()
	l, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	if _, err := listen(address); text(err) != address+" is already in use; choose another address with --http" {
		t.Errorf("error %v", err)
	}
	if _, err := listen("127.0.0.1:http-no-such"); err == nil {
		t.Error("no error from an address that does not exist")
	}
	if _, err := net.Dial("tcp", address); err != nil {
		t.Error(err)
	}
}

func TestBannerWithoutADefaultModel(t *testing.T) {
	t.Parallel()
	server, err := openDemo(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for model, want := range map[string]string{"": `"model": "PROVIDER/MODEL"`, "p/m": `"model": "p/m"`} {
		var out bytes.Buffer
		d := &devServer{out: &out, demo: server, http: "http://127.0.0.1:8080"}
		d.config.Models.Default = model
		d.banner()
		if !strings.Contains(out.String(), want) {
			t.Errorf("with the default %q the banner does not say %s:\n%s", model, want, &out)
		}
	}
}
