// Package perdure_test holds the architecture to its rules: who may import whom, and how folders and files are kept. What is
// allowed stands here; arch_check_test.go reads the sources and compares.
package perdure_test

import (
	"os"
	"strings"
	"testing"
)

// anything stands for every package of ours but the doubles, whose names end in test.
const anything = "*"

// allowed lists, for each package of ours, the packages of ours that its production code may import. A package that is not here
// fails the test, and so does an entry without a package. ARCHITECTURE.md draws the same table.
var allowed = map[string][]string{
	"cmd/perdure": {anything},
	"bench":       {anything},

	// What a program of somebody else's could import.
	"examples/temporal": {"contract"},

	"starter": {
		"activities", "contract", "workflows", "internal/admission", "internal/batch",
		"internal/blob", "internal/connection", "internal/connector", "internal/egress", "internal/events", "internal/file",
		"internal/identity", "internal/mcpclient", "internal/model", "internal/oauth", "internal/page", "internal/payload",
		"internal/responses", "internal/secret",
		"internal/signin", "internal/store", "internal/stream", "internal/transcript", "internal/webhook",
	},
	"worker":    {"activities", "workflows"},
	"contract":  {"internal/batch", "internal/responses"},
	"workflows": {"activities", "contract", "internal/batch", "internal/blob", "internal/responses", "internal/transcript", "internal/webhook"},
	"activities": {
		"internal/blob", "internal/connection", "internal/connector", "internal/events", "internal/file", "internal/identity",
		"internal/mcpclient", "internal/model", "internal/payload", "internal/responses", "internal/secret", "internal/transcript", "internal/webhook",
	},

	"internal/transcript": {"internal/blob", "internal/responses"},
	"internal/batch":      {"internal/responses"},
	"internal/store":      {"internal/batch", "internal/connector", "internal/identity", "internal/secret"},
	"internal/events":     {"internal/blob", "internal/secret"},
	"internal/stream":     {"internal/blob", "internal/events", "internal/responses"},
	"internal/model":      {"internal/responses", "internal/secret"},
	"internal/mcpclient":  {"internal/cfaccess", "internal/egress", "internal/oauth", "internal/secret"},
	"internal/oauth":      {"internal/cfaccess", "internal/egress", "internal/secret"},
	"internal/webhook":    {"internal/egress", "internal/secret"},
	"config":              {"internal/blob", "internal/egress", "internal/responses", "internal/secret", "internal/webhook"},

	"internal/admission": {},
	"internal/apiclient": {"internal/responses", "internal/secret"},
	"internal/batchrun":  {"internal/apiclient"},
	"internal/blob":      {"internal/bytecache", "internal/secret"},
	"internal/bytecache": {},
	"internal/cfaccess":  {},
	"internal/connection": {
		"internal/cfaccess", "internal/connector", "internal/identity", "internal/mcpclient", "internal/oauth", "internal/secret",
		"internal/store",
	},
	"internal/connector":   {"internal/identity", "internal/secret"},
	"internal/demo":        {},
	"internal/egress":      {"internal/secret"},
	"internal/file":        {"internal/blob", "internal/bytecache", "internal/identity", "internal/secret", "internal/store"},
	"internal/identity":    {"internal/secret"},
	"internal/page":        {},
	"internal/payload":     {"internal/blob", "internal/secret"},
	"internal/responses":   {},
	"internal/secret":      {},
	"internal/signin":      {"internal/identity", "internal/secret"},
	"internal/snippet":     {},
	"internal/temporaldev": {},
	"internal/ui": {
		"starter", "internal/batch", "internal/connection", "internal/connector", "internal/file", "internal/identity", "internal/page",
		"internal/responses", "internal/secret", "internal/snippet", "internal/store",
	},
	"internal/terminal": {},

	// From outside: what tests of the built programs need in code of ours are wire types and doubles, in their test files.
	"internal/e2e": {},

	"internal/conformance/client": {"internal/egress", "internal/mcpclient", "internal/oauth", "internal/secret"},

	// Doubles know the wire, not our code, so that they cannot share its mistakes.
	"internal/mcptest":                     {},
	"internal/egress/egresstest":           {},
	"internal/events/eventstest":           {"internal/blob", "internal/events", "internal/linktest"},
	"internal/linktest":                    {},
	"internal/logtest":                     {},
	"internal/modeltest":                   {},
	"internal/store/postgrestest":          {},
	"internal/oauthtest":                   {},
	"internal/temporaldev/temporaldevtest": {"internal/linktest", "internal/temporaldev"},

	// Modules of their own.
	"devserver":             {},
	"internal/e2e/goclient": {},
}

