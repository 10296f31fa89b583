package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"perdure/internal/secret"
)

// variableName is what a variable is usually called. A value of another form may be a secret in the wrong place, and
// is not repeated in errors.
var variableName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,127}$`)

// resolve fills in what the sources leave to be looked up: secrets that are in variables and files, and the defaults
// of entries in lists and maps.
func (c *Config) resolve(env environment) error {
	problems := []error{
		c.Secrets.resolve(env), c.Encryption.resolve(env), c.Network.resolve(env), c.Blobs.resolve(env), c.Database.resolve(env),
		c.Auth.OIDC.resolve(env),
	}
	for i := range c.Auth.APIKeys {
		problems = append(problems, c.Auth.APIKeys[i].resolve(fmt.Sprintf("auth.api_keys[%d]", i), env))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models.Providers)) {
		provider := c.Models.Providers[name]
		problems = append(problems, provider.resolve("models.providers."+name, env))
		c.Models.Providers[name] = provider
	}
	c.MCP.resolve()
	problems = append(problems, c.Client.resolve(env))
	for i := range c.Webhooks {
		problems = append(problems, c.Webhooks[i].resolve(fmt.Sprintf("webhooks[%d]", i), env))
	}
	return errors.Join(problems...)
}

func (s *Secrets) resolve(env environment) error {
	if s.KeysetFile != "" && (s.KeysetEnv != "" || !s.Keyset.IsZero()) {
		return errors.New("secrets.keyset_file: another keyset is set as well: keep one")
	}
	// The file is not read here: whoever opens the keyset makes it if it is missing.
	return secretSource{path: "secrets.keyset", value: &s.Keyset, env: s.KeysetEnv}.resolve(env)
}

func (k *APIKey) resolve(path string, env environment) error {
	if k.Organization == "" {
		k.Organization = "default"
	}
	if k.User == "" {
		k.User = k.Name
	}
	return secretSource{path: path + ".key", value: &k.Key, env: k.KeyEnv, file: k.KeyFile}.resolve(env)
}

func (p *Provider) resolve(path string, env environment) error {
	if p.Quirks.MaxTokensField == "" {
		p.Quirks.MaxTokensField = "max_completion_tokens"
	}
	if p.Quirks.SystemRole == "" {
		p.Quirks.SystemRole = "system"
	}
	key := secretSource{path: path + ".api_key", value: &p.APIKey, env: p.APIKeyEnv, file: p.APIKeyFile}
	return errors.Join(key.resolve(env), p.resolveHeaders(path+".headers_env.", env))
}

func (p *Provider) resolveHeaders(path string, env environment) error {
	var problems []error
	for _, header := range slices.Sorted(maps.Keys(p.HeadersEnv)) {
		if _, ok := p.Headers[header]; ok {
			problems = append(problems, fmt.Errorf("%s%s: the header is in headers as well: keep one", path, header))
			continue
		}
		value, err := fromVariable(p.HeadersEnv[header], env)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s%s: %w", path, header, err))
			continue
		}
		if p.Headers == nil {
			p.Headers = map[string]secret.String{}
		}
		p.Headers[header] = value
	}
	return errors.Join(problems...)
}

// namedVariables returns the names of the variables that hold secrets.
func (c Config) namedVariables() []string {
	names := []string{
		c.Secrets.KeysetEnv, c.Encryption.Codec.TokenEnv, c.Network.Proxy.CredentialsEnv, c.Auth.OIDC.ClientSecretEnv, c.Database.URLEnv,
		c.Blobs.SecretKeyEnv, c.Client.APIKeyEnv,
	}
	for _, k := range c.Auth.APIKeys {
		names = append(names, k.KeyEnv)
	}
	for _, w := range c.Webhooks {
		names = append(names, w.SecretEnv)
	}
	for _, p := range c.Models.Providers {
		names = append(names, p.APIKeyEnv)
		names = slices.AppendSeq(names, maps.Values(p.HeadersEnv))
	}
	return names
}

// secretSource is a secret at a path, with the siblings path_env and path_file that may stand for it.
type secretSource struct {
	path      string
	value     *secret.String
	env, file string
}

// resolve sets the value from the one source that is set.
func (s secretSource) resolve(env environment) error {
	var set []string
	if !s.value.IsZero() {
		set = append(set, s.path)
	}
	if s.env != "" {
		set = append(set, s.path+"_env")
	}
	if s.file != "" {
		set = append(set, s.path+"_file")
	}
	if len(set) == 0 {
		return nil
	}
	if len(set) > 1 {
		return fmt.Errorf("%s: more than one is set: keep one", strings.Join(set, ", "))
	}
	var err error
	switch {
	case s.env != "":
		*s.value, err = fromVariable(s.env, env)
	case s.file != "":
		*s.value, err = fromFile(s.file)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", set[0], err)
	}
	return nil
}

func fromVariable(name string, env environment) (secret.String, error) {
	value := trimNewline(env[name])
	switch {
	case value != "":
		return secret.New(value), nil
	case variableName.MatchString(name):
		return secret.String{}, fmt.Errorf("the environment variable %s is not set or empty", name)
	default:
		return secret.String{}, errors.New("must be the name of an environment variable that is set, not the value itself")
	}
}

func fromFile(path string) (secret.String, error) {
	data, err := readBounded(path)
	if err != nil {
		return secret.String{}, err
	}
	value := trimNewline(string(data))
	if value == "" {
		return secret.String{}, fmt.Errorf("%s is empty", path)
	}
	return secret.New(value), nil
}

// trimNewline removes the line end that editors and echo leave behind a secret.
func trimNewline(text string) string { return strings.TrimRight(text, "\r\n") }
