package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"perdure/internal/secret"
)

func TestLoadFileProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"typing errors, all at once": {
			"http:\n  adress: x\nlimts: {}\nlimits:\n  model: {timeuot: 1s}\nauth:\n  api_keys:\n    - {nmae: a, key: b}\n" +
				"models:\n  providers:\n    a: {base_ulr: c, quirks: {nothing_like_it: 1}}\n",
			[]string{
				"perdure.yaml:2: http.adress: unknown key: did you mean address?",
				"perdure.yaml:3: limts: unknown key: did you mean limits?",
				"perdure.yaml:5: limits.model.timeuot: unknown key: did you mean timeout?",
				"perdure.yaml:8: auth.api_keys[0].nmae: unknown key: did you mean name?",
				"perdure.yaml:11: models.providers.a.base_ulr: unknown key: did you mean base_url?",
				"perdure.yaml:11: models.providers.a.quirks.nothing_like_it: unknown key",
			},
		},
		"unknown without a value":   {"nothing_like_it:\nmodles: {}", []string{"nothing_like_it: unknown", "modles: unknown key: did you mean models"}},
		"in the wrong section":      {"max_steps: 3", []string{"max_steps: unknown key: did you mean limits.max_steps?"}},
		"in two sections":           {"timeout: 3s", []string{"did you mean limits.discovery.timeout or limits.model.timeout or limits.call.timeout?"}},
		"upper case":                {"HTTP: {address: x}", []string{"HTTP: unknown key: did you mean http?"}},
		"provider in upper case":    {"models: {providers: {OpenAI: {base_url: 'http://a'}}}", []string{"models.providers.OpenAI: must be lower case: write openai"}},
		"provider without anything": {"models: {providers: {a: {}, b: }}", []string{"models.providers.a: is empty", "models.providers.b: is empty"}},
		"header twice":              {"models: {providers: {a: {base_url: 'http://a', headers: {X-A: 1, x-a: 2}}}}", []string{"headers.x-a: is there twice"}},
		"wrong types": {
			"http: 8080\nlimits:\n  max_steps: many\n  list_bytes: big\n  model: [1]\n  call: {timeout: 5, attempts: {a: b}}\n" +
				"auth: {api_keys: {name: a}}\nnetwork: {allow_networks: [localhost], allow_origins: {a: b}}\n" +
				"log: {level: loud}\nmodels: {providers: [a]}",
			[]string{
				":1: http: must be a mapping",
				":3: limits.max_steps: must be a whole number",
				":4: limits.list_bytes: must be a size",
				":5: limits.model: must be a mapping",
				":6: limits.call.timeout: must be a duration",
				":6: limits.call.attempts: must be a single value",
				":7: auth.api_keys: must be a list",
				":8: network.allow_networks[0]: must be a network",
				":8: network.allow_origins: must be a list",
				":9: log.level: must be debug, info, warn or error",
				":10: models.providers: must be a mapping",
			},
		},
		"bool":             {"models: {providers: {a: {base_url: 'http://a', quirks: {strict_schemas: maybe}}}}", []string{"strict_schemas: must be true or false"}},
		"list of a scalar": {"auth: {api_keys: ci}", []string{"auth.api_keys: must be a list"}},
		"empty entry":      {"auth: {api_keys: [~]}", []string{"auth.api_keys[0]: is empty"}},
		"key twice":        {"http: {address: a}\nhttp: {address: b}", []string{"not valid YAML: yaml: unmarshal errors:", "line 2: mapping key \"http\" already defined"}},
		"not YAML":         {"http: [", []string{"not valid YAML"}},
		"not a mapping":    {"just a text", []string{":1: must be a mapping"}},
		"two documents":    {"http:\n---\nlog:\n", []string{"second YAML document"}},
		"merge key":        {"http: &a {address: ':1'}\ntemporal: {<<: *a}", []string{"temporal: merge keys (<<) are not supported"}},
		"redacted":         {"auth: {api_keys: [{name: a, key: '[redacted]'}]}", []string{"auth.api_keys[0].key: secret:"}},
		"validated":        {"limits: {max_steps: 0}", []string{"limits.max_steps: must be at least 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireProblems(t, Options{File: newFile(t, test.file)}, test.want...)
		})
	}
}

