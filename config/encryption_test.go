package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

const codecToken = "a-token-of-an-operator-canary"

func TestLoadEncryption(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{
		File:    newFile(t, "encryption: {payloads: true, codec: {token_env: CODEC, origins: [\"https://ui.example.com\"]}}"),
		Environ: []string{"CODEC=" + codecToken + "\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Encryption{Payloads: true, Codec: Codec{
		Token: secret.New(codecToken), TokenEnv: "CODEC", Origins: []string{"https://ui.example.com"},
	}}
	if diff := cmp.Diff(want, got.Encryption, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, codecToken+"\n")
	got, err = Load(Options{Environ: []string{
		"PERDURE_ENCRYPTION_PAYLOADS=true", "PERDURE_ENCRYPTION_CODEC_TOKEN_FILE=" + file, "PERDURE_CODEC_TOKEN=", "PERDURE_SECRETS_KEYSET_ENV=PERDURE_KEYS", "PERDURE_KEYS=x",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Encryption.Codec.Token.Reveal() != codecToken || !got.Encryption.Payloads {
		t.Errorf("got %+v", got.Encryption)
	}
	requireProblems(t, Options{Environ: []string{"PERDURE_ENCRYPTION_CODEC_TOKEN_FILE=" + file, "PERDURE_ENCRYPTION_CODEC_TOKEN=" + codecToken}},
		"encryption.codec.token, encryption.codec.token_file: more than one is set: keep one")
}

func TestValidateEncryption(t *testing.T) {
	t.Parallel()
	const origins = "encryption.codec.origins[0]: must be scheme://host"
	for name, test := range map[string]struct {
		token  string
		origin string
		want   string // "": valid
	}{
		"nothing":                 {"", "", ""},
		"a token":                 {codecToken, "", ""},
		"an origin":               {codecToken, "https://ui.example.com", ""},
		"an origin with a port":   {codecToken, "http://127.0.0.1:8233", ""},
		"short":                   {"canary", "", "encryption.codec.token: must have at least 20 characters"},
		"with a space":            {"canary with some spaces in it", "", "encryption.codec.token: must be printable ASCII"},
		"an origin, no token":     {"", "https://ui.example.com", "encryption.codec.origins: is for the codec endpoint"},
		"an origin with a path":   {codecToken, "https://ui.example.com/", origins},
		"any port":                {codecToken, "https://ui.example.com:*", origins},
		"any origin":              {codecToken, "*", origins},
		"no scheme":               {codecToken, "ui.example.com", origins},
		"an origin in upper case": {codecToken, "https://UI.example.com", origins},
	} {
		c := valid()
		c.Encryption.Codec.Token = secret.New(test.token)
		if test.origin != "" {
			c.Encryption.Codec.Origins = []string{test.origin}
		}
		err := c.Validate()
		switch {
		case (err == nil) != (test.want == ""), err != nil && !strings.HasPrefix(err.Error(), test.want):
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		case err != nil && strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
}

func TestCodecOrigins(t *testing.T) {
	t.Parallel()
	for ui, want := range map[string][]string{
		"": nil, "http://127.0.0.1:8233": {"http://127.0.0.1:8233"}, "https://ui.example.com/temporal": {"https://ui.example.com"},
		"https://UI.example.com:443": {"https://ui.example.com"}, "http://ui.example.com:80/": {"http://ui.example.com"},
		"http://ui.example.com:443": {"http://ui.example.com:443"},
	} {
		c := Default()
		c.Temporal.UIURL = ui
		if diff := cmp.Diff(want, c.CodecOrigins()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", ui, diff)
		}
		c.Encryption.Codec.Origins = []string{"https://other.example.com:443"}
		if diff := cmp.Diff([]string{"https://other.example.com"}, c.CodecOrigins()); diff != "" {
			t.Errorf("%q, with origins of its own (-want +got):\n%s", ui, diff)
		}
	}
}
