package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// compare knows the types of a Config that keep their state to themselves.
var compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}

// commentedOut matches the # before an example, which unlike the # of a comment has no space after it.
var commentedOut = regexp.MustCompile(`(?m)^( *)#([^ \n])`)

func TestExampleIsDefault(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{File: "example.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, compare); diff != "" {
		t.Errorf("example.yaml differs from Default (-default +example):\n%s", diff)
	}
}

func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{File: writeExamples(t), Environ: []string{
		"CI_API_KEY=ci-key", "OPENAI_API_KEY=openai-key", "GATEWAY_TEAM_TOKEN=team-token",
		"OPS_WEBHOOK_SECRET=" + webhookSecret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Auth.APIKeys) != 4 || len(got.Models.Providers) != 3 {
		t.Errorf("%d API keys and %d providers, want all 4 and 3", len(got.Auth.APIKeys), len(got.Models.Providers))
	}
	if len(got.Webhooks) != 3 {
		t.Errorf("%d webhooks, want all 3", len(got.Webhooks))
	}
}

// Each key of Config must be in the file, or an operator would not know of it.
func TestExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	values, problems := readFile(writeExamples(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	// A key of an entry may be in any entry: there are keys that exclude each other.
	present := map[string]bool{}
	var collect func(value any, typ reflect.Type, path string)
	collect = func(value any, typ reflect.Type, path string) {
		present[path] = true
		switch {
		case isSection(typ):
			for _, f := range fieldsOf(typ) {
				if below, ok := value.(map[string]any)[f.key]; ok {
					collect(below, f.typ, join(path, f.key))
				}
			}
		case isEntries(typ):
			for _, item := range value.([]any) {
				collect(item, typ.Elem(), path+"[]")
			}
		case isMap(typ) && isSection(typ.Elem()):
			for _, item := range value.(map[string]any) {
				collect(item, typ.Elem(), path+"[]")
			}
		}
	}
	collect(values, configType, "")

	var want func(typ reflect.Type, path string) []string
	want = func(typ reflect.Type, path string) []string {
		paths := []string{path}
		switch {
		case isSection(typ):
			for _, f := range fieldsOf(typ) {
				paths = append(paths, want(f.typ, join(path, f.key))...)
			}
		case isEntries(typ), isMap(typ) && isSection(typ.Elem()):
			paths = append(paths, want(typ.Elem(), path+"[]")...)
		}
		return paths
	}
	paths := want(configType, "")
	if !slices.Contains(paths, "models.providers[].quirks.system_role") || !slices.Contains(paths, "auth.api_keys[].key") {
		t.Fatalf("the walk over Config misses keys: %v", paths)
	}
	for _, path := range paths {
		if !present[path] {
			t.Errorf("example.yaml does not have %s", path)
		}
	}
}

// writeExamples writes example.yaml with its examples switched on.
func writeExamples(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	example := commentedOut.ReplaceAllString(string(text), "$1$2")
	for name, content := range map[string]string{
		"nightly_key": "nightly-key\n", "gateway_key": "gateway-key\n", "billing_webhook": webhookSecret + "\n",
		"egress_proxy": "user:password\n", "oidc_client_secret": "oidc-secret\n", "perdure_key": "pd_key\n",
	} {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		example = strings.ReplaceAll(example, "/run/secrets/"+name, path)
	}
	// An example of a key that also stands there with its default replaces that default.
	for _, key := range []string{
		"ui_url", "url", "credentials_file", "dir", "default", "allow_networks", "allow_origins", "ca_file", "bucket", "endpoint", "prefix",
		"public_url", "issuer", "client_id", "scopes", "organizations",
	} {
		line := regexp.MustCompile(fmt.Sprintf(`(?m)^ +%s: (""|\[\])\n`, key))
		if !line.MatchString(example) {
			t.Fatalf("example.yaml has no default for %s", key)
		}
		example = line.ReplaceAllString(example, "")
	}
	path := filepath.Join(dir, "perdure.yaml")
	writeFile(t, path, example)
	return path
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
