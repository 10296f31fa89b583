package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

func TestLoadNothingIsDefault(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{Environ: []string{"HOME=/root", "PATH=/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, compare); diff != "" {
		t.Errorf("Load (-default +got):\n%s", diff)
	}
}

func TestLoadFile(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{File: newFile(t, `
http: {address: ":9000", max_body: 1MiB, shutdown_grace: 1m30s}
temporal:
auth:
  api_keys:
    - {name: ci, key: 0012345678}
    - {name: ops, key: ops-key, organization: acme, user: alice}
models:
  default: open-router/anthropic/claude
  providers:
    open-router:
      base_url: https://openrouter.ai/api/v1
      headers: {X-Title: Perdure, x.y: "1"}
      models: [anthropic/claude]
      quirks: {max_tokens_field: max_tokens, no_stream_usage: true}
network: {allow_networks: [10.0.0.0/8, "fd00::/8"], allow_origins: "http://localhost:*, https://tools.internal"}
limits: {max_steps: 20, model: {heartbeat: 7s}}
log: {level: warn, format: json}
`)})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.HTTP.Address, want.HTTP.MaxBody, want.HTTP.ShutdownGrace = ":9000", 1<<20, 90*time.Second
	want.Auth.APIKeys = []APIKey{
		{Name: "ci", Key: secret.New("0012345678"), Organization: "default", User: "ci"},
		{Name: "ops", Key: secret.New("ops-key"), Organization: "acme", User: "alice"},
	}
	want.Models = Models{Default: "open-router/anthropic/claude", Providers: map[string]Provider{"open-router": {
		BaseURL: "https://openrouter.ai/api/v1",
		Headers: map[string]secret.String{"x-title": secret.New("Perdure"), "x.y": secret.New("1")},
		Models:  []string{"anthropic/claude"},
		Quirks:  Quirks{MaxTokensField: "max_tokens", NoStreamUsage: true, SystemRole: "system"},
	}}}
	want.Network.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	want.Network.AllowOrigins = []string{"http://localhost:*", "https://tools.internal"}
	want.Limits.MaxSteps, want.Limits.Model.Heartbeat = 20, 7*time.Second
	want.Log = Log{Level: slog.LevelWarn, Format: "json"}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestLoadEmptyFiles(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "# nothing\n", "---\n", "null\n", "http:\nlimits:\n  model:\n"} {
		got, err := Load(Options{File: newFile(t, content)})
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if diff := cmp.Diff(Default(), got, compare); diff != "" {
			t.Errorf("%q (-default +got):\n%s", content, diff)
		}
	}
}