func TestLoadLargeFile(t *testing.T) {
	t.Parallel()
	requireProblems(t, Options{File: newFile(t, strings.Repeat("#", maxFileBytes+1))}, "is larger than 1MiB")
}

func TestLoadAliases(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{File: newFile(t, "http: {read_header_timeout: &d 3s}\nworker: {stop_grace: *d}")})
	if err != nil || got.Worker.StopGrace != got.HTTP.ReadHeaderTimeout {
		t.Errorf("stop_grace %v, error %v", got.Worker.StopGrace, err)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	requireProblems(t, Options{File: newFile(t, bomb)}, "excessive aliasing")
}

func TestLoadVariableProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ environ, want []string }{
		"unknown, all at once": {
			[]string{"PERDURE_HTTP_ADRESS=x", "PERDURE_ZEBRA=x", "PERDURE_LIMITS_MAX_STEP=1"},
			[]string{
				"PERDURE_HTTP_ADRESS: there is no such key: did you mean PERDURE_HTTP_ADDRESS?",
				"PERDURE_LIMITS_MAX_STEP: there is no such key: did you mean PERDURE_LIMITS_MAX_STEPS",
				"PERDURE_ZEBRA: there is no such key: remove it",
			},
		},
		"sections and maps": {
			[]string{"PERDURE_HTTP=x", "PERDURE_AUTH_API_KEYS=x", "PERDURE_MODELS_PROVIDERS_A_HEADERS_B=x", "PERDURE_MODELS_PROVIDERS_A=x"},
			[]string{
				"PERDURE_AUTH_API_KEYS: there is no such key",
				"PERDURE_HTTP: there is no such key",
				"PERDURE_MODELS_PROVIDERS_A: there is no such key",
				"PERDURE_MODELS_PROVIDERS_A_HEADERS_B: there is no such key",
			},
		},
		"superfluous underscores": {[]string{"PERDURE_HTTP_ADDRESS_=:1"}, []string{"PERDURE_HTTP_ADDRESS_: there is no such key"}},
		"a port, not a Service":   {[]string{"PERDURE_PORT=8080"}, []string{"PERDURE_PORT: there is no such key"}},
		"bad values": {
			[]string{"PERDURE_LIMITS_TOOLS=1x", "PERDURE_HTTP_MAX_BODY=x"},
			[]string{"PERDURE_HTTP_MAX_BODY: must be a size", "PERDURE_LIMITS_TOOLS: must be a whole number"},
		},
		"gap in a list":   {[]string{"PERDURE_AUTH_API_KEYS_1_NAME=a"}, []string{"PERDURE_AUTH_API_KEYS_0_…: is missing"}},
		"index as 00":     {[]string{"PERDURE_AUTH_API_KEYS_00_NAME=a"}, []string{"PERDURE_AUTH_API_KEYS_00_NAME: there is no such key"}},
		"index too large": {[]string{"PERDURE_AUTH_API_KEYS_1000_NAME=a"}, []string{"PERDURE_AUTH_API_KEYS_1000_NAME: there is no such key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireProblems(t, Options{Environ: test.environ}, test.want...)
		})
	}
}

func TestLoadFlagProblems(t *testing.T) {
	t.Parallel()
	requireProblems(t, Options{Flags: map[string]string{
		"http.adress": "x", "http": "x", "limits.tools": "x", "auth.api_keys.0.name": "x", "models.providers.a": "x", "": "x",
	}},
		": unknown key",
		"auth.api_keys.0.name: unknown key",
		"http: has keys of its own",
		"http.adress: unknown key: did you mean address?",
		"limits.tools: must be a whole number",
		"models.providers.a: has keys of its own",
	)
}

