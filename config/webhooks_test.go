package config

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestLoadWebhooks(t *testing.T) {
	t.Parallel()
	file := newFile(t, `
webhooks:
  - {name: ops, url: "https://hooks.example.com/x?token=t", secret_env: HOOK, events: [response.failed], organizations: [acme, b]}
  - {name: local, url: "http://127.0.0.1:9000/", secret: "`+webhookSecret+`"}
network: {allow_origins: "http://127.0.0.1:*"}
`)
	rotated := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 64))
	got, err := Load(Options{File: file, Environ: []string{"HOOK=" + webhookSecret + "\n" + rotated + "\n"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Webhook{
		{
			Name: "ops", URL: "https://hooks.example.com/x?token=t", Secret: secret.New(webhookSecret + "\n" + rotated), SecretEnv: "HOOK",
			Events: []string{"response.failed"}, Organizations: []string{"acme", "b"},
		},
		{Name: "local", URL: "http://127.0.0.1:9000/", Secret: secret.New(webhookSecret)},
	}
	if diff := cmp.Diff(want, got.Webhooks, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]secret.String{secret.New(webhookSecret), secret.New(rotated)}, got.Webhooks[0].Secrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

func TestLoadWebhooksFromVariables(t *testing.T) {
	t.Parallel()
	got, err := Load(Options{Environ: []string{
		"PERDURE_WEBHOOKS_0_NAME=ops", "PERDURE_WEBHOOKS_0_URL=https://hooks.example.com", "PERDURE_WEBHOOKS_0_SECRET_ENV=PERDURE_HOOK",
		"PERDURE_WEBHOOKS_0_EVENTS=response.failed, response.cancelled", "PERDURE_HOOK=" + webhookSecret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if w := got.Webhooks; len(w) != 1 || w[0].Secret.Reveal() != webhookSecret || len(w[0].Events) != 2 {
		t.Errorf("webhooks %v", w)
	}
	requireProblems(t, Options{Environ: []string{"PERDURE_WEBHOOKS_1_NAME=ops"}}, "PERDURE_WEBHOOKS_0_…: is missing")
}

func TestValidateWebhooks(t *testing.T) {
	t.Parallel()
	key := func(n int) secret.String {
		return secret.New("whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n))))
	}
	for name, test := range map[string]struct {
		change func(*Webhook)
		want   string // "": valid
	}{
		"nothing":           {func(*Webhook) {}, ""},
		"no name":           {func(w *Webhook) { w.Name = "" }, "webhooks[0].name: must be"},
		"slash in the name": {func(w *Webhook) { w.Name = "a/b" }, "webhooks[0].name: must be"},
		"name of another":   {func(w *Webhook) { w.Name = "second" }, "webhooks[1].name: is the name of webhooks[0] already"},
		"no URL":            {func(w *Webhook) { w.URL = "" }, "webhooks[0].url: is not set"},
		"http":              {func(w *Webhook) { w.URL = "http://hooks.example.com/canary" }, "webhooks[0].url: the URL must begin with https://"},
		"http, allowed":     {func(w *Webhook) { w.URL = "http://localhost:3000/" }, ""},
		"private address":   {func(w *Webhook) { w.URL = "https://[fd00::1]/canary" }, "webhooks[0].url: the URL names an address that is not public"},
		"allowed address":   {func(w *Webhook) { w.URL = "https://10.1.1.1/" }, ""},
		"no secret":         {func(w *Webhook) { w.Secret = secret.String{} }, "webhooks[0]: has no secret"},
		"only white space":  {func(w *Webhook) { w.Secret = secret.New(" \n") }, "webhooks[0]: has no secret"},
		"secret's prefix":   {func(w *Webhook) { w.Secret = secret.New("canary") }, "webhooks[0].secret: must be whsec_"},
		"short secret":      {func(w *Webhook) { w.Secret = key(23) }, "webhooks[0].secret: must be whsec_"},
		"shortest secret":   {func(w *Webhook) { w.Secret = key(24) }, ""},
		"longest secret":    {func(w *Webhook) { w.Secret = key(64) }, ""},
		"long secret":       {func(w *Webhook) { w.Secret = key(65) }, "webhooks[0].secret: must be whsec_"},
		"one bad of two":    {func(w *Webhook) { w.Secret = secret.New(webhookSecret + " whsec_canary") }, "webhooks[0].secret: must be whsec_"},
		"event":             {func(w *Webhook) { w.Events = []string{"response.failed", "response.created"} }, "webhooks[0].events[1]: must be one of response.completed, "},
		"event twice":       {func(w *Webhook) { w.Events = []string{"response.failed", "response.failed"} }, "webhooks[0].events[1]: response.failed is listed twice"},
		"organization":      {func(w *Webhook) { w.Organizations = []string{"a b"} }, "webhooks[0].organizations[0]: must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			test.change(&c.Webhooks[0])
			err := c.Validate()
			switch {
			case (err == nil) != (test.want == ""), err != nil && !strings.HasPrefix(err.Error(), test.want):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n")):
				t.Errorf("the error repeats a secret, or there are two: %v", err)
			}
		})
	}
}