func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	file := newFile(t, "http: {address: file:1, shutdown_grace: 1s}\ntemporal: {task_queue: file, namespace: file}\n"+
		"models: {providers: {local: {base_url: 'http://file/v1', models: [a, b]}}}\n"+
		"auth: {api_keys: [{name: one, key: k1}, {name: two, key: k2}]}")
	environ := []string{
		"PERDURE_HTTP_ADDRESS=env:2", "PERDURE_TEMPORAL_NAMESPACE=env", "PERDURE_TEMPORAL_TASK_QUEUE=",
		"PERDURE_MODELS_PROVIDERS_LOCAL_MODELS=c, d,", "PERDURE_AUTH_API_KEYS_0_NAME=three", "PERDURE_AUTH_API_KEYS_0_KEY=k3",
	}
	got, err := Load(Options{File: file, Environ: environ, Flags: map[string]string{
		"http.address": "flag:3",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.HTTP.Address, want.HTTP.ShutdownGrace = "flag:3", time.Second
	want.Temporal.TaskQueue, want.Temporal.Namespace = "file", "env" // an empty variable is not set
	want.Models.Providers = map[string]Provider{"local": {
		BaseURL: "http://file/v1", Models: []string{"c", "d"},
		Quirks: Quirks{MaxTokensField: "max_completion_tokens", SystemRole: "system"},
	}}
	want.Auth.APIKeys = []APIKey{{Name: "three", Key: secret.New("k3"), Organization: "default", User: "three"}}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestLoadNamesFile(t *testing.T) {
	t.Parallel()
	named, flagged := newFile(t, "log: {level: warn}"), newFile(t, "log: {level: error}")
	environ := []string{"PERDURE_CONFIG=" + named}
	got, err := Load(Options{Environ: environ})
	if err != nil || got.Log.Level != slog.LevelWarn {
		t.Errorf("PERDURE_CONFIG: level %v, error %v", got.Log.Level, err)
	}
	got, err = Load(Options{File: flagged, Environ: environ})
	if err != nil || got.Log.Level != slog.LevelError {
		t.Errorf("File: level %v, error %v, want the level of the file that the options name", got.Log.Level, err)
	}
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	requireProblems(t, Options{File: missing}, missing)
}

// A variable alone must be able to set each key that has a place of its own, or containers need a file.
func TestEveryKeyHasAVariable(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, path := range keyPaths(configType, "") {
		keys := strings.Split(path, ".")
		typ, err := typeAt(keys)
		if err != nil {
			continue // a list or map of sections
		}
		name := strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s have the same variable", path, other)
		}
		seen[name] = path
		got, leaf, ok := findKey(name, configType, nil)
		if !ok || leaf != typ {
			t.Errorf("%s: no key of type %v", name, typ)
			continue
		}
		if diff := cmp.Diff(keys, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(seen) < 40 {
		t.Errorf("the walk found only %d keys", len(seen))
	}
}

func TestLoadVariablesOnly(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{Environ: []string{
		"PERDURE_AUTH_API_KEYS_0_NAME=ci", "PERDURE_AUTH_API_KEYS_0_KEY_ENV=CI_KEY", "CI_KEY=ci=key\n",
		"PERDURE_AUTH_API_KEYS_1_NAME=ops", "PERDURE_AUTH_API_KEYS_1_KEY=ops-key",
		"PERDURE_MODELS_DEFAULT=open_ai/gpt",
		"PERDURE_MODELS_PROVIDERS_OPEN_AI_BASE_URL=https://api.openai.com/v1",
		"PERDURE_MODELS_PROVIDERS_OPEN_AI_API_KEY_ENV=PERDURE_OPENAI_KEY", "PERDURE_OPENAI_KEY=provider-key",
		"PERDURE_MODELS_PROVIDERS_OPEN_AI_QUIRKS_NO_JSON_SCHEMA=true",
		"PERDURE_LIMITS_CALL_BYTES=2MB", "PERDURE_NETWORK_ALLOW_NETWORKS=10.0.0.0/8,192.168.0.0/16",
		// Not ours: what Kubernetes adds for Services called perdure and perdure-api, and what tests and dev use.
		"PERDURE_SERVICE_HOST=10.0.0.1", "PERDURE_SERVICE_PORT=8080", "PERDURE_SERVICE_PORT_HTTP=8080",
		"PERDURE_PORT=tcp://10.0.0.1:8080", "PERDURE_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"PERDURE_API_PORT_8080_TCP_ADDR=10.0.0.1", "PERDURE_API_SERVICE_HOST=10.0.0.1",
		"PERDURE_TEST_ANYTHING=1", "PERDURE_TEMPORAL_BINARY=/bin/temporal", "PERDURE_LOG_FORMT=",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Auth.APIKeys) != 2 {
		t.Fatalf("%d API keys, want 2", len(got.Auth.APIKeys))
	}
	provider := got.Models.Providers["open_ai"]
	for _, test := range []struct{ name, got, want string }{
		{"first key", got.Auth.APIKeys[0].Key.Reveal(), "ci=key"},
		{"second key", got.Auth.APIKeys[1].Key.Reveal(), "ops-key"},
		{"base_url", provider.BaseURL, "https://api.openai.com/v1"},
		{"api_key", provider.APIKey.Reveal(), "provider-key"},
		{"no_json_schema", fmt.Sprint(provider.Quirks.NoJSONSchema), "true"},
		{"call_bytes", got.Limits.CallBytes.String(), "2MB"},
		{"allow_networks", fmt.Sprint(got.Network.AllowNetworks), "[10.0.0.0/8 192.168.0.0/16]"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
}

// A provider of the file keeps its name, although a variable cannot be written with a dash.
func TestVariableFindsProviderOfFile(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{
		File:    newFile(t, "models: {providers: {my-models: {base_url: 'http://a/v1'}}}"),
		Environ: []string{"PERDURE_MODELS_PROVIDERS_MY_MODELS_API_KEY=key"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Models.Providers) != 1 || got.Models.Providers["my-models"].APIKey.Reveal() != "key" {
		t.Errorf("providers %v, want the key in my-models", got.Models.Providers)
	}
}

func newFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "perdure.yaml")
	writeFile(t, path, content)
	return path
}

// requireProblems checks that Load reports exactly the problems that contain the given texts, in this order.
func requireProblems(t *testing.T, o Options, want ...string) {
	t.Helper()
	got, err := Load(o)
	if err == nil {
		t.Errorf("no error, want %q", want)
		return
	}
	if diff := cmp.Diff(Config{}, got, compare); diff != "" {
		t.Errorf("Load returned an error and a configuration:\n%s", diff)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Errorf("%d problems, want %d:\n%v", len(lines), len(want), err)
		return
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) {
			t.Errorf("problem %d: %s\nwant it to contain: %s", i, line, want[i])
		}
	}
}
