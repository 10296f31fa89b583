package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClient pins which source of the client's key counts, and that the short variables are those of the keys.
func TestClient(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := write("key", "from-the-file-of-the-file\n")
	other := write("other", "from-the-file-of-the-flag\n")
	file := write("perdure.yaml", "client:\n  url: https://file.example\n  api_key_file: "+key+"\n")
	tests := []struct {
		name     string
		environ  []string
		flags    map[string]string
		url, key string
	}{
		{"the file", nil, nil, "https://file.example", "from-the-file-of-the-file"},
		{"short variables", []string{"PERDURE_URL=https://env.example", "PERDURE_API_KEY=short"}, nil, "https://env.example", "short"},
		{"an empty variable is none", []string{"PERDURE_URL=", "PERDURE_API_KEY="}, nil, "https://file.example", "from-the-file-of-the-file"},
		{
			"exact variables before short ones",
			[]string{"PERDURE_URL=https://env.example", "PERDURE_CLIENT_URL=https://exact.example", "PERDURE_API_KEY=short", "PERDURE_CLIENT_API_KEY=exact"},
			nil, "https://exact.example", "exact",
		},
		{
			"a variable that names another", []string{"PERDURE_CLIENT_API_KEY_ENV=MY_KEY", "MY_KEY=mine"}, nil, "https://file.example", "mine",
		},
		{
			"flags",
			[]string{"PERDURE_URL=https://env.example", "PERDURE_API_KEY=short"},
			map[string]string{"client.url": "https://flag.example", "client.api_key_file": other},
			"https://flag.example", "from-the-file-of-the-flag",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(Options{File: file, Environ: tt.environ, Flags: tt.flags})
			if err != nil {
				t.Fatal(err)
			}
			if c.Client.URL != tt.url || c.Client.APIKey.Reveal() != tt.key {
				t.Errorf("%s with the key %q, want %s with %q", c.Client.URL, c.Client.APIKey.Reveal(), tt.url, tt.key)
			}
		})
	}
	for _, tt := range []struct{ text, want string }{
		{"client:\n  url: agents.example\n", "client.url: must be a URL"},
		{"client:\n  api_key: two words\n", "client.api_key: "},
		{"client:\n  api_key: a\n  api_key_env: B\n", "client.api_key, client.api_key_env: more than one is set"},
	} {
		_, err := Load(Options{File: write("bad.yaml", tt.text)})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "two words") {
			t.Errorf("%q: error %v, want %q", tt.text, err, tt.want)
		}
	}
}