// owned lists packages of others that only some folders or files may import, tests included. A path owns everything below it.
var owned = []struct {
	imported string
	by       []string
	why      string
}{
	{"github.com/spf13/viper", []string{"config/load.go"}, "configuration is a value; how it is read is one file's affair"},
	{"github.com/go-viper/mapstructure", []string{"config"}, "it comes with viper"},
	{"github.com/spf13/cobra", []string{"cmd"}, "packages know no command line"},
	{"github.com/spf13/pflag", []string{"cmd"}, "packages know no command line"},
	{"github.com/sashabaranov/go-openai", []string{"internal/model"}, "its types follow another project's calendar"},
	{
		"github.com/modelcontextprotocol/go-sdk",
		[]string{"internal/mcpclient", "internal/mcptest", "internal/demo"},
		"the guard around every byte of an MCP server is in mcpclient",
	},
	{"modernc.org/sqlite", []string{"internal/store", "devserver"}, "everything else knows resources, not rows"},
	{"github.com/jackc/pgx", []string{"internal/store"}, "everything else knows resources, not rows"},
	{"github.com/pressly/goose", []string{"internal/store"}, "migrations are the store's"},
	{"golang.org/x/image", []string{"internal/connector"}, "pictures from strangers are read in one place"},
	{"code.dny.dev/ssrf", []string{"internal/egress"}, "addresses are checked where they are dialed"},
	{"github.com/tink-crypto/tink-go", []string{"internal/secret"}, "secrets are sealed in one place"},
	{
		"go.temporal.io/sdk/client",
		[]string{"cmd", "starter", "worker", "activities", "workflows", "bench", "examples", "internal/e2e", "internal/temporaldev"},
		"everything else works without a connection to Temporal",
	},
	{"github.com/coder/websocket", []string{"starter", "internal/e2e"}, "the starter is where connections end"},
	{"github.com/tiktoken-go/tokenizer", []string{"internal/model"}, "what is counted is a model's request"},
	{"github.com/minio/minio-go", []string{"internal/blob/bucket.go"}, "everything else knows values, not objects"},
	{"github.com/johannesboyne/gofakes3", []string{"internal/blob", "internal/e2e"}, "it is there to test"},
	{"github.com/nats-io", []string{"internal/events"}, "everything else knows events, not messages"},
	{"go.temporal.io/server", []string{"devserver"}, "it would multiply packages and build times by four; see docs/decisions/0004"},
	{"github.com/temporalio/ui-server", []string{"devserver"}, "it comes with the server"},
	{"golang.org/x/term", []string{"internal/terminal"}, "what a terminal is, is known in one place"},
	{"github.com/chromedp", []string{"internal/e2e"}, "it is there to test from outside"},
	{"github.com/openai/openai-go", []string{"internal/e2e/goclient"}, "it is there to test from outside; our wire types are our own"},
}

// impure lists what production code in workflows must not import. What cannot be told by an import, such as time.Now, is the
// affair of workflowcheck.
var impure = []string{
	"crypto/rand", "database/sql", "encoding/json", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec",
	"go.temporal.io/sdk/client",
}

// testingAllowed are the packages outside tests that may import testing.
var testingAllowed = []string{
	// It hands a server to a test and stops it at the test's end. All other doubles are programs' to use, too.
	"internal/temporaldev/temporaldevtest",
	"internal/events/eventstest", // the same for an event log
}

// vague are names of folders and files that say nothing of what is inside.
var vague = []string{"base", "common", "helper", "helpers", "misc", "pkg", "shared", "types", "util", "utils"}

const (
	maxLines = 500
	// Of these, 19 came with the NATS server and client, 25 with the client of object stores, and 38 with the object store that tests run.
	// 64 are SQLite's, PostgreSQL's driver's and goose's. Temporal's SDK needs most of the rest.
	maxGoSumLines = 350
)

func TestArchitecture(t *testing.T) {
	t.Parallel()
	tree, err := readTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	// What reads nothing finds nothing.
	if len(tree) < 100 {
		t.Fatalf("read %d Go files, want at least 100", len(tree))
	}
	for _, v := range violations(tree) {
		t.Error(v)
	}
}

// TestModule keeps the main module slim: the Temporal server would bring 550 more lines.
func TestModule(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, module := range []string{"go.temporal.io/server ", "github.com/temporalio/ui-server/v2 "} {
			if strings.Contains(text, module) {
				t.Errorf("%s names %s: it belongs to devserver/", name, module)
			}
		}
		if n := strings.Count(text, "\n"); name == "go.sum" && n > maxGoSumLines {
			t.Errorf("go.sum has %d lines, at most %d are wanted: which dependency is not worth it?", n, maxGoSumLines)
		}
	}
}

// TestDependencies wants a reason for every direct dependency.
func TestDependencies(t *testing.T) {
	t.Parallel()
	reasons, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, heading := range map[string]string{
		"go.mod": "## The main module", "devserver/go.mod": "## devserver/, a module of its own",
		"internal/e2e/goclient/go.mod": "## Libraries that tests run",
	} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range unexplained(string(data), section(string(reasons), heading)) {
			t.Errorf("%s requires %s, and %q in docs/dependencies.md does not say why", name, module, heading)
		}
	}
}

// TestGoVersion: one version of Go is enough for all modules and the image, and it is the one that people are told to have. Where modules
// differ, whoever has the lesser version builds one part and fails at the next.
func TestGoVersion(t *testing.T) {
	t.Parallel()
	version := ""
	for _, place := range []struct{ file, before, after string }{
		{"go.mod", "\ngo ", "\n"},
		{"devserver/go.mod", "\ngo ", "\n"},
		{"internal/e2e/goclient/go.mod", "\ngo ", "\n"},
		{"Dockerfile", "FROM golang:", "-"},
		{"README.md", "You need Go ", " or later"},
		{"CONTRIBUTING.md", "Go ", " or later"},
	} {
		data, err := os.ReadFile(place.file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), place.before)
		got, _, ok := strings.Cut(rest, place.after)
		if version == "" {
			version = got
		}
		if !ok || got != version {
			t.Errorf("%s names Go %.20q, want %s, which go.mod names", place.file, got, version)
		}
	}
}
