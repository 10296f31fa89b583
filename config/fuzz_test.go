package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

// FuzzLoad checks that whatever stands in a file is either refused, in words that fit on a screen, or a configuration that is valid, the
// same each time, and shows none of its secrets; and that no error shows a secret that stands where secrets belong.
func FuzzLoad(f *testing.F) {
	const key = "canary-of-the-config-01"
	// Short ones: the fuzzer would spend its time on making the whole example shorter.
	for _, file := range []string{
		"auth: {api_keys: [{name: ci, key: " + key + "}]}\nhttp: {nothing: x}",
		"auth: {api_keys: [{name: ci, key: '" + key + " with spaces', key_env: '" + key + "'}]}",
		"models: {providers: {a: {base_url: 'https://u:" + key + "@a', api_key: " + key + ", headers: {X: " + key + "}}}}",
		"webhooks: [{name: a, url: 'https://a/" + key + "#', secret: " + key + "}]\nnetwork: {proxy: {url: 'http://a:" + key + "@b', credentials: " + key + "}}",
		"secrets: {keyset: " + key + ", keyset_env: " + key + "}\nencryption: {codec: {token: " + key + ", origins: ['*']}}\nevents: {url: 'nats://" + key + "@a'}",
		"a: &a [*a]", "http: &a {address: ':1'}\ntemporal: {<<: *a}", "limits: {max_steps: 0x10, call: {timeout: 1h1m1ms}}\nlog: {level: -4}", "http: [", "", "---\n---\n",
		"limits: {list_bytes: 99999999999GiB, call: {timeout: 9999999h}}", "network: {allow_networks: [10.0.0.0/8, ::ffff:10.0.0.0/104], allow_origins: ['http://*']}",
		"http: {address: [:1]}", "auth: {api_keys: {}}", "models: {providers: []}", "\x00", "\xff: 1", "? [a]\n: b",
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		path := filepath.Join(t.TempDir(), "perdure.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{File: path})
		if err != nil {
			if strings.Contains(file, "key: "+key+"}") && strings.Contains(err.Error(), key) {
				t.Fatalf("the error shows a key: %v", err)
			}
			if most := 2000 + 500*len(file); len(err.Error()) > most {
				t.Fatalf("an error of %d bytes for a file of %d", len(err.Error()), len(file))
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("loaded what is not valid: %v", err)
		}
		again, err := Load(Options{File: path})
		if err != nil {
			t.Fatalf("loaded once, and then not: %v", err)
		}
		if diff := cmp.Diff(c, again, compare); diff != "" {
			t.Fatalf("loaded twice, it differs (-first +second):\n%s", diff)
		}
		encoded, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprintf("%v %+v %#v %s", c, c, c, encoded)
		for _, s := range secretsOf(c) {
			// A short one may be part of something else.
			if text := s.Reveal(); len(text) > 12 && strings.Contains(shown, text) && !strings.Contains(strings.Replace(file, text, "", 1), text) {
				t.Fatalf("the configuration shows %q", text)
			}
		}
	})
}

func secretsOf(c Config) []secret.String {
	all := []secret.String{c.Secrets.Keyset, c.Encryption.Codec.Token, c.Network.Proxy.Credentials}
	for _, k := range c.Auth.APIKeys {
		all = append(all, k.Key)
	}
	for _, w := range c.Webhooks {
		all = append(all, w.Secret)
	}
	for _, p := range c.Models.Providers {
		all = append(all, p.APIKey)
		for _, h := range p.Headers {
			all = append(all, h)
		}
	}
	return all
}
