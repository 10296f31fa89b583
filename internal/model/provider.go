package model

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"perdure/internal/secret"
)

const maxModelName = 256

var (
	providerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)
	headerName   = regexp.MustCompile("^[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,128}$")
)

// Provider is an OpenAI-compatible endpoint.
type Provider struct {
	// Name stands before the slash in a model's name: "openai" in "openai/gpt-5.5". It has no slash itself.
	Name string
	// BaseURL is what "/chat/completions" is appended to, such as "https://api.openai.com/v1". http is allowed: a provider is
	// chosen by the operator, and models often run next door.
	BaseURL string
	// APIKey is sent as a bearer token; empty sends none.
	APIKey secret.String
	// Headers are added to each request and win over our own. Their values are treated as secrets.
	Headers map[string]string
	// Models are the names that the provider knows; empty means that it takes any.
	Models []string
	Quirks Quirks
}

// Quirks are a provider's departures from OpenAI's own Chat Completions.
type Quirks struct {
	// MaxTokensField limits the answer: "max_completion_tokens" (the default) or the older "max_tokens".
	MaxTokensField string
	// NoStreamUsage leaves out stream_options, for providers that refuse it. Their usage is then counted only if they send it
	// unasked.
	NoStreamUsage bool
	// NoParallelToolCalls leaves out parallel_tool_calls.
	NoParallelToolCalls bool
	// NoJSONSchema asks for a JSON object and puts the schema into the instructions, where a response format with a schema is
	// not supported.
	NoJSONSchema bool
	// StrictSchemas passes "strict": true of a function tool on. Other providers do not see the word.
	StrictSchemas bool
	// SystemRole is the role of instructions: "system" (the default) or "developer".
	SystemRole string
}

// Values of [Quirks].
const (
	MaxCompletionTokens = "max_completion_tokens"
	MaxTokens           = "max_tokens"
	RoleSystem          = "system"
	RoleDeveloper       = "developer"
)

// serves reports whether the provider takes requests for the model.
func (p *Provider) serves(model string) bool {
	return model != "" && (len(p.Models) == 0 || slices.Contains(p.Models, model))
}

// minSecretBytes is how long a value must be to be kept out of errors: a shorter one is no secret, and would garble the text.
const minSecretBytes = 6

// secrets are what must never be seen in an error.
func (p *Provider) secrets() secret.Redactor {
	var all []string
	for _, value := range append(slices.Collect(maps.Values(p.Headers)), p.APIKey.Reveal()) {
		_, credential, _ := strings.Cut(value, " ") // behind a scheme, such as Basic
		all = append(all, value, credential)
	}
	return secret.NewRedactor(slices.DeleteFunc(all, func(s string) bool { return len(s) < minSecretBytes })...)
}

func (p *Provider) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !providerName.MatchString(p.Name) {
		fault("the name must match %s", providerName)
	}
	if err := checkBaseURL(p.BaseURL); err != nil {
		fault("base_url %w", err)
	}
	if strings.ContainsAny(p.APIKey.Reveal(), "\r\n\x00") {
		fault("the API key has a line break; it probably came from a file that ends in one")
	}
	for name, value := range p.Headers {
		if !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			fault("the header %q has a name or value that HTTP does not allow", clip(name, 64))
		}
	}
	for i, model := range p.Models {
		if strings.TrimSpace(model) == "" || len(model) > maxModelName {
			fault("model %d must have 1 to %d bytes", i, maxModelName)
		}
	}
	if !slices.Contains([]string{"", MaxCompletionTokens, MaxTokens}, p.Quirks.MaxTokensField) {
		fault("max_tokens_field must be %s or %s", MaxCompletionTokens, MaxTokens)
	}
	if !slices.Contains([]string{"", RoleSystem, RoleDeveloper}, p.Quirks.SystemRole) {
		fault("system_role must be %s or %s", RoleSystem, RoleDeveloper)
	}
	return errors.Join(faults...)
}

func checkBaseURL(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return errors.New(`must be an http or https URL, such as "https://api.openai.com/v1"`)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return errors.New("must have no user, query or fragment; put credentials into the API key or the headers")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), chatCompletions):
		return fmt.Errorf("must end before %q, which is appended to it", chatCompletions)
	default:
		return nil
	}
}
