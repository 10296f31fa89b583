package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// devCLI runs a command in a directory that has a "perdure dev" in it, and nothing else that says which server to call, or as whom.
func devCLI(t *testing.T, dir string, o cliOptions, args ...string) *cli {
	t.Helper()
	o.dir, o.url = dir, "none"
	o.env = append([]string{"PERDURE_URL=", "PERDURE_API_KEY="}, o.env...)
	return startCLI(t, o, args...)
}

// TestCLIConnectors: a connector from its first entry to its removal, beside a "perdure dev" that is found by itself.
func TestCLIConnectors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDev(t, filepath.Join(dir, ".perdure"))
	does := func(args ...string) string {
		t.Helper()
		out, errs := devCLI(t, dir, cliOptions{env: []string{"SERVER_TOKEN=" + cliToken}}, args...).want(0)
		if strings.Contains(out+errs, d.key) {
			t.Errorf("perdure %v shows the key", args)
		}
		return out
	}
	if out := does("connector", "list"); out != "ID  NAME  TAG  ENABLED  AUTH  OWNER  URL\n" {
		t.Errorf("without connectors the list is %q", out)
	}
	if _, errs := devCLI(t, dir, cliOptions{}, "connector", "add", "Wiki", d.mcp).want(2); !strings.Contains(errs, "say that you trust the server with --yes") {
		t.Errorf("an untrusted server: %s", errs)
	}
	match := regexp.MustCompile(`^Our Wiki \((conn_\S+)\): Connected, enabled\n$`).FindStringSubmatch(does("connector", "add", "Our Wiki", d.mcp, "--yes", "--enable"))
	if match == nil {
		t.Fatal("the connector is not connected")
	}
	id := match[1]
	github := strings.Replace(d.mcp, "/mcp", "/github/mcp", 1)
	if out := does("connector", "add", "github", github, "--yes"); !strings.Contains(out, "Disabled, disabled\n") && !strings.Contains(out, "auth") {
		t.Errorf("without a token: %s", out)
	}
	does("connector", "update", "GITHUB", "--token", "env:SERVER_TOKEN", "--description", "Issues")
	if out := does("connector", "enable", "github"); !strings.Contains(out, "Connected, enabled") {
		t.Errorf("with a token: %s", out)
	}
	shown := does("connector", "get", "our wiki")
	for _, want := range []string{"Our Wiki (" + id + "): Connected, enabled\n", "URL             " + d.mcp, "TOOL", "ask_question"} {
		if !strings.Contains(shown, want) {
			t.Errorf("it does not show %q:\n%s", want, shown)
		}
	}
	// Runs name it as people do. Its label is made of the name, so that the tools can be chosen.
	out := does("run", "Use DeepWiki to explain what the perdure/perdure repository does.", "--connector", "Our Wiki", "--tool", "our-wiki:ask_question", "--json")
	var r response
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mcp_list_tools", "mcp_call", "message"}, r.types()); diff != "" || r.Output[1].ServerLabel != "our-wiki" || len(r.Output[0].Tools) != 1 {
		t.Errorf("the run: %s\n%s", diff, out)
	}
	var names []string
	for line := range strings.Lines(does("connector", "list", "--json")) {
		var c struct{ Name string }
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"github", "Our Wiki"}, names); diff != "" {
		t.Error(diff)
	}
	if out := does("__complete", "connector", "get", ""); !strings.Contains(out, id+"\tOur Wiki, Connected\n") || !strings.HasPrefix(out, "github\tgithub, Connected\n") {
		t.Errorf("offered are %q", out)
	}
	if out := does("connector", "disable", id); !strings.Contains(out, "Disabled, disabled") {
		t.Errorf("disable: %s", out)
	}
	for _, wrong := range []struct {
		says string
		code int
		args []string
	}{
		{`there is no connector "nobody" that you see`, 1, []string{"connector", "get", "nobody"}},
		{"there is nothing to authorize", 1, []string{"connector", "authorize", id}},
		{"nothing is to be changed", 2, []string{"connector", "update", id}},
		{"a secret is given as env:VARIABLE", 2, []string{"connector", "update", id, "--token", cliToken}},
		{"ask: there is no terminal to ask on: give env:VARIABLE", 1, []string{"connector", "update", id, "--token", "ask"}},
		{"url: ", 1, []string{"connector", "update", id, "--url", "http://10.1.2.3/mcp"}},
		{"disabled", 1, []string{"run", "x", "--connector", id}},
	} {
		if _, errs := devCLI(t, dir, cliOptions{}, wrong.args...).want(wrong.code); !strings.Contains(errs, wrong.says) {
			t.Errorf("perdure %v says %q, want %q", wrong.args, errs, wrong.says)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "more.json"), []byte(`{"retry":{"tools":{"ask_question":"always"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := does("connector", "update", id, "--from", "more.json", "--retry", "never", "--json"); !strings.Contains(out, `"retry":{"default":"never","tools":{"ask_question":"always"}}`) {
		t.Errorf("settings of a file: %s", out)
	}
	if out := does("connector", "remove", id, "github"); strings.Count(out, " is deleted.\n") != 2 {
		t.Errorf("remove: %s", out)
	}
	if out := does("models"); out != "demo/scripted\nopenai/gpt-5.5\n" {
		t.Errorf("the models are %q", out)
	}
	// The key of the server here is for no other.
	if _, errs := devCLI(t, dir, cliOptions{}, "responses", "list", "--server", sharedStack(t).url).want(1); !strings.Contains(errs, "check the API key") {
		t.Errorf("another server: %s", errs)
	}
}
