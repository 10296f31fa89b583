package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"perdure/internal/egress"
	"perdure/internal/secret"
	"perdure/internal/webhook"
)

// Secrets returns the endpoint's secrets. There are several, separated by white space, while one takes the place of another.
func (w Webhook) Secrets() []secret.String {
	var secrets []secret.String
	for text := range strings.FieldsSeq(w.Secret.Reveal()) {
		secrets = append(secrets, secret.New(text))
	}
	return secrets
}

func (w *Webhook) resolve(path string, env environment) error {
	return secretSource{path: path + ".secret", value: &w.Secret, env: w.SecretEnv, file: w.SecretFile}.resolve(env)
}

func (c Config) validateWebhooks(v *validation) {
	network := c.Network.Policy()
	network.Proxy = egress.Proxy{} // with or without one, the same URLs are allowed
	rules, err := network.Compile()
	if err != nil {
		rules = nil // which is reported where it stands
	}
	names := map[string]string{}
	for i, w := range c.Webhooks {
		path := fmt.Sprintf("webhooks[%d]", i)
		w.validate(v, path)
		if first, ok := names[w.Name]; ok && w.Name != "" {
			v.report(path+".name", "is the name of %s already: each endpoint needs its own", first)
		}
		names[w.Name] = cmp.Or(names[w.Name], path)
		switch {
		case w.URL == "":
			v.report(path+".url", "is not set: it must be a URL, for example https://hooks.example.com/perdure")
		case rules != nil:
			if err := rules.CheckURL(w.URL); err != nil {
				v.report(path+".url", "%v", err)
			}
		}
	}
}

func (w Webhook) validate(v *validation, path string) {
	if !webhookName.MatchString(w.Name) {
		v.report(path+".name", "must be 1 to 64 lower-case letters, digits, - and _, starting with a letter or digit")
	}
	secrets := w.Secrets()
	if len(secrets) == 0 {
		v.report(path, "has no secret: set one of secret, secret_env and secret_file")
	}
	for _, s := range secrets {
		if err := webhook.CheckSecret(s); err != nil {
			v.report(path+".secret", "%v", err)
		}
	}
	for i, event := range w.Events {
		switch {
		case !slices.Contains(webhook.Types(), event):
			v.report(fmt.Sprintf("%s.events[%d]", path, i), "must be one of %s", strings.Join(webhook.Types(), ", "))
		case slices.Index(w.Events, event) < i:
			v.report(fmt.Sprintf("%s.events[%d]", path, i), "%s is listed twice: remove one", event)
		}
	}
	for i, organization := range w.Organizations {
		v.identity(fmt.Sprintf("%s.organizations[%d]", path, i), organization)
	}
}