// One start shows the problems of all sources.
func TestLoadReportsAllSources(t *testing.T) {
	t.Parallel()
	requireProblems(t, Options{
		File:    newFile(t, "htpp: {}"),
		Environ: []string{"PERDURE_NOTHING_LIKE_IT=x"},
		Flags:   map[string]string{"log.format": "json", "log.levle": "info"},
	}, "htpp: unknown key", "log.levle: unknown key", "PERDURE_NOTHING_LIKE_IT: there is no such key")
}

func TestLoadSecrets(t *testing.T) {
	t.Parallel()
	keyFile := filepath.Join(t.TempDir(), "key")
	writeFile(t, keyFile, "from-file\r\n")
	got, err := Load(Options{
		File: newFile(t, `
secrets: {keyset_env: KEYSET}
auth:
  api_keys:
    - {name: env, key_env: KEY}
    - {name: file, key_file: `+keyFile+`}
    - {name: hash, key_sha256: B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9}
models:
  providers:
    env: {base_url: "http://a", api_key_env: KEY, headers: {A: "1"}, headers_env: {B: KEY}}
    file: {base_url: "http://a", api_key_file: `+keyFile+`, headers_env: {C: KEY}}
`),
		Environ: []string{"KEY=from-env", "KEYSET={}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	providers := got.Models.Providers
	for _, test := range []struct{ name, got, want string }{
		{"keyset", got.Secrets.Keyset.Reveal(), "{}"},
		{"key_env", got.Auth.APIKeys[0].Key.Reveal(), "from-env"},
		{"key_file", got.Auth.APIKeys[1].Key.Reveal(), "from-file"},
		{"api_key_env", providers["env"].APIKey.Reveal(), "from-env"},
		{"api_key_file", providers["file"].APIKey.Reveal(), "from-file"},
		{"headers", providers["env"].Headers["a"].Reveal(), "1"},
		{"headers_env", providers["env"].Headers["b"].Reveal(), "from-env"},
		{"headers_env alone", providers["file"].Headers["c"].Reveal(), "from-env"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
	if got.Auth.APIKeys[2].Digest() != (APIKey{Key: secret.New("hello world")}).Digest() {
		t.Error("key_sha256 and the key itself have different digests")
	}
}

func TestLoadSecretProblems(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, "\n")
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"variables not set": {
			"secrets: {keyset_env: NO_KEYSET}\nauth: {api_keys: [{name: a, key_env: NO_KEY}]}\n" +
				"models: {providers: {p: {base_url: 'http://a', api_key_env: EMPTY, headers_env: {X: NO_HEADER}}}}",
			[]string{
				"secrets.keyset_env: the environment variable NO_KEYSET is not set or empty",
				"auth.api_keys[0].key_env: the environment variable NO_KEY is not set or empty",
				"models.providers.p.api_key_env: the environment variable EMPTY is not set or empty",
				"models.providers.p.headers_env.x: the environment variable NO_HEADER is not set or empty",
			},
		},
		"files": {
			"auth: {api_keys: [{name: a, key_file: " + empty + "}, {name: b, key_file: " + empty + "-not}]}",
			[]string{"auth.api_keys[0].key_file: " + empty + " is empty", "auth.api_keys[1].key_file: open " + empty + "-not"},
		},
		"two ways": {
			"secrets: {keyset: a, keyset_env: SET}\nauth: {api_keys: [{name: a, key: a, key_env: SET, key_file: x}]}\n" +
				"models: {providers: {p: {base_url: 'http://a', api_key: a, api_key_env: SET, headers: {x: y}, headers_env: {X: SET}}}}",
			[]string{
				"secrets.keyset, secrets.keyset_env: more than one is set",
				"auth.api_keys[0].key, auth.api_keys[0].key_env, auth.api_keys[0].key_file: more than one is set",
				"models.providers.p.api_key, models.providers.p.api_key_env: more than one is set",
				"models.providers.p.headers_env.x: the header is in headers as well",
			},
		},
		"two keysets":  {"secrets: {keyset: a, keyset_file: /a}", []string{"secrets.keyset_file: another keyset is set"}},
		"key and hash": {"auth: {api_keys: [{name: a, key_env: SET, key_sha256: aa}]}", []string{"auth.api_keys[0].key_sha256: is set beside the key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireProblems(t, Options{File: newFile(t, test.file), Environ: []string{"EMPTY=", "SET=x"}}, test.want...)
		})
	}
}

const hidden = "sk-hunter2hunter2"

// A secret in the wrong place is an error, which must not show it.
func TestProblemsHideSecrets(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"as a variable's name": {File: newFile(t, "auth: {api_keys: [{name: a, key_env: "+hidden+"}]}")},
		"as a hash":            {File: newFile(t, "auth: {api_keys: [{name: a, key_sha256: "+hidden+"}]}")},
		"with a line break":    {File: newFile(t, "auth: {api_keys: [{name: a, key: \"x\\n"+hidden+"\"}]}")},
		"as a list":            {File: newFile(t, "auth: {api_keys: [{name: a, key: ["+hidden+"]}]}")},
		"as all keys":          {File: newFile(t, "auth: {api_keys: "+hidden+"}")},
		"as the file":          {File: newFile(t, hidden)},
		"as a duration":        {Environ: []string{"PERDURE_HTTP_SHUTDOWN_GRACE=" + hidden}},
		"as a number":          {Environ: []string{"PERDURE_LIMITS_TOOLS=" + hidden}},
		"as a size":            {Environ: []string{"PERDURE_LIMITS_LIST_BYTES=" + hidden}},
		"as a network":         {Environ: []string{"PERDURE_NETWORK_ALLOW_NETWORKS=" + hidden}},
		"as an origin":         {Environ: []string{"PERDURE_NETWORK_ALLOW_ORIGINS=https://u:" + hidden + "@a"}},
		"in a URL":             {Environ: []string{"PERDURE_MODELS_PROVIDERS_A_BASE_URL=https://u:" + hidden + "@a/v1"}},
		"in a broken URL":      {Environ: []string{"PERDURE_MODELS_PROVIDERS_A_BASE_URL=https://u:" + hidden + "@a:b:c/v1"}},
		"in a query":           {Environ: []string{"PERDURE_TEMPORAL_UI_URL=https://a/?key=" + hidden}},
		"as an address":        {Environ: []string{"PERDURE_TEMPORAL_ADDRESS=" + hidden}},
		"in a header":          {File: newFile(t, "models: {providers: {a: {base_url: 'http://a', headers: {x: \"a\\n"+hidden+"\"}}}}")},
		"as an unknown key":    {Environ: []string{"PERDURE_NOTHING_LIKE_IT=" + hidden}},
		"as a flag":            {Flags: map[string]string{"log.level": hidden}},
		"twice":                {File: newFile(t, "auth: {api_keys: [{name: a, key: "+hidden+"}, {name: b, key: "+hidden+"}]}")},
	} {
		_, err := Load(o)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestConfigHidesSecrets(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{Environ: []string{
		"PERDURE_SECRETS_KEYSET=" + hidden,
		"PERDURE_AUTH_API_KEYS_0_NAME=a", "PERDURE_AUTH_API_KEYS_0_KEY=" + hidden,
		"PERDURE_MODELS_PROVIDERS_A_BASE_URL=http://a", "PERDURE_MODELS_PROVIDERS_A_API_KEY=" + hidden,
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Models.Providers["a"] = Provider{APIKey: secret.New(hidden), Headers: map[string]secret.String{"x": secret.New(hidden)}}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v", c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%+v", &c), string(asJSON), string(asYAML),
	} {
		if strings.Contains(text, hidden) {
			t.Errorf("the text shows a secret: %s", text)
		}
		if strings.Count(text, "[redacted]") != 4 {
			t.Errorf("the text does not have 4 placeholders: %s", text)
		}
	}
}
